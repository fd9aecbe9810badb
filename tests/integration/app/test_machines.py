"""Two machines, each with a folder of its own, on one database: who takes tasks when another configuration is applied.

The machines are worker processes of this one with names of their own.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from interlock.app import Control, Plane, apply_version, check_project, erase_embedded, plane_of, roll_back
from interlock.config import Settings

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
PERSON = "person:ann"
PATIENCE_S = 60.0
APPEND = {"id": "a", "call": "log.append", "args": {"key": "{{ inputs.key }}", "text": "x"}}


def config(log: Path, **server: Any) -> dict[str, Any]:
    contracts = {"append": {"class": "write", "egress": False, "control": ["key"], "output": "trusted"}}
    args = ["-m", "interlock.testing.faulty_server", "--mode", "ok", "--log", str(log)]
    tool = {"command": sys.executable, "args": args, "contracts": contracts, "sandbox": {"write": [str(log.parent)]}}
    ask = {"id": "ask", "when": {"agent": "asks", "tool": "log.append"}, "then": "ask"}
    return {
        "tools": {"log": {**tool, **server}},
        "agents": {name: {"model": f"playbook:{name}", "tools": ["log.*"]} for name in ("says", "asks")},
        "policy": {"rules": [ask]},
    }


@dataclass
class Machines:
    """The database, the control plane of the first machine, and the workers of both."""

    root: Path
    log: Path
    env: dict[str, str]
    plane: Plane
    workers: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def control(self) -> Control:
        return self.plane.control

    def folder(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, result: str, **server: Any) -> None:
        """What the folder of a machine says; `result` is what its agents answer."""
        write_folder(self.folder(name), self.log, result, **server)

    async def apply(self, name: str) -> dict[str, Any]:
        project = await asyncio.to_thread(check_project, self.folder(name), self.env)
        return await apply_version(self.control.database, project, PERSON)

    async def start(self, name: str) -> None:
        command = [sys.executable, "-m", "interlock", "worker", "--project", str(self.folder(name))]
        env = {**self.env, "INTERLOCK_HOST": name}
        with (self.root / f"{name}.log").open("ab") as log:
            self.workers[name] = await asyncio.create_subprocess_exec(*command, env=env, stdout=log, stderr=log)

    async def worker(self, name: str) -> dict[str, Any] | None:
        """What the status says of a machine's worker."""
        found = (await self.control.status())["workers"]
        return next((worker for worker in found if worker["host"] == name), None)

    async def until(self, name: str, *, idle: bool, sha256: str | None = None) -> dict[str, Any]:
        """Wait until a machine's worker takes tasks, or does not, and has a version."""
        worker = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    worker = await self.worker(name)
                    fits = worker is not None and (worker["idle_because"] is not None) is idle
                    if worker is not None and fits and sha256 in (None, worker["config_sha256"]):
                        return worker
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise TimeoutError(f"{worker}\n{(self.root / f'{name}.log').read_text()[-2000:]}") from error

    async def submit(self, agent: str, key: str) -> str:
        task, _ = await self.control.submit({"agent": agent, "text": "go", "inputs": {"key": key}}, PERSON)
        return str(task["id"])

    async def rest(self, task_id: str, *states: str) -> dict[str, Any]:
        view: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (view := await self.control.task(task_id))["state"] not in states:
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise TimeoutError(f"{view['state']}: {view['state_reason']}") from error
        return view

    async def done(self, agent: str, key: str) -> str:
        """What a new task answers."""
        view = await self.rest(await self.submit(agent, key), "completed", "failed", "escalated")
        return str((view["result"] or {}).get("text", view["state_reason"]))

    async def taken_by(self, task_id: str) -> str:
        """The machine that began a task."""
        records = await self.control.audit(task_id, 1000)
        actor = next(r["actor"] for r in records if r["event"] == "task.state" and r["detail"]["to"] == "running")
        return str(actor).removeprefix("worker:").partition("-")[0]


