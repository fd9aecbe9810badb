"""Other products, started by the drivers in `bench/peers/` of a source checkout."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from interlock.app.benchmarks.load import Endpoint
from interlock.app.benchmarks.stage import stop
from interlock.model import ServerUnavailable

FASTMCP, CONTEXTFORGE = "fastmcp_proxy", "contextforge"
DRIVERS = Path(__file__).resolve().parents[4] / "bench" / "peers"
_START_S = 1200.0  # it may have to be installed first
_LEAVE_S = 60.0


@asynccontextmanager
async def rival(name: str, url: str) -> AsyncIterator[Endpoint]:
    """Start another gateway before the server at a URL.

    Raises:
        ServerUnavailable: there is no driver, or it can't be installed or started.
    """
    async with driver(name, "--upstream", url) as (_, found):
        yield Endpoint(found["url"], found["tokens"], found["tool"])


@asynccontextmanager
async def driver(name: str, *words: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """Start a driver, which serves until its standard input ends; the process, and the first line that it says.

    Raises:
        ServerUnavailable: there is no driver, or it can't be installed or started.
    """
    program = DRIVERS / f"{name}.py"
    if not program.is_file():
        raise ServerUnavailable(f"there is no {program}; peers are measured from a source checkout")
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, str(program), "--serve", *words]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        line = b""
        with contextlib.suppress(TimeoutError):
            if process.stdout is not None:
                line = await asyncio.wait_for(process.stdout.readline(), _START_S)
        if not line:
            raise ServerUnavailable(f"the peer {name} does not start; its driver says why")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise ServerUnavailable(f"the peer {name} does not start: {found['error']}")
        yield process, found
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _LEAVE_S)
        await stop(process)
