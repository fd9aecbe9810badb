"""What tasks cost that wait for a person: room in the database, and no worker's time."""

import asyncio
import time

from interlock import audit
from interlock.app.benchmarks.queue_stage import ASKING, QUICK, READY_S, QueueStage, with_tools
from interlock.app.benchmarks.report import Row
from interlock.config import new_id
from interlock.model import ServerUnavailable, TaskState
from interlock.store import database_bytes, task_rows

ENOUGH = 1000
_WARM = 20
_CALLERS = 16
_LOOK_EVERY_S = 0.1
_KB = 1000


async def measure_waiting(stage: QueueStage, tasks: int) -> tuple[Row, float | None]:
    """Have so many tasks wait for an approval; a row, and what each takes in kB if they are enough to say it.

    Raises:
        ServerUnavailable: they do not get that far in time.
    """
    async with with_tools(stage), stage.worker():
        await _wait_for_people(stage, _WARM)
        before = await _bytes(stage)
        began_s = time.monotonic()
        await _wait_for_people(stage, tasks)
        took_s = time.monotonic() - began_s
        each_kb = (await _bytes(stage) - before) / tasks / _KB
        further = await stage.until(await stage.submit(QUICK, f"one more {new_id()}"), TaskState.COMPLETED)
        async with stage.database.transaction() as tx:
            waiting = (await task_rows.state_counts(tx)).get(TaskState.WAITING_APPROVAL, 0)
    started_ms = None
    if further.started_at is not None:
        started_ms = round((further.started_at - further.created_at).total_seconds() * 1000, 1)
    row = {
        "part": "waiting",
        "name": "tasks that wait for an approval",
        "tasks": tasks,
        "seconds": round(took_s, 1),
        "kb_each": round(each_kb, 2),
        "slots": stage.project.config.server.concurrency,
        "waiting_when_a_further_one_ran": waiting,
        "further_one_started_after_ms": started_ms,
        "note": "" if tasks >= ENOUGH else f"not judged: fewer than {ENOUGH}",
    }
    return row, each_kb if tasks >= ENOUGH else None


async def _wait_for_people(stage: QueueStage, tasks: int) -> None:
    async with stage.database.transaction() as tx:
        before = (await task_rows.state_counts(tx)).get(TaskState.WAITING_APPROVAL, 0)
    numbers = iter(range(tasks))

    async def call() -> None:
        for number in numbers:
            await stage.submit(ASKING, f"ask {number} {new_id()}")

    await asyncio.gather(*(call() for _ in range(_CALLERS)))
    deadline_s = time.monotonic() + READY_S + tasks / 10
    while True:
        async with stage.database.transaction() as tx:
            counts = await task_rows.state_counts(tx)
        if counts.get(TaskState.WAITING_APPROVAL, 0) >= before + tasks:
            return
        if time.monotonic() > deadline_s:
            raise ServerUnavailable(f"{tasks} tasks should wait for an approval, but they are {counts}")
        await asyncio.sleep(_LOOK_EVERY_S)


async def _bytes(stage: QueueStage) -> int:
    """The size of the database when all records have their place in the chain."""
    while await audit.sequence(stage.database):
        pass
    async with stage.database.transaction() as tx:
        return await database_bytes(tx)
