"""A provider on this machine: a real HTTP server that answers what a test tells it to, in a provider's format."""

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from interlock.config import ModelConfig, ModelsConfig
from interlock.inference import Models


@dataclass
class Reply:
    """One HTTP answer; `hang_s` waits first, or until the server stops."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang_s: float = 0.0
    cut: bool = False

    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Provider(ThreadingHTTPServer):
    """Answers the scripted replies in order; keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.script: list[Reply] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def do_POST(self) -> None:
        provider = self.server
        provider.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        provider.headers.append({name.lower(): value for name, value in self.headers.items()})
        provider.paths.append(self.path)
        reply = provider.script.pop(0)
        if reply.hang_s and provider.stopping.wait(reply.hang_s):
            return
        raw = reply.raw()
        self.send_response(reply.status)
        for name, value in ({"content-type": "application/json"} | reply.headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(raw) + (100 if reply.cut else 0)))
        self.end_headers()
        self.wfile.write(raw)
        if reply.cut:
            self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Quiet."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.stopping.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
async def open_models() -> AsyncIterator[Callable[..., Models]]:
    """Makes `Models` with one alias, and closes it afterwards."""
    opened: list[Models] = []

    def make(alias: str, config: ModelConfig, env: dict[str, str] | None = None) -> Models:
        opened.append(Models(ModelsConfig(aliases={alias: config}), {}, env or {}))
        return opened[-1]

    yield make
    for models in opened:
        await models.close()
