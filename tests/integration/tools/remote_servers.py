"""Remote servers for tests: a real one of each generation by the SDK, and one that answers as it is told to."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mcp.server.lowlevel.server import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

TEXT = {"type": "object", "properties": {"text": {"type": "string"}}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Record:
    """What really happened at a server."""

    effects: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    words: str = "Says it again."


def sdk_server(record: Record, bus: InMemorySubscriptionBus | None = None) -> Server[Any]:
    """Tools `say` (after `delay_s`, with an effect) and `big`."""

    async def list_tools(ctx: Any, params: Any) -> ListToolsResult:
        return ListToolsResult(
            tools=[
                Tool(name="say", description=record.words, input_schema=TEXT),
                Tool(name="big", description="Returns many bytes.", input_schema={"type": "object"}),
            ]
        )

    async def call_tool(ctx: Any, params: CallToolRequestParams) -> CallToolResult:
        args = params.arguments or {}
        record.keys.append((params.meta or {}).get("interlock/idempotency_key") if params.meta else None)
        if params.name == "big":
            return CallToolResult(content=[TextContent(type="text", text="x" * int(args["bytes"]))])
        try:
            await asyncio.sleep(float(args.get("delay_s", 0)))
        except asyncio.CancelledError:
            record.cancelled.append(args["text"])
            raise
        record.effects.append(args["text"])
        return CallToolResult(content=[TextContent(type="text", text=args["text"])])

    listen = ListenHandler(bus) if bus is not None else None
    return Server("remote", on_list_tools=list_tools, on_call_tool=call_tool, on_subscriptions_listen=listen)


def only_handshake(app: ASGIApp, record: Record) -> ASGIApp:
    """The same server for those who can only shake hands: it does not know `server/discover`."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            record.headers.append(headers)
            if headers.get("mcp-method") == "server/discover":
                await send({"type": "http.response.start", "status": 400, "headers": []})
                await send({"type": "http.response.body", "body": b"unknown"})
                return
        await app(scope, receive, send)

    return wrapped


def noting(app: ASGIApp, record: Record) -> ASGIApp:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            record.headers.append(headers)
            record.methods.append(headers.get("mcp-method", ""))
        await app(scope, receive, send)

    return wrapped


def sometimes(app: ASGIApp, record: Record, status: int) -> ASGIApp:
    """Turns messages away while the record's words are "turn away"."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and record.words == "turn away":
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b"no"})
            return
        await app(scope, receive, send)

    return wrapped


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate for 127.0.0.1 that nobody else has signed."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name, *files]
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return key, certificate


@asynccontextmanager
async def served(app: ASGIApp, port: int, **more: Any) -> AsyncIterator[uvicorn.Server]:
    """Run an app on the loopback interface; leaving it closes all connections."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="critical", ws="none", timeout_graceful_shutdown=0, **more
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await asyncio.wait({running}, timeout=10)


@dataclass
class Asked:
    """One HTTP request that a scripted server got."""

    verb: str
    path: str
    headers: dict[str, str]
    message: dict[str, Any]
    reader: asyncio.StreamReader

    @property
    def tool(self) -> str:
        return str((self.message.get("params") or {}).get("name"))

    def result(self, **result: Any) -> bytes:
        body = {"jsonrpc": "2.0", "id": self.message.get("id"), "result": {"resultType": "complete", **result}}
        return json.dumps(body).encode()

    def text(self, text: str) -> bytes:
        return self.result(content=[{"type": "text", "text": text}])


Reply = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


class Scripted:
    """Speaks HTTP by hand (the stateless generation): `on_call` decides what a call of a tool meets."""

    def __init__(self) -> None:
        self.port = free_port()
        self.asked: list[Asked] = []
        self.connections = 0
        self.properties: dict[str, Any] = {"text": {"type": "string"}}
        self.on_call: Reply = self.fine
        self.on_list: Reply = self.listed
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def calls(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.message.get("method") == "tools/call"]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close all connections."""
        for writer in tuple(self._writers):
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while (asked := await _read(reader)) is not None:
                self.asked.append(asked)
                method = asked.message.get("method")
                if method == "tools/call":
                    await self.on_call(asked, writer)
                elif method == "tools/list":
                    await self.on_list(asked, writer)
                else:
                    await self._discovered(asked, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _discovered(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        capabilities: dict[str, Any] = {"tools": {}}
        respond(
            writer,
            200,
            asked.result(supportedVersions=["2026-07-28"], capabilities=capabilities, ttlMs=0, cacheScope="private"),
        )

    async def listed(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        schema = {"type": "object", "properties": self.properties}
        tools = [{"name": "say", "description": "Says it.", "inputSchema": schema}]
        respond(writer, 200, asked.result(tools=tools, ttlMs=0, cacheScope="private"))

    async def fine(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        respond(writer, 200, asked.text("fine"))


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    verb, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(verb, path, headers, json.loads(body) if body.startswith(b"{") else {}, reader)


def respond(writer: asyncio.StreamWriter, status: int, body: bytes, **headers: str) -> None:
    """A whole HTTP answer; names of headers with `_` for `-`."""
    all_headers = {"content_type": "application/json", "content_length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in all_headers.items())
    writer.write(f"HTTP/1.1 {status} Some Reason\r\n{lines}\r\n".encode() + body)


def sse_app(server: Server[Any]) -> Starlette:
    """The form of 2024: answers come on the stream of `/sse`."""
    from mcp.server.sse import SseServerTransport
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Mount, Route

    transport = SseServerTransport("/messages/")

    async def stream(request: Request) -> Response:
        async with transport.connect_sse(request.scope, request.receive, request._send) as (inbox, outbox):
            await server.run(inbox, outbox, server.create_initialization_options())
        return Response()

    return Starlette(routes=[Route("/sse", endpoint=stream), Mount("/messages/", app=transport.handle_post_message)])
