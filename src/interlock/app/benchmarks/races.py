"""Queues take turns at the same work: so many tasks, from the first submit until the last result is there.

In each race 64 callers take tasks in while one worker process takes them from the queue, 64 at a time. A worker starts
for its race and ends with it, so that whoever's turn it is has the machine, the Postgres and the disk to itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from interlock.app.benchmarks.load import Remote
from interlock.app.benchmarks.queue_stage import LOOK_EVERY_S, QUICK, QueueStage
from interlock.app.benchmarks.report import Row
from interlock.app.benchmarks.rivals import driver
from interlock.app.benchmarks.rounds import Measured, Sample
from interlock.config import new_id
from interlock.model import InterlockError, ServerUnavailable
from interlock.store import task_rows

CALLERS = CONCURRENCY = 64
RACE_S = 180.0
OURS = "interlock"
PEERS = {
    "vs_floor": "skip_locked",
    "vs_dbos": "plain_dbos",
    "vs_procrastinate": "procrastinate_queue",
    "vs_celery_always": "celery_redis",
}
_DIGITS = 1


class Racer(Protocol):
    """A queue."""

    @property
    def name(self) -> str:
        """For people."""

    async def race(self, tasks: int) -> float:
        """Take so many tasks in and have them run; the seconds that it took.

        Raises:
            InterlockError: it can't be measured.
        """


@dataclass(frozen=True)
class Ours:
    """The product's own queue."""

    stage: QueueStage
    name: str = OURS

    async def race(self, tasks: int) -> float:
        """Start a worker, warm it up, and race."""
        async with self.stage.worker():
            await self._lap(2 * CALLERS)
            return await self._lap(tasks)

    async def _lap(self, tasks: int) -> float:
        database = self.stage.database
        lap, numbers = new_id(), iter(range(tasks))
        began = database.clock.now()

        async def call() -> None:
            for number in numbers:
                await self.stage.submit(QUICK, f"task {number} of {lap}")

        try:
            async with asyncio.timeout(RACE_S):
                await asyncio.gather(*(call() for _ in range(min(CALLERS, tasks))))
                while True:
                    async with database.transaction() as tx:
                        done, last = await task_rows.completed_since(tx, began)
                    if done >= tasks and last is not None:
                        return (last - began).total_seconds()
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError as error:
            raise ServerUnavailable(f"{tasks} tasks were not completed within {RACE_S:g} s") from error


@dataclass(frozen=True)
class Peer:
    """Another queue, in its driver."""

    name: str
    remote: Remote

    async def race(self, tasks: int) -> float:
        """Have the driver race."""
        return float((await self.remote.ask({"tasks": tasks}, 2 * RACE_S))["seconds"])


@asynccontextmanager
async def peer(name: str, postgres: str) -> AsyncIterator[Peer]:
    """Start the driver of another queue on the same Postgres.

    Raises:
        ServerUnavailable: there is no driver, or it can't be installed or started.
    """
    async with driver(name, "--database", postgres) as (process, _):
        yield Peer(name, Remote(name, process))


async def run_races(
    racers: Sequence[Racer], rounds: int, tasks: int, tell: Callable[[str], None]
) -> dict[str, Measured]:
    """Let them race, round by round, every other round backwards; one that fails once is out of the race."""
    found = {racer.name: Measured(racer.name) for racer in racers}
    for number in range(rounds):
        for racer in racers[:: 1 if number % 2 == 0 else -1]:
            measured = found[racer.name]
            if not measured.trouble:
                measured.load.append(await _race(racer, tasks))
        told = (f"{one.name} {one.load[-1].per_s:.0f}/s" for one in found.values())
        tell(f"round {number + 1} of {rounds}: " + ", ".join(told))
    return found


async def _race(racer: Racer, tasks: int) -> Sample:
    try:
        seconds = await racer.race(tasks)
    except InterlockError as error:
        return Sample(0, 0.0, None, None, tasks, error.message)
    return Sample(tasks, tasks / seconds, None, None)


def row_of(measured: Measured) -> Row:
    """Shape `{part, name, tasks, per_s, per_s_by_round, note}`."""
    per_s = measured.per_s
    return {
        "part": "races",
        "name": measured.name,
        "tasks": sum(sample.calls for sample in measured.load),
        "per_s": None if per_s is None else round(per_s, _DIGITS),
        "per_s_by_round": [round(sample.per_s, _DIGITS) for sample in measured.load],
        "note": measured.trouble,
    }
