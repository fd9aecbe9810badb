"""One worker in this process on a database of its own, a project whose tools misbehave on request, and a person."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from interlock.app import Control, Fleet, Foundation, check_project, keep_version, worker_of
from interlock.config import Settings
from interlock.model import VERSION
from interlock.store import parse_dsn
from interlock.testing.postgres import TestPostgres, open_database

from .fleet import WorkerFleet, fleet_of

PERSON = "person:ann"
FINAL = ("completed", "failed", "cancelled", "timed_out", "rejected")
RESTING = (*FINAL, "escalated", "waiting_approval")
PATIENCE_S = 30.0

READ = {"class": "read", "egress": False, "output": "trusted"}
WRITE = {"class": "write", "egress": False, "control": ["key"], "output": "trusted"}
INVERSE = {"tool": "log.append", "args": {"key": "undo-{key}", "text": "undone"}}
ODD = ("flaky", "hopeless", "changes")  # agents that have a server of their own
FAST = {"max_runs": 3, "retry_delay": "0.1s"}


def faulty(mode: str, log: Path, **contracts: Any) -> dict[str, Any]:
    """A tool server that misbehaves in one way."""
    args = ["-m", "interlock.testing.faulty_server", "--mode", mode, "--log", str(log)]
    return {"command": sys.executable, "args": args, "contracts": contracts, "sandbox": {"write": [str(log.parent)]}}


def call(step: str, tool: str, **args: Any) -> dict[str, Any]:
    """One step of a playbook."""
    return {"id": step, "call": tool, "args": args}


def append(step: str, tool: str = "log.append", delay_s: float | str = 0.0) -> dict[str, Any]:
    """A step with an effect; its key is the task's, and the step."""
    return call(step, tool, key="{{ inputs.key }}/" + step, text="x", delay_s=delay_s)


PLAYBOOKS: dict[str, list[dict[str, Any]]] = {
    "simple": [append("a"), append("b")],
    "slow": [append("a", delay_s=30.0)],
    "hasty": [append("a", delay_s=30.0)],
    "flaky": [append("a", "log.append_keyed"), call("b", "flaky.flaky")],
    "hopeless": [call("a", "hopeless.flaky")],
    "stained": [call("a", "log.big", bytes=3), call("b", "hopeless.flaky")],
    "asks": [append("a"), append("b", "log.append_keyed"), append("c")],
    "asks-briefly": [append("b", "log.append_keyed")],
    "halted": [append("a")],
    "unknown": [call("a", "log.nothing")],
    "changes": [call("a", "changes.echo", text="one")],
}


def config(log: Path) -> dict[str, Any]:
    """The project."""
    contracts = {
        "append": {**WRITE, "inverse": INVERSE},
        "append_keyed": {**WRITE, "inverse": INVERSE, "idempotent": True},
        "lookup": READ,
        "echo": READ,
        "big": {"class": "read", "egress": False},  # and what it returns is not to be believed
    }
    agents: dict[str, Any] = {
        name: {"model": f"playbook:{name}", "tools": ["log.*", *([f"{name}.*"] if name in ODD else [])], "limits": FAST}
        for name in PLAYBOOKS
    }
    agents["hasty"]["limits"] = {**FAST, "max_duration": "1s"}
    agents["hopeless"]["limits"] = agents["stained"]["limits"] = {**FAST, "max_runs": 2}
    agents["stained"]["tools"] = ["log.*", "hopeless.*"]
    agents["asks-briefly"]["approval_ttl"] = "1s"
    ask = {"when": {"agent": "asks*", "tool": "log.append_keyed"}, "then": "ask"}
    return {
        "tools": {
            "log": faulty("ok", log, **contracts),
            "flaky": faulty("flaky:2", log, flaky=READ),
            "hopeless": faulty("flaky:99", log.with_name("hopeless.jsonl"), flaky=READ),
            "changes": faulty("changes", log, echo=READ),
        },
        "agents": agents,
        "policy": {"rules": [{"id": "ask-first", **ask}]},
    }


