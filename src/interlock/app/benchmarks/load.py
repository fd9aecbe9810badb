"""Calls over HTTP, made by a program of its own: the client that everything is measured with."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from interlock.app.benchmarks.rounds import Sample
from interlock.app.benchmarks.stage import ARGUMENT, TOOL, stop
from interlock.model import ServerUnavailable

_ANSWER_S = 180.0


@dataclass(frozen=True)
class Endpoint:
    """An MCP server over HTTP.

    Attributes:
        url: where it is.
        tokens: bearer tokens; calls take turns with them.
        tool: what is called.
    """

    url: str
    tokens: Sequence[str] = ()
    tool: str = TOOL


@dataclass(frozen=True)
class Remote:
    """A lane: an endpoint, called with the SDK's client, held open and pooled."""

    name: str
    process: asyncio.subprocess.Process

    async def latency(self, calls: int) -> Sample:
        """Make calls one after the other."""
        return _sample(await self.ask({"op": "latency", "calls": calls}, _ANSWER_S))

    async def load(self, tasks: int, seconds: float) -> Sample:
        """Make so many at any time, for so long."""
        return _sample(await self.ask({"op": "load", "tasks": tasks, "seconds": seconds}, seconds + _ANSWER_S))

    async def ask(self, message: dict[str, Any], patience_s: float) -> dict[str, Any]:
        """One line there, one line back.

        Raises:
            ServerUnavailable: the program ended or does not answer.
        """
        if self.process.stdin is None or self.process.stdout is None:
            raise ServerUnavailable(f"{self.name}: the program that calls it has no pipes")
        line = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            await self.process.stdin.drain()
            line = await asyncio.wait_for(self.process.stdout.readline(), patience_s)
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the program that calls it does not answer"}
        if "error" in answer:
            raise ServerUnavailable(f"{self.name} can't be called: {answer['error']}")
        return answer


def _sample(answer: dict[str, Any]) -> Sample:
    return Sample(
        calls=answer["calls"],
        per_s=answer["per_s"],
        p50_ms=answer["p50_ms"],
        p95_ms=answer["p95_ms"],
        errors=answer["errors"],
        trouble=answer["trouble"],
    )


@asynccontextmanager
async def remote(name: str, endpoint: Endpoint) -> AsyncIterator[Remote]:
    """Connect a lane.

    Raises:
        ServerUnavailable: it can't be called.
    """
    command = [sys.executable, "-m", "interlock.testing.mcp_load"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    lane = Remote(name, process)
    try:
        asked = {"url": endpoint.url, "tool": endpoint.tool, "argument": ARGUMENT, "tokens": list(endpoint.tokens)}
        await lane.ask(asked, _ANSWER_S)
        yield lane
    finally:
        await stop(process)
