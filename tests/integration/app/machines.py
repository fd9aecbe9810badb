"""Machines for tests: worker processes of this one, each with a name and a project folder, on one database."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.app import Control, Plane, apply_version, check_project, erase_embedded, plane_of
from interlock.config import Settings

PERSON = "person:ann"
NAMES = ("alpha", "beta")
PATIENCE_S = 150.0  # a worker needs ten seconds to import what it needs, on a machine that is busy
EMPTY: dict[str, Any] = {"agents": {}}


@dataclass
class Machines:
    """The database, a control plane on the first machine, and the workers of both."""

    root: Path
    env: dict[str, str]
    plane: Plane
    workers: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def control(self) -> Control:
        """What answers now."""
        return self.plane.control

    def folder(self, name: str) -> Path:
        """The project folder of a machine."""
        return self.root / name

    def write(
        self, name: str, config: dict[str, Any], playbooks: dict[str, list[dict[str, Any]]], result: str = "done"
    ) -> None:
        """What the folder of a machine says; `result` is what its agents answer."""
        folder = self.folder(name)
        (folder / "playbooks").mkdir(parents=True, exist_ok=True)
        (folder / "interlock.yaml").write_text(json.dumps(config))
        for known in (folder / "playbooks").iterdir():
            known.unlink()
        for playbook, steps in playbooks.items():
            body = {"version": 1, "steps": [*steps, {"result": result}]}
            (folder / "playbooks" / f"{playbook}.yaml").write_text(json.dumps(body))

    async def apply(self, name: str) -> dict[str, Any]:
        """Apply what the folder of a machine says."""
        project = await asyncio.to_thread(check_project, self.folder(name), self.env)
        return await apply_version(self.control.database, project, PERSON)

    async def followed(self, sha256: str) -> None:
        """Wait until the control plane works by a version, with its tools."""
        async with asyncio.timeout(PATIENCE_S):
            while self.control.project.sha256 != sha256:
                await asyncio.sleep(0.1)
            while any(tool["state"] != "ready" for tool in (await self.control.status())["tools"]):
                await asyncio.sleep(0.1)

    async def apply_everywhere(self) -> dict[str, Any]:
        """Apply what all folders say, and wait until everyone works by it."""
        applied = await self.apply("alpha")
        for name in NAMES:
            worker = self.workers.get(name)
            if worker is None or worker.returncode is not None:
                await self.start(name)
        for name in NAMES:
            await self.until(name, idle=False, sha256=applied["sha256"])
        await self.followed(applied["sha256"])
        assert not await self.control.fleet.accept_first_seen(PERSON)
        return applied

    async def start(self, name: str) -> None:
        """Start the worker of a machine."""
        command = [sys.executable, "-m", "interlock", "worker", "--project", str(self.folder(name))]
        env = {**self.env, "INTERLOCK_HOST": name, "INTERLOCK_PARENT_PID": str(os.getpid())}  # so that none is left
        with (self.root / f"{name}.log").open("ab") as log:
            self.workers[name] = await asyncio.create_subprocess_exec(*command, env=env, stdout=log, stderr=log)

    async def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop the worker of a machine, and wait until it is gone."""
        self.workers[name].send_signal(how)
        await asyncio.wait_for(self.workers[name].wait(), PATIENCE_S)

    async def until(self, name: str, *, idle: bool, sha256: str | None = None) -> dict[str, Any]:
        """Wait until a machine's worker takes tasks, or does not, and has a version."""
        worker = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    found = (await self.control.status())["workers"]
                    pid = self.workers[name].pid
                    worker = next((one for one in found if (one["host"], one["pid"]) == (name, pid)), None)
                    fits = worker is not None and (worker["idle_because"] is not None) is idle
                    if worker is not None and fits and sha256 in (None, worker["config_sha256"]):
                        known: dict[str, Any] = worker
                        return known
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise TimeoutError(f"{worker}\n{(self.root / f'{name}.log').read_text()[-2000:]}") from error

    async def submit(self, agent: str, key: str) -> str:
        """A task; its id."""
        task, _ = await self.control.submit({"agent": agent, "text": "go", "inputs": {"key": key}}, PERSON)
        return str(task["id"])

    async def rest(self, task_id: str, *states: str) -> dict[str, Any]:
        """Wait until a task is in one of these states."""
        view: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (view := await self.control.task(task_id))["state"] not in states:
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            calls = [(call["tool"], call["state"], call["reasons"]) for call in view["calls"]]
            raise TimeoutError(f"{view['state']}: {view['state_reason']}; {calls}") from error
        return view

    async def done(self, agent: str, key: str) -> str:
        """What a new task answers."""
        view = await self.rest(await self.submit(agent, key), "completed", "failed", "escalated")
        return str((view["result"] or {}).get("text", view["state_reason"]))

    async def approve(self, task_id: str) -> None:
        """Approve what a task waits for."""
        question = next(one for one in await self.control.approvals(pending_only=True) if one["task"] == task_id)
        verdict = {"decision": "approve", "binding_sha256": question["binding_sha256"]}
        await self.control.decide(question["id"], verdict, PERSON)

    async def taken_by(self, task_id: str) -> str:
        """The machine that began a task."""
        records = await self.control.audit(task_id, 1000)
        actor = next(r["actor"] for r in records if r["event"] == "task.state" and r["detail"]["to"] == "running")
        return str(actor).removeprefix("worker:").partition("-")[0]


@asynccontextmanager
async def machines_in(root: Path) -> AsyncIterator[Machines]:
    """Two machines that know nothing yet, and a control plane that follows what is applied."""
    dropped = ("INTERLOCK_DATABASE_URL", "INTERLOCK_URL", "INTERLOCK_TOKEN")
    env = {name: value for name, value in os.environ.items() if name not in dropped}
    env |= {"INTERLOCK_HOME": str(root / "home"), "INTERLOCK_HOST": "alpha"}
    for name in NAMES:
        (root / name).mkdir()
        (root / name / "interlock.yaml").write_text(json.dumps(EMPTY))
    project = check_project(root / "alpha", env)
    try:
        async with plane_of(Settings.from_env(env), project, env) as plane:
            found = Machines(root, env, plane)
            following = asyncio.create_task(plane.run())
            try:
                yield found
            finally:
                for worker in found.workers.values():
                    if worker.returncode is None:
                        worker.send_signal(signal.SIGTERM)
                await asyncio.gather(*(worker.wait() for worker in found.workers.values()))
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
    finally:
        erase_embedded(root / "home", env)
