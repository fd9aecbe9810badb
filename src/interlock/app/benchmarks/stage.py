"""What a benchmark of tools plays on: a server to call, projects, and state folders that are thrown away."""

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from interlock.app.benchmarks.processes import with_mark
from interlock.app.ground import erase_embedded
from interlock.config import Settings
from interlock.model import ServerUnavailable

AGENT, SERVER, TOOL, ARGUMENT = "caller", "echo", "echo", "text"
CALL = f"{SERVER}.{TOOL}"
START_S = 60.0
STOP_S = 30.0
LOOK_EVERY_S = 0.05
_OURS = "INTERLOCK_"
_NO_LIMIT = 1_000_000_000


@asynccontextmanager
async def throwaway(env: Mapping[str, str], name: str) -> AsyncIterator[tuple[Path, dict[str, str]]]:
    """A project folder and an environment with a state folder of its own; nothing is left of either.

    Processes that work for the project end by themselves, once nobody needs them; that is waited for.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"interlock-bench-{name}-"))
    clean = {key: value for key, value in env.items() if not key.startswith(_OURS)}
    own = {**clean, "INTERLOCK_HOME": str(folder / "home")}
    project = folder / "project"
    project.mkdir()
    try:
        yield project, own
    finally:
        await asyncio.to_thread(_wait_until_alone, str(project))
        await asyncio.to_thread(erase_embedded, Settings.from_env(own).home, own)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _wait_until_alone(mark: str) -> None:
    deadline_s = time.monotonic() + STOP_S
    while with_mark(mark) and time.monotonic() < deadline_s:
        time.sleep(LOOK_EVERY_S)


def write_project(folder: Path, tools: Mapping[str, Any], granted: list[str]) -> None:
    """A project with one agent that may call the tools as often as it can."""
    playbook = {"version": 1, "steps": [{"result": "nothing to do"}]}
    agent = {"model": "playbook:idle", "tools": granted, "limits": {"calls_per_minute": _NO_LIMIT}}
    (folder / "playbooks").mkdir()
    (folder / "playbooks" / "idle.yaml").write_text(json.dumps(playbook), encoding="utf-8")
    config = {"tools": dict(tools), "agents": {AGENT: agent}}
    (folder / "interlock.yaml").write_text(json.dumps(config, indent=1), encoding="utf-8")


def write_echo_project(folder: Path, url: str) -> None:
    """A project whose one tool server is the one that is measured."""
    contract = {"class": "read", "egress": False, "output": "trusted"}
    write_project(folder, {SERVER: {"url": url, "contracts": {TOOL: contract}}}, [f"{SERVER}.*"])


@asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    """The server that is called, in a process of its own; its URL.

    Raises:
        ServerUnavailable: it does not start.
    """
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "interlock.testing.echo_server:application"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
    try:
        await listening(port, process)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        await stop(process)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def listening(port: int, process: asyncio.subprocess.Process) -> None:
    """Wait until a process listens.

    Raises:
        ServerUnavailable: it ended, or does not listen in time.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_S):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(LOOK_EVERY_S)
                    continue
                writer.close()
                return
    raise ServerUnavailable("the server that is to be called does not start", hint="interlock doctor")


async def stop(process: asyncio.subprocess.Process) -> None:
    """End a process, politely first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_S)
