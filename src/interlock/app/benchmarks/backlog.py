"""Whether a long queue is a slow one: the same work with few tasks waiting and with many, in turns."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from interlock import audit, orchestrator
from interlock.app.benchmarks.queue_stage import QUICK, QueueStage
from interlock.app.benchmarks.races import CONCURRENCY, RACE_S
from interlock.config import new_id
from interlock.model import ServerUnavailable, TaskRequest
from interlock.store import admission_rows, task_rows

FEW = 100
_BATCH = 500
_CONNECTIONS = 2
_LOOK_EVERY_S = 0.05
_TOLD_EVERY = 20_000


@dataclass
class Level:
    """A queue in which so many tasks wait all the time, while others run; it is filled before.

    Attributes:
        stage: a worker takes from it during a race only.
        waiting: how many wait.
    """

    stage: QueueStage
    waiting: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.waiting} queued"

    async def fill(self, tell: Callable[[str], None]) -> None:
        """Take in as many as shall wait, by the statement that a submit is, many in one commit; chain their records."""
        await self._add(self.waiting + CONCURRENCY, tell)
        while await audit.sequence(self.stage.database):
            pass

    async def _add(self, tasks: int, tell: Callable[[str], None] | None = None) -> None:
        sizes = [min(_BATCH, tasks - begun) for begun in range(0, tasks, _BATCH)]
        rest, added = iter(sizes), 0

        async def add() -> None:
            nonlocal added
            for size in rest:
                await self._add_batch(size)
                added += size
                if tell is not None and added % _TOLD_EVERY == 0:
                    tell(f"{added} of {tasks} tasks wait")

        await asyncio.gather(*(add() for _ in range(_CONNECTIONS)))

    async def _add_batch(self, tasks: int) -> None:
        project, limits = self.stage.project, orchestrator.limits_of(self.stage.project.config.agents[QUICK], None)
        async with self.stage.database.transaction() as tx:
            now = tx.clock.now()
            admissions = [
                orchestrator.admission_of(now, project, TaskRequest(QUICK, f"task {new_id()}"), limits, "bench")
                for _ in range(tasks)
            ]
            await admission_rows.admit_many(tx, admissions)

    async def race(self, tasks: int) -> float:
        """Have so many tasks completed while as many others come in.

        Raises:
            ServerUnavailable: that takes too long.
        """
        async with self.stage.worker():
            await self._pass(2 * CONCURRENCY)
            return await self._pass(tasks)

    async def _pass(self, tasks: int) -> float:
        database, came, done = self.stage.database, 0, 0
        began = database.clock.now()
        try:
            async with asyncio.timeout(RACE_S):
                while True:
                    async with database.transaction() as tx:
                        done, last = await task_rows.completed_since(tx, began)
                    for _ in range(min(done, tasks) - came):
                        await self.stage.submit(QUICK, f"task {new_id()}")
                    came = min(done, tasks)
                    if done >= tasks and last is not None:
                        return (last - began).total_seconds() * tasks / done
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError as error:
            raise ServerUnavailable(f"{done} of {tasks} tasks were completed within {RACE_S:g} s") from error
