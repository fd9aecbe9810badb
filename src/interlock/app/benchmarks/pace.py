"""How soon a task starts when nothing else is to be done, and what workers ask of Postgres meanwhile."""

import asyncio
import secrets
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from interlock.app.benchmarks.queue_stage import QUICK, QueueStage
from interlock.app.benchmarks.report import Row
from interlock.config import new_id
from interlock.model import TaskState
from interlock.store import transactions

STARTS = 300
ENOUGH_STARTS = 200  # for a percentile of one in a hundred
ENOUGH_IDLE_S = 20.0
_SETTLE_S = 3.0
_BETWEEN_S = (0.02, 0.18)
_WARM = 20


@dataclass
class Paces:
    """What was measured; None was not, or not for long enough."""

    rows: list[Row] = field(default_factory=list)
    start_p50_ms: float | None = None
    start_p99_ms: float | None = None
    idle_per_s: float | None = None


async def measure_starts(stage: QueueStage, tasks: int, found: Paces) -> None:
    """From a submit until a worker has begun with the task: one at a time, ten a second, at random moments."""
    dice = secrets.SystemRandom()
    workers = stage.project.config.server.workers
    async with AsyncExitStack() as stack:
        for _ in range(workers):
            await stack.enter_async_context(stage.worker())
        submitted = []
        for number in range(_WARM + tasks):
            submitted.append(await stage.submit(QUICK, f"task {number} {new_id()}"))
            await asyncio.sleep(dice.uniform(*_BETWEEN_S))
        ended = [await stage.until(task, TaskState.COMPLETED) for task in submitted[_WARM:]]
    took_ms = sorted(
        (task.started_at - task.created_at).total_seconds() * 1000 for task in ended if task.started_at is not None
    )
    p50, p99 = statistics.median(took_ms), took_ms[min(len(took_ms) - 1, int(len(took_ms) * 0.99))]
    found.rows.append(
        {
            "part": "pace",
            "name": "submit to start",
            "tasks": len(took_ms),
            "workers": workers,
            "p50_ms": round(p50, 1),
            "p95_ms": round(took_ms[int(len(took_ms) * 0.95)], 1),
            "p99_ms": round(p99, 1),
            "max_ms": round(took_ms[-1], 1),
            "note": "" if len(took_ms) >= ENOUGH_STARTS else f"not judged: fewer than {ENOUGH_STARTS}",
        }
    )
    if len(took_ms) >= ENOUGH_STARTS:
        found.start_p50_ms, found.start_p99_ms = p50, p99


async def measure_idle(stage: QueueStage, seconds: float, found: Paces) -> None:
    """Transactions of one worker that has nothing to do, while nobody else asks for anything."""
    async with stage.worker():
        await asyncio.sleep(_SETTLE_S)
        before = await _transactions(stage)
        began_s = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        after, took_s = await _transactions(stage), asyncio.get_running_loop().time() - began_s
    per_s = (after - before) / took_s
    enough = seconds >= ENOUGH_IDLE_S
    found.rows.append(
        {
            "part": "pace",
            "name": "one idle worker",
            "seconds": round(took_s, 1),
            "transactions_per_s": round(per_s, 1),
            "note": "" if enough else f"not judged: less than {ENOUGH_IDLE_S:g} s",
        }
    )
    if enough:
        found.idle_per_s = per_s


async def _transactions(stage: QueueStage) -> int:
    async with stage.database.transaction() as tx:
        return await transactions(tx)
