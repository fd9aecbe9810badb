"""A real HTTP server that says what it is told to, names that lead where a test wants, and a record of connections."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpcore
import pytest

from interlock.config import ManualClock
from interlock.servers.http.allow import AllowList
from interlock.servers.http.credentials import Vault
from interlock.servers.http.exchange import Egress
from interlock.servers.http.operations import HttpCalls
from interlock.servers.http.server import tls_context
from interlock.servers.shared.calls import Outcome
from interlock.servers.shared.journal import Journal

PUBLIC = "93.184.216.34"
Script = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Seen:
    """A request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def reply(body: bytes = b"", status: int = 200, *more: str, kind: str = "text/plain") -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str, status: int = 302) -> bytes:
    return reply(b"", status, f"Location: {location}")


@dataclass
class Origin:
    """A server on the loopback interface; `routes` says what it answers by path, a query is left out."""

    routes: dict[str, Script] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            request = await self._read(reader)
            self.seen.append(request)
            script = self.routes.get(request.path.partition("?")[0], reply(b"nothing here", 404))
            if callable(script):
                await script(reader, writer)
            else:
                writer.write(script)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side went away, which is what some tests are about
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Seen:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Seen(method, path, headers, body)


@asynccontextmanager
async def listening(origin: Origin, tls: Any = None) -> AsyncIterator[Origin]:
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0, ssl=tls)
    origin.port = server.sockets[0].getsockname()[1]
    try:
        yield origin
    finally:
        server.close()


class Network(httpcore.AsyncNetworkBackend):
    """Connects for real, and writes down to what; with `to_port` all of the internet is one local server."""

    def __init__(self, to_port: int | None = None) -> None:
        self.to_port = to_port
        self.asked: list[tuple[str, int]] = []
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *more: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        self.asked.append((host, port))
        if self.to_port is not None:
            host, port = "127.0.0.1", self.to_port
        return await self._real.connect_tcp(host, port, *more, **named)


class Names:
    """A resolver with fixed answers; a list of lists is given out one after the other."""

    def __init__(self, **known: Sequence[Any]) -> None:
        self.known = {name.replace("_", "."): list(answers) for name, answers in known.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.known.get(host, [PUBLIC])
        if answers and isinstance(answers[0], list):
            return answers.pop(0) if len(answers) > 1 else answers[0]
        return answers


@dataclass
class Bench:
    """Calls over an egress whose outside is in the test's hands."""

    origin: Origin
    network: Network
    names: Names
    allow: list[str]
    private: bool = False
    headers: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    tls: Callable[[], Any] = lambda: tls_context(None)
    journal: Journal = field(default_factory=lambda: Journal(None, ManualClock()))

    async def call(self, tool: str, args: dict[str, Any], key: str | None = None) -> Outcome:
        allow = AllowList.parse(self.allow, private=self.private)
        vault = Vault.parse(self.headers, self.env, allow)
        egress = Egress(allow, vault, self.tls, self.names, self.network)
        return await HttpCalls(egress, self.journal).call(tool, args, key)

    async def get(self, path: str, **args: Any) -> Outcome:
        """From the public host."""
        return await self.call("get", {"url": f"http://site.example{path}", **args})

    async def send(self, method: str, path: str, key: str | None = None, **args: Any) -> Outcome:
        return await self.call("request", {"method": method, "url": f"http://site.example{path}", **args}, key)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with listening(Origin()) as made:
        yield made


@pytest.fixture
def bench(origin: Origin) -> Bench:
    """The public internet is one local server."""
    return Bench(origin, Network(origin.port), Names(), ["site.example", "other.example"])


@pytest.fixture
def trap(origin: Origin) -> Bench:
    """The real network; a local server that nobody may reach, on whose port names are allowed."""
    names = Names(allowed_example=["127.0.0.1"])
    return Bench(origin, Network(), names, [f"allowed.example:{origin.port}", "allowed.example"])
