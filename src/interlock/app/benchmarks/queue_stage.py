"""What a benchmark of the queue plays on: a project, a database of its own, and worker processes as `up` starts them."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock import orchestrator
from interlock.app.benchmarks.stage import stop, throwaway
from interlock.app.checking import check_project
from interlock.app.fleet import Fleet
from interlock.app.ground import foundation
from interlock.app.tool_host import hosted_tools
from interlock.app.versions import UP, apply_version
from interlock.config import Project, Settings, SystemClock, new_id
from interlock.model import ServerUnavailable, Task, TaskRequest, TaskState
from interlock.store import Database, EmbeddedPostgres, PostgresBinaries, task_rows

QUICK, ASKING, LASTING = "quick", "asking", "lasting"
READY_S = 60.0
LOOK_EVERY_S = 0.02
LASTS_S = 120.0  # until a tool answers a lasting task, which is cancelled long before
_NO_LIMIT = 1_000_000_000
_SERVER = "log"
_SHOWN_CHARS = 300
_READY = "worker.ready"


def write_queue_project(folder: Path, server: Mapping[str, int]) -> None:
    """A project with an agent that answers at once, one that must ask a person, and one whose call takes long.

    `server` is the configuration's block of that name: what a worker does at a time.
    """
    log = folder / "effects.jsonl"
    read = {"class": "read", "egress": False, "output": "trusted"}
    tool = {
        "command": sys.executable,
        "args": ["-m", "interlock.testing.faulty_server", "--mode", "ok", "--log", str(log)],
        "sandbox": {"write": [str(folder)]},
        "call_timeout": f"{2 * LASTS_S:g}s",
        "contracts": {"append": read, "append_keyed": {**read, "class": "destructive"}},
    }
    limits = {"calls_per_minute": _NO_LIMIT, "max_duration": "1h"}
    agents = {
        QUICK: {"model": f"playbook:{QUICK}", "backlog": 10_000_000, "limits": limits},
        ASKING: {"model": f"playbook:{ASKING}", "tools": [f"{_SERVER}.append_keyed"], "limits": limits},
        LASTING: {"model": f"playbook:{LASTING}", "tools": [f"{_SERVER}.append"], "limits": limits},
    }
    words = {"key": "a key", "text": "a text"}
    steps: dict[str, list[dict[str, Any]]] = {
        QUICK: [{"result": "done"}],
        ASKING: [{"id": "a", "call": f"{_SERVER}.append_keyed", "args": words}],
        LASTING: [{"id": "a", "call": f"{_SERVER}.append", "args": {**words, "delay_s": LASTS_S}}],
    }
    (folder / "playbooks").mkdir()
    for name, its in steps.items():
        text = json.dumps({"version": 1, "steps": its})
        (folder / "playbooks" / f"{name}.yaml").write_text(text, encoding="utf-8")
    config = {"server": dict(server), "tools": {_SERVER: tool}, "agents": agents}
    (folder / "interlock.yaml").write_text(json.dumps(config, indent=1), encoding="utf-8")


@dataclass(frozen=True)
class QueueStage:
    """A project on a database of its own; `postgres` is the DSN of the database's owner."""

    folder: Path
    env: Mapping[str, str]
    database: Database
    project: Project
    postgres: str

    async def submit(self, agent: str, text: str) -> Task:
        """Take a task in, as the server does."""
        submitted = await orchestrator.submit(self.database, self.project, TaskRequest(agent, text), "bench")
        return submitted.task

    async def get(self, task_id: str) -> Task:
        """A task as it is now."""
        async with self.database.transaction() as tx:
            return await task_rows.get(tx, task_id)

    async def until(self, task: Task, *states: TaskState) -> Task:
        """Wait until a task is in one of some states.

        Raises:
            ServerUnavailable: that takes too long.
        """
        deadline_s = time.monotonic() + READY_S
        while (task := await self.get(task.id)).state not in states:
            if time.monotonic() > deadline_s:
                raise ServerUnavailable(f"a task is {task.state} for {READY_S:g} s: {task.state_reason}")
            await asyncio.sleep(LOOK_EVERY_S)
        return task

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """One worker process that takes tasks.

        Raises:
            ServerUnavailable: it does not start.
        """
        command = [sys.executable, "-m", "interlock", "worker", "--project", str(self.folder), "--json"]
        path = self.folder.parent / f"worker-{new_id()}.log"
        with path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=self.folder, env=dict(self.env), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            await _ready(process, path)
            yield process
        finally:
            await stop(process)


async def _ready(process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until a worker says that it takes tasks."""
    deadline_s = time.monotonic() + READY_S
    while process.returncode is None and time.monotonic() < deadline_s:
        if _READY in _said_by(log):
            return
        await asyncio.sleep(LOOK_EVERY_S)
    said = _said_by(log)[-_SHOWN_CHARS:]
    raise ServerUnavailable(f"a worker does not start: {said or 'it said nothing'}")


def _said_by(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace").strip()


@asynccontextmanager
async def queue_stage(env: Mapping[str, str], name: str, server: Mapping[str, int]) -> AsyncIterator[QueueStage]:
    """Set everything up, but start no worker; nothing is left of it.

    Raises:
        InterlockError: the database or the tool server can't be used.
    """
    async with AsyncExitStack() as stack:
        folder, own = await stack.enter_async_context(throwaway(env, name))
        write_queue_project(folder, server)
        settings, project = Settings.from_env(own), await asyncio.to_thread(check_project, folder, own)
        ground = await stack.enter_async_context(foundation(settings, project, own))
        await apply_version(ground.database, project, UP)
        postgres = EmbeddedPostgres(settings.home / "postgres", PostgresBinaries.find(own), clock=SystemClock())
        attached = await postgres.attach_async()
        stack.push_async_callback(postgres.detach_async)
        yield QueueStage(folder, own, ground.database, project, attached.owner_conninfo)


@asynccontextmanager
async def with_tools(stage: QueueStage) -> AsyncIterator[None]:
    """Have the tool server run, its tools accepted, as when `up` runs."""
    tools = hosted_tools(Settings.from_env(stage.env), stage.project, stage.env)
    try:
        await tools.start()
        await Fleet(stage.database, stage.project, tools).accept_first_seen("bench")
        yield
    finally:
        await tools.stop()
