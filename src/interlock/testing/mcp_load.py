"""Calls one tool of an MCP server over HTTP, again and again, and says how fast: `python -m interlock.testing.mcp_load`.

It reads JSON objects from standard input, a line each, and answers each with a line. The first one says what to call:

    {"url": "http://127.0.0.1:8000/mcp", "tool": "echo", "argument": "text", "tokens": ["…"]}

With tokens there is one client for each of them, and calls take turns; else there is one. Clients are the SDK's, held
open, with pooled connections. The answer is `{"ready": true}` or `{"error": …}`. Then:

    {"op": "latency", "calls": 50}                one after the other
    {"op": "load", "tasks": 32, "seconds": 3}     so many at any time

Both answer `{"calls", "errors", "seconds", "per_s", "p50_ms", "p95_ms", "trouble"}`. No two calls have the same
argument. It ends with its standard input.
"""

import asyncio
import itertools
import json
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

CALL_S = 60.0
_CONNECTIONS = 256
_SHOWN_CHARS = 200
_TROUBLES = (MCPError, httpx2.HTTPError, RuntimeError, OSError)


class Caller:
    """Clients of one server, and the calls that they have made."""

    def __init__(self, clients: Sequence[Client], tool: str, argument: str) -> None:
        self._clients = clients
        self._tool, self._argument = tool, argument
        self._numbers = itertools.count()
        self._took_s: list[float] = []
        self._errors = 0
        self._trouble = ""

    async def call(self, client_no: int) -> None:
        """One call, whatever becomes of it."""
        client = self._clients[client_no % len(self._clients)]
        began_s = time.perf_counter()
        try:
            result = await client.call_tool(self._tool, {self._argument: f"hello {next(self._numbers)}"})
        except _TROUBLES as error:
            self._note(f"{type(error).__name__}: {error}")
            return
        if result.is_error:
            self._note(str(result.content))
            return
        self._took_s.append(time.perf_counter() - began_s)

    def _note(self, trouble: str) -> None:
        self._errors += 1
        self._trouble = self._trouble or trouble[:_SHOWN_CHARS]

    async def latency(self, calls: int) -> dict[str, Any]:
        """Calls one after the other."""
        self._forget()
        began_s = time.perf_counter()
        for number in range(calls):
            await self.call(number)
        return self._measured(time.perf_counter() - began_s)

    async def load(self, tasks: int, seconds: float) -> dict[str, Any]:
        """So many calls at any time, for so long."""
        self._forget()
        began_s = time.perf_counter()

        async def work(number: int) -> None:
            while time.perf_counter() - began_s < seconds:
                await self.call(number)

        await asyncio.gather(*(work(number) for number in range(tasks)))
        return self._measured(time.perf_counter() - began_s)

    def _forget(self) -> None:
        self._took_s, self._errors, self._trouble = [], 0, ""

    def _measured(self, seconds: float) -> dict[str, Any]:
        took = sorted(self._took_s)
        return {
            "calls": len(took),
            "errors": self._errors,
            "seconds": seconds,
            "per_s": len(took) / seconds,
            "p50_ms": statistics.median(took) * 1000 if took else None,
            "p95_ms": took[int(len(took) * 0.95)] * 1000 if took else None,
            "trouble": self._trouble,
        }


async def _connect(stack: AsyncExitStack, asked: dict[str, Any]) -> Caller:
    tls = httpx2.create_ssl_context()
    clients: list[Client] = []
    for token in asked.get("tokens") or [None]:
        http = await stack.enter_async_context(
            httpx2.AsyncClient(
                verify=tls,
                headers={"authorization": f"Bearer {token}"} if token else {},
                timeout=httpx2.Timeout(CALL_S),
                limits=httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            )
        )
        transport = streamable_http_client(asked["url"], http_client=http)
        client = await stack.enter_async_context(Client(transport, read_timeout_seconds=CALL_S))
        await client.list_tools()
        clients.append(client)
    return Caller(clients, asked["tool"], asked["argument"])


async def _serve() -> None:
    """Answer until standard input ends."""
    async with AsyncExitStack() as stack:
        caller = await _connect(stack, await _next() or {})
        _say({"ready": True})
        while (asked := await _next()) is not None:
            if asked["op"] == "latency":
                _say(await caller.latency(int(asked["calls"])))
            else:
                _say(await caller.load(int(asked["tasks"]), float(asked["seconds"])))


async def _next() -> dict[str, Any] | None:
    line = await asyncio.to_thread(sys.stdin.readline)
    found: dict[str, Any] | None = json.loads(line) if line.strip() else None
    return found


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _first(error: BaseException) -> BaseException:
    """What really went wrong, within the groups that task groups make of it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> int:
    """Run it; exit status 1 when the server can't be reached."""
    troubles: list[BaseException] = []
    try:
        asyncio.run(_serve())
    except* _TROUBLES as errors:
        troubles.append(_first(errors))
    for trouble in troubles:
        _say({"error": f"{type(trouble).__name__}: {trouble}"[:_SHOWN_CHARS]})
    return len(troubles)


if __name__ == "__main__":
    sys.exit(main())
