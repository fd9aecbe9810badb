"""Real worker processes, forked as in the kill storm; the reaper is called by the test, with less patience than in life."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.torture.stage import Stage, Workers

from interlock.app import Control, check_project, control_of, this_host
from interlock.config import Settings
from interlock.orchestrator import Patience, reap

PERSON = "person:ann"
SOON = Patience(silent_s=1.0, hung_s=1.0, orphan_s=15.0)
PATIENCE_S = 40.0


@dataclass
class WorkerFleet:
    """Worker processes, the control plane, and the tool server's log."""

    control: Control
    stage: Stage
    workers: Workers

    async def submit(self, agent: str, key: str, delay_s: float, **more: Any) -> str:
        inputs = {"key": key, "delay_s": delay_s, "linger_s": 0}
        body = {"agent": agent, "text": "go", "inputs": inputs, **more}
        task, _ = await self.control.submit(body, PERSON)
        return str(task["id"])

    async def spawn(self) -> int:
        """One more worker, once it has joined."""
        pid = await self.workers.spawn()
        async with asyncio.timeout(PATIENCE_S):
            while pid not in [worker["pid"] for worker in (await self.control.status())["workers"]]:
                await asyncio.sleep(0.02)
        return pid

    async def until(self, task_id: str, *states: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while (view := await self.control.task(task_id))["state"] not in states:
                await asyncio.sleep(0.05)
        return view

    async def called(self, task_id: str, state: str = "started") -> None:
        """Wait until the last call of a task is in a state."""
        async with asyncio.timeout(PATIENCE_S):
            while [call["state"] for call in (await self.control.task(task_id))["calls"]][-1:] != [state]:
                await asyncio.sleep(0.02)

    async def take_over(self, task_id: str) -> None:
        """Reap until the task is out of the hands of whoever held it."""
        async with asyncio.timeout(PATIENCE_S):
            while await reap(self.control.database, this_host().name, SOON) == 0:
                assert (await self.control.task(task_id))["state"] == "running"
                await asyncio.sleep(0.2)

    async def holder(self, task_id: str) -> int | None:
        """The process that holds a task."""
        worker = (await self.control.task(task_id))["worker"]
        return next((w["pid"] for w in (await self.control.status())["workers"] if w["id"] == worker), None)

    async def events(self, task_id: str) -> list[str]:
        return [record["event"] for record in reversed(await self.control.audit(task_id, 1000))]

    async def empty(self) -> None:
        for pid in list(self.workers.pids):
            await self.workers.kill(pid)
        while (await self.control.status())["workers"]:
            await reap(self.control.database, this_host().name, SOON)


@asynccontextmanager
async def fleet_of(folder: Path) -> AsyncIterator[WorkerFleet]:
    """A database and a project without workers."""
    stage = Stage(folder)
    stage.build(concurrency=2)
    settings, project = Settings.from_env(stage.env), check_project(stage.project, stage.env)
    async with control_of(settings, project, stage.env) as control:
        assert not await control.fleet.accept_first_seen(PERSON)
        workers = Workers(stage)
        try:
            await workers.open()
            yield WorkerFleet(control, stage, workers)
        finally:
            await workers.close()
    await asyncio.to_thread(stage.clear)