@dataclass
class House:
    """What a test works with."""

    control: Control
    owner_conninfo: str
    log: Path

    async def submit(self, agent: str, key: str, **more: Any) -> str:
        """A task; its id."""
        body = {"agent": agent, "text": "go", "inputs": {"key": key}, **more}
        task, _ = await self.control.submit(body, PERSON)
        return str(task["id"])

    async def rest(self, task_id: str, *states: str) -> dict[str, Any]:
        """Wait until a task is in one of these states, by default any in which it stays."""
        view = await self.control.task(task_id)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (view := await self.control.task(task_id))["state"] not in (states or RESTING):
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            calls = [(call["tool"], call["state"], call["reasons"]) for call in view["calls"]]
            raise TimeoutError(f"the task is {view['state']}: {view['state_reason']}; {calls}") from error
        return view

    async def question(self, task_id: str) -> dict[str, Any]:
        """Wait for the approval that a task needs."""
        await self.rest(task_id, "waiting_approval")
        return next(a for a in await self.control.approvals(pending_only=True) if a["task"] == task_id)

    async def answer(self, approval: dict[str, Any], decision: str, reason: str = "") -> None:
        """Decide it."""
        verdict = {"decision": decision, "reason": reason, "binding_sha256": approval["binding_sha256"]}
        await self.control.decide(approval["id"], verdict, PERSON)

    def effects(self, key: str) -> list[str]:
        """The steps of a task that took effect, by the server's own log."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [line["key"].partition("/")[2] for line in lines if line["key"].startswith(f"{key}/")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(interlock_postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A worker that works, for all tests of a module."""
    folder = tmp_path_factory.mktemp("project")
    playbooks = {name: {"steps": steps, "result": "done"} for name, steps in PLAYBOOKS.items()}
    async with house_of(interlock_postgres, folder, config, playbooks) as built:
        yield built


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dock(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WorkerFleet]:
    """Where worker processes are started, for all tests of a module."""
    async with fleet_of(tmp_path_factory.mktemp("stage")) as built:
        yield built


@pytest_asyncio.fixture(loop_scope="module")
async def fleet(dock: WorkerFleet) -> AsyncIterator[WorkerFleet]:
    """No workers at first, none afterwards."""
    yield dock
    await dock.empty()


@asynccontextmanager
async def house_of(
    interlock_postgres: TestPostgres,
    folder: Path,
    configured: Callable[[Path], dict[str, Any]],
    playbooks: dict[str, dict[str, Any]],
) -> AsyncIterator[House]:
    """A worker that works on a project; `configured` makes the configuration for the place of the effects' log."""
    log = folder / "logs" / "effects.jsonl"
    log.parent.mkdir()
    (folder / "playbooks").mkdir()
    (folder / "interlock.yaml").write_text(json.dumps(configured(log)))
    for name, playbook in playbooks.items():
        (folder / "playbooks" / f"{name}.yaml").write_text(json.dumps({"version": 1, **playbook}))
    env = {**os.environ, "INTERLOCK_HOME": str(folder / "home")}
    settings, project = Settings.from_env(env), check_project(folder, env)
    conninfo, url = interlock_postgres.fresh()
    async with open_database(conninfo) as database:
        worker, toolbox = worker_of(Foundation(database, conninfo, url, "test"), settings, project, env)
        stop = asyncio.Event()
        await keep_version(database, project)
        control = Control(database, project, Fleet(database, project, toolbox), VERSION)
        assert not await control.fleet.accept_first_seen(PERSON)
        work = asyncio.create_task(worker.run(stop))
        try:
            owner = interlock_postgres.attached.conninfo("interlock_owner", parse_dsn(conninfo)["dbname"])
            yield House(control, owner, log)
        finally:
            stop.set()
            await asyncio.wait_for(work, 60.0)
            await toolbox.stop()