def write_folder(folder: Path, log: Path, result: str, **server: Any) -> None:
    (folder / "playbooks").mkdir(parents=True, exist_ok=True)
    (folder / "interlock.yaml").write_text(json.dumps(config(log, **server)))
    for name, steps in (("says", []), ("asks", [APPEND])):
        playbook = {"version": 1, "steps": [*steps, {"result": result}]}
        (folder / "playbooks" / f"{name}.yaml").write_text(json.dumps(playbook))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machines(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machines]:
    root = tmp_path_factory.mktemp("machines")
    log = root / "logs" / "effects.jsonl"
    log.parent.mkdir()
    dropped = ("INTERLOCK_DATABASE_URL", "INTERLOCK_URL", "INTERLOCK_TOKEN")
    env = {name: value for name, value in os.environ.items() if name not in dropped}
    env |= {"INTERLOCK_HOME": str(root / "home"), "INTERLOCK_HOST": "alpha"}
    for name in ("alpha", "beta"):
        write_folder(root / name, log, "one")
    project = check_project(root / "alpha", env)
    try:
        async with plane_of(Settings.from_env(env), project, env) as plane:
            found = Machines(root, log, env, plane)
            assert not await plane.control.fleet.accept_first_seen(PERSON)
            following = asyncio.create_task(plane.run())
            try:
                for name in ("alpha", "beta"):
                    await found.start(name)
                yield found
            finally:
                for worker in found.workers.values():
                    worker.send_signal(signal.SIGTERM)
                await asyncio.gather(*(worker.wait() for worker in found.workers.values()))
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
    finally:
        erase_embedded(root / "home", env)
        (root / "alpha.log").exists() and shutil.copy(root / "alpha.log", "/tmp/w/c_alpha.log")
        shutil.copy(root / "beta.log", "/tmp/w/c_beta.log")
        shutil.rmtree(root, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="module")
async def both(machines: Machines) -> Machines:
    """Both machines have the same files, which are applied, and work by them."""
    for name in ("alpha", "beta"):
        machines.write(name, "one")
    applied = await machines.apply("alpha")
    for name in ("alpha", "beta"):
        await machines.until(name, idle=False, sha256=applied["sha256"])
    async with asyncio.timeout(PATIENCE_S):
        while machines.control.project.sha256 != applied["sha256"]:
            await asyncio.sleep(0.1)
    return machines


async def test_agents_come_from_what_was_applied_without_a_restart(both: Machines) -> None:
    before = {name: (await both.until(name, idle=False))["pid"] for name in ("alpha", "beta")}
    both.write("alpha", "two")
    assert await both.done("says", "still-old") == "one", "files that were not applied changed what is done"
    applied = await both.apply("alpha")
    assert [change["path"] for change in applied["changes"]] == [
        "playbooks.asks.steps",
        "playbooks.says.steps",
    ]
    for name, pid in before.items():
        assert (await both.until(name, idle=False, sha256=applied["sha256"]))["pid"] == pid
    async with asyncio.timeout(PATIENCE_S):
        while both.control.project.sha256 != applied["sha256"]:
            await asyncio.sleep(0.1)
    assert [await both.done("says", f"new-{n}") for n in range(6)] == ["two"] * 6
    back = await roll_back(both.control.database, applied["number"] - 1, PERSON)
    for name in before:
        await both.until(name, idle=False, sha256=back["sha256"])


async def test_a_machine_without_what_a_version_needs_takes_no_tasks_and_says_why(both: Machines) -> None:
    both.write("alpha", "two", call_timeout="50s")
    applied = await both.apply("alpha")
    idle = await both.until("beta", idle=True)
    await both.until("alpha", idle=False, sha256=applied["sha256"])
    said = "the tool server log is not the same here"
    assert said in idle["idle_because"]
    assert any(f"beta:{idle['pid']} takes no tasks" in line for line in (await both.control.status())["warnings"])
    assert (await both.control.ready())["idle_workers"] == 1
    assert said in (both.root / "beta.log").read_text()
    async with asyncio.timeout(PATIENCE_S):
        while both.control.project.sha256 != applied["sha256"]:
            await asyncio.sleep(0.1)
    tasks = [await both.submit("says", f"alpha-only-{n}") for n in range(8)]
    for task in tasks:
        assert (await both.rest(task, "completed"))["result"]["text"] == "two"
        assert await both.taken_by(task) == "alpha"
    both.write("beta", "two", call_timeout="50s")
    assert (await both.until("beta", idle=False, sha256=applied["sha256"]))["pid"] == idle["pid"]


async def test_a_task_keeps_the_version_of_its_agent(both: Machines) -> None:
    waits = await both.submit("asks", "waits")
    await both.rest(waits, "waiting_approval")
    await both.control.halt("queue:all", "a test", PERSON)
    queued = await both.submit("says", "queued")
    for name in ("alpha", "beta"):
        both.write(name, "two")
    applied = await both.apply("alpha")
    for name in ("alpha", "beta"):
        await both.until(name, idle=False, sha256=applied["sha256"])
    await both.control.halt("queue:all", None, PERSON)
    question = next(one for one in await both.control.approvals(pending_only=True) if one["task"] == waits)
    verdict = {"decision": "approve", "binding_sha256": question["binding_sha256"]}
    await both.control.decide(question["id"], verdict, PERSON)
    assert (await both.rest(queued, "completed"))["result"]["text"] == "one"
    assert (await both.rest(waits, "completed"))["result"]["text"] == "one"
    async with asyncio.timeout(PATIENCE_S):
        while both.control.project.sha256 != applied["sha256"]:
            await asyncio.sleep(0.1)
    assert await both.done("says", "after") == "two"
