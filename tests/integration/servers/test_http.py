"""The http server as a program: a real process, the real protocol, a real server that it may talk to."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

START_S = 60


class Service:
    """A small service on the loopback interface that keeps what it was sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.seen.append((head[0], headers, body))
        path = head[0].split(" ")[1]
        if path == "/out":
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
        elif path != "/lost":
            answer = json.dumps({"path": path, "token": headers.get("x-token")}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n" % len(answer) + answer)
        writer.close()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@asynccontextmanager
async def served(*options: str, mode: Any = "auto", env: dict[str, str] | None = None) -> AsyncIterator[Client]:
    command = ["-m", "interlock.servers.http", *options]
    server = StdioServerParameters(command=sys.executable, args=command, env=env)
    async with asyncio.timeout(START_S), Client(server, mode=mode, read_timeout_seconds=START_S) as client:
        yield client


async def call(client: Client, tool: str, args: dict[str, Any], meta: Any = None) -> types.CallToolResult:
    result = await client.session.call_tool(tool, args, meta=meta)
    assert isinstance(result, types.CallToolResult)
    return result


def text_of(result: types.CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, types.TextContent))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_tools_are_listed_in_both_eras_of_the_protocol(mode: str) -> None:
    async with served("--allow", "api.example.com", mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"get", "request"}
    assert all(tool.annotations is not None and tool.annotations.open_world_hint for tool in tools.values())


async def test_reading_changing_and_losing_the_answer(service: Service, tmp_path: Path) -> None:
    log, base = tmp_path / "log", f"http://localhost:{service.port}"
    options = ["--allow", f"localhost:{service.port}", "--effect-log", str(log)]
    options += ["--header-env", f"{base}=X-Token=SERVICE_TOKEN"]
    async with served(*options, env={"SERVICE_TOKEN": "a-secret-4711"}) as client:
        read = await call(client, "get", {"url": f"{base}/items?q=1"})
        assert not read.is_error
        assert read.structured_content["json"] == {"path": "/items?q=1", "token": "[redacted]"}
        assert "a-secret-4711" not in text_of(read)
        args = {"method": "POST", "url": f"{base}/items", "json": {"a": 1}}
        made = await call(client, "request", args, {"interlock/idempotency_key": "task/1/3"})
        assert not made.is_error
        lost = await call(client, "request", {**args, "url": f"{base}/lost"})
        assert lost.is_error
        assert lost.structured_content["in_doubt"] is True
        out = await call(client, "get", {"url": f"{base}/out"})
        assert out.is_error
        assert "169.254.169.254" in text_of(out)
    line, headers, body = service.seen[1]
    assert (line, body) == ("POST /items HTTP/1.1", b'{"a": 1}')
    assert headers["idempotency-key"] == "task/1/3"
    assert headers["x-token"] == "a-secret-4711"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["event"], line["tool"], line["key"]) for line in lines[2:4]] == [
        ("begin", "request", "task/1/3"),
        ("end", "request", "task/1/3"),
    ]
    assert "a-secret-4711" not in log.read_text()


async def test_nobody_gets_in_by_another_name(service: Service) -> None:
    hosts = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "localhost."]
    async with served("--allow", "api.example.com", "--allow", f"*:{service.port}") as client:
        results = await asyncio.gather(
            *(call(client, "get", {"url": f"http://{host}:{service.port}/"}) for host in [*hosts, "localhost"])
        )
        results.append(await call(client, "get", {"url": "file:///etc/passwd"}))
    assert all(result.is_error and text_of(result).startswith("Not sent: ") for result in results)
    assert service.seen == []


async def test_names_are_looked_up_by_the_machine(service: Service) -> None:
    """A name of this machine itself, from its own list of hosts, is an inside address like any other."""
    name = "localhost.localdomain"
    args = {"url": f"http://{name}:{service.port}/"}
    async with served("--allow", f"{name}:{service.port}") as client:
        refused = await call(client, "get", args)
    assert refused.is_error
    assert text_of(refused).startswith("Not sent: ")
    assert service.seen == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--allow"),
        (["--allow", "http://x.test"], "--allow"),
        (["--allow", "169.254.169.254"], "metadata"),
        (["--allow", "x.test", "--header-env", "x.test=A=NOT_SET_ANYWHERE"], "is not set"),
        (["--allow", "x.test", "--header-env", "y.test=A=PATH"], "allow-list"),
        (["--allow", "x.test", "--ca-file", "/nowhere/ca.pem"], "/nowhere/ca.pem"),
        (["--allow", "x.test", "--ca-file", __file__], __file__),
        (["--allow", "x.test", "--effect-log", "/nowhere/log"], "/nowhere/log"),
    ],
)
def test_options_that_can_not_be_used_end_with_a_sentence(options: list[str], said: str) -> None:
    command = [sys.executable, "-m", "interlock.servers.http", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
