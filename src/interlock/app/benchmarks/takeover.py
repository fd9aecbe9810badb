"""SIGKILL of a worker with runs in hand, many times: how long until another worker has each of them."""

import asyncio
import os
import signal
import statistics
import time
from contextlib import AsyncExitStack

from interlock import orchestrator
from interlock.app.benchmarks.queue_stage import LASTING, LOOK_EVERY_S, READY_S, QueueStage, with_tools
from interlock.app.benchmarks.report import Order, Row
from interlock.config import new_id
from interlock.model import ServerUnavailable, Task, TaskState
from interlock.store import executor_rows

ENOUGH = 10
RUNS = 8  # no more than one worker has room for
_TOLD_EVERY = 5


async def measure_takeover(stage: QueueStage, order: Order) -> tuple[Row, float | None]:
    """Kill workers; a row, and the longest time if that was done often enough to say it.

    Raises:
        ServerUnavailable: runs are not taken over in time.
    """
    took_s: list[float] = []
    async with with_tools(stage), AsyncExitStack() as stack:
        await stack.enter_async_context(stage.worker())
        for number in range(order.effort.kills):
            await stack.enter_async_context(stage.worker())
            took_s += await _one_kill(stage)
            if (number + 1) % _TOLD_EVERY == 0:
                order.tell(f"{number + 1} kills, {len(took_s)} runs taken over after {max(took_s):.2f} s at most")
    row = {
        "part": "takeover",
        "name": "SIGKILL of one of two workers",
        "kills": order.effort.kills,
        "runs": len(took_s),
        "p50_s": round(statistics.median(took_s), 3),
        "max_s": round(max(took_s), 3),
        "note": "" if order.effort.kills >= ENOUGH else f"not judged: fewer than {ENOUGH} kills",
    }
    return row, max(took_s) if order.effort.kills >= ENOUGH else None


async def _one_kill(stage: QueueStage) -> list[float]:
    """Kill the worker that has more runs in hand; how long it took until each of them was running again."""
    submitted = [await stage.submit(LASTING, f"last {number} {new_id()}") for number in range(RUNS)]
    running = [await stage.until(task, TaskState.RUNNING) for task in submitted]
    holders = [task.executor_id for task in running]
    victim = statistics.mode(holders)
    pid = await _pid_of(stage, victim)
    lost = [task for task in running if task.executor_id == victim]
    began_s = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    took_s = await asyncio.gather(*(_elsewhere(stage, task, began_s) for task in lost))
    for task in running:
        await orchestrator.cancel(stage.database, task.id, "bench")
    for task in running:
        await stage.until(task, TaskState.CANCELLED)
    return list(took_s)


async def _pid_of(stage: QueueStage, executor_id: str | None) -> int:
    async with stage.database.transaction() as tx:
        for row in await executor_rows.listing(tx):
            if row["executor_id"] == executor_id:
                return int(row["pid"])
    raise ServerUnavailable("a worker that has runs in hand is not known")


async def _elsewhere(stage: QueueStage, task: Task, began_s: float) -> float:
    """Wait until another worker has a run.

    Raises:
        ServerUnavailable: that takes too long.
    """
    while True:
        now = await stage.get(task.id)
        took_s = time.monotonic() - began_s
        if now.state is TaskState.RUNNING and now.executor_id not in (None, task.executor_id):
            return took_s
        if took_s > READY_S:
            raise ServerUnavailable(f"a run of a killed worker is {now.state} after {READY_S:g} s: {now.state_reason}")
        await asyncio.sleep(LOOK_EVERY_S)
