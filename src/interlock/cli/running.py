"""What `up` does while it runs: serve, keep house, keep workers, and leave in good order."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from interlock.app import (
    Control,
    check_project,
    facts_of,
    plane_of,
    wake_tools,
)
from interlock.cli.crew import Crew
from interlock.cli.home_files import Running, only_one, remove_running, write_running
from interlock.config import Project, Settings, ensure_home, ensure_token
from interlock.model import PortInUse
from interlock.server import create_app, replace_control, serve

TOOLS_PATIENCE_S = 20.0
WORKERS_PATIENCE_S = 60.0
LOOK_EVERY_S = 0.1
Announce: TypeAlias = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for; None means what the configuration says."""

    settings: Settings
    folder: Path
    port: int | None
    workers: int | None
    as_json: bool


def run(wanted: Wanted, env: Mapping[str, str], announce: Announce) -> None:
    """Start everything, say so, and run until told to stop.

    Raises:
        Conflict: another `up` runs for this state folder.
        ConfigError, PolicyError, PlaybookError: the project can't be used; nothing was started.
        PortInUse: another program listens there; nothing was started.
    """
    began = time.monotonic()
    home = ensure_home(wanted.settings)
    with only_one(home):
        project = check_project(wanted.folder, env)
        port = wanted.port if wanted.port is not None else project.config.server.port
        refuse_taken(port)
        token = ensure_token(home)
        try:
            asyncio.run(_run(Start(wanted, project, port, token, began), env, announce))
        finally:
            remove_running(home, os.getpid())


def refuse_taken(port: int) -> None:
    """Find out before anything starts that a port is taken.

    Raises:
        PortInUse: it is.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(
                    f"port {port} on 127.0.0.1 is taken by another program", hint="interlock up --port 0"
                ) from error
            raise


@dataclass(frozen=True)
class Start:
    """A start that was checked."""

    wanted: Wanted
    project: Project
    port: int
    token: str
    began: float

    @property
    def home(self) -> Path:
        """The state folder."""
        return self.wanted.settings.home

    @property
    def workers(self) -> int:
        """How many worker processes."""
        return self.wanted.workers or self.project.config.server.workers

    @property
    def worker_command(self) -> list[str]:
        """What a worker process runs."""
        command = [sys.executable, "-m", "interlock", "worker", "--project", str(self.wanted.folder)]
        return [*command, "--json"] if self.wanted.as_json else command


async def _run(start: Start, env: Mapping[str, str], announce: Announce) -> None:
    stop = asyncio.Event()
    crew = Crew(start.worker_command, env, start.workers)
    _on_signals(stop, crew)
    async with plane_of(start.wanted.settings, start.project, env) as plane:
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        app = create_app(plane.control, token=start.token, stop=stop)
        plane.replaced = partial(replace_control, app)
        server = asyncio.create_task(serve(app, port=start.port, started=url.set_result), name="server")
        async with _chores(server, asyncio.create_task(plane.run(), name="house")) as chores:
            first: set[asyncio.Future[Any]] = {url, *chores}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not url.done():
                return
            here = Running(url.result(), os.getpid(), str(start.wanted.folder))
            write_running(start.home, here)
            crew.start()
            try:
                starting = asyncio.create_task(_get_ready(start, plane.control, crew), name="start")
                stopping = asyncio.create_task(stop.wait())
                await asyncio.wait({starting, stopping, *chores}, return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    summary = {**starting.result(), "url": here.url}
                    write_running(start.home, Running(here.url, here.pid, here.folder, summary))
                    announce(summary)
                    await asyncio.wait({stopping, *chores}, return_when=asyncio.FIRST_COMPLETED)
                await _end(starting, stopping)
            finally:
                await crew.stop()


@asynccontextmanager
async def _chores(*tasks: "asyncio.Task[None]") -> AsyncIterator[set["asyncio.Task[None]"]]:
    """Background tasks for the length of a block; one that failed is the block's failure."""
    try:
        yield set(tasks)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        await _end(*tasks)


async def _end(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _on_signals(stop: asyncio.Event, crew: Crew) -> None:
    """SIGTERM and Ctrl-C drain; a second Ctrl-C does not wait for the workers, whose runs go on later."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        if stop.is_set():
            crew.kill()
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted)


async def _get_ready(start: Start, control: Control, crew: Crew) -> dict[str, Any]:
    """Wait for tools and workers, but not for ever; what there is then."""
    waking = asyncio.create_task(wake_tools(control), name="tools")
    notes = list(start.project.notes)
    try:
        facts = await facts_of(control.database)
        joined = await _workers_joined(control, crew)
        late = await _tool_notes(waking)
    except BaseException:
        waking.cancel()
        raise
    status = await control.status()
    down = tuple(f"tool server {tool['server']}:" for tool in status["tools"] if tool["state"] != "ready")
    notes += [note for note in late if not note.startswith(down)]  # the list of tools says it already
    if joined < start.workers:
        notes.append(f"{start.workers - joined} of {start.workers} workers are not ready yet")
    if facts.vector is None:
        notes.append("pgvector is not there: memory will search by words only")
    return {
        "version": control.version,
        "folder": str(start.wanted.folder),
        "database": f"{_database_kind(start)} PostgreSQL {facts.version}",
        "tools": status["tools"],
        "agents": sorted(start.project.config.agents),
        "workers": joined,
        "policy": _policy_words(start.project),
        "token_file": str(start.home / "token"),
        "notes": notes,
        "config_sha256": start.project.sha256,
        "ready_s": round(time.monotonic() - start.began, 2),
    }


async def _workers_joined(control: Control, crew: Crew) -> int:
    """How many workers of ours take tasks, as soon as all do or the patience is over."""
    deadline = time.monotonic() + WORKERS_PATIENCE_S
    while True:
        status = await control.status()
        joined = {worker["pid"] for worker in status["workers"]} & set(crew.pids())
        if len(joined) >= crew.size or time.monotonic() > deadline:
            return len(joined)
        await asyncio.sleep(LOOK_EVERY_S)


async def _tool_notes(waking: "asyncio.Task[list[str]]") -> list[str]:
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(asyncio.shield(waking), TOOLS_PATIENCE_S)
    return ["some tool servers are still starting; their tools are accepted when they answer"]


def _database_kind(start: Start) -> str:
    external = start.wanted.settings.database_url or start.project.config.database.url
    return "your own" if external else "embedded"


def _policy_words(project: Project) -> str:
    rules = len(project.config.policy.rules)
    yours = f"{rules} of your rules, then " if rules else ""
    return (
        f"{yours}the built-in defaults: reads are allowed; writes that can be taken back are allowed, others ask; "
        "destructive calls always ask"
    )
