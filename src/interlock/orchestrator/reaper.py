"""Takeover: who died is found out by a lock that dies with its session, and its runs move on in one commit each.

Every worker and the server do this once a second; one at a time, under an advisory lock. A process whose session
lives on but that does not beat any more is taken for dead later: it may go on after that, but the epoch refuses what
it writes, and its pulse what it would send. A call that it has sent may still take effect, so nobody can say yet that
it did not: it is in doubt at once. Only of a process that is seen to be gone is it certain that its servers are too.
"""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from interlock.audit import record
from interlock.guardrails import doubt
from interlock.model import (
    ActionClass,
    AuditEntry,
    CallState,
    Conflict,
    NotFound,
    Stranded,
    Unavailable,
    WorkerLost,
)
from interlock.orchestrator.events import handle
from interlock.orchestrator.presence import BUSY_BEAT_S
from interlock.store import Database, Row, Transaction, call_rows, dispatch_rows, executor_rows, host_rows, task_rows

log = logging.getLogger("interlock.reaper")
DEAD_STATES = "ZX"


class Fate(StrEnum):
    """What became of a process: it is seen to be gone, with its tool servers, or it is only not heard of any more."""

    DIED = "died"
    SILENT = "fell silent"


@dataclass(frozen=True)
class Patience:
    """When a process counts as dead.

    Attributes:
        silent_s: without a heartbeat, when its session is gone and its process can't be seen from here.
        hung_s: without a heartbeat, although its session lives: it was stopped, or hangs. More than `PULSE_S`.
        orphan_s: how long a task may wait for a segment that the dispatcher has closed.
    """

    silent_s: float = 20.0
    hung_s: float = 30.0
    orphan_s: float = 15.0


async def reap(database: Database, host: str, patience: Patience | None = None) -> int:
    """Take over the runs of dead executors and of segments that were lost; how many."""
    patience = patience or Patience()
    taken = 0
    for executor_id in await _dead_ones(database, host, patience):
        try:
            async with database.transaction() as tx:
                if await executor_rows.claim_reaper(tx):
                    fate = await _fate_now(tx, executor_id, host, patience)
                    taken += await _take_over(tx, executor_id, fate) if fate is not None else 0
        except Unavailable as error:  # perhaps it was stopped while it held a row; the others do not wait for that
            log.warning("takeover.delayed executor=%s error=%s", executor_id, error.message)
    async with database.transaction() as tx:
        if await executor_rows.claim_reaper(tx):
            taken += await _adopt_orphans(tx, patience.orphan_s)
    return taken


async def _dead_ones(database: Database, host: str, patience: Patience) -> list[str]:
    async with database.transaction() as tx:
        if not await executor_rows.claim_reaper(tx):
            return []
        known = {row["executor_id"]: row for row in await executor_rows.listing(tx)}
        suspects = sorted({*await dispatch_rows.held_by(tx), *known})
        return [one for one in suspects if await _fate(tx, one, known.get(one), host, patience) is not None]


async def _fate_now(tx: Transaction, executor_id: str, host: str, patience: Patience) -> Fate | None:
    rows = [row for row in await executor_rows.listing(tx) if row["executor_id"] == executor_id]
    return await _fate(tx, executor_id, rows[0] if rows else None, host, patience)


async def _fate(tx: Transaction, executor_id: str, row: Row | None, host: str, patience: Patience) -> Fate | None:
    """None while it counts as alive. One without a row joined before it took segments, and was given up since."""
    if row is None:
        return Fate.SILENT
    if not await executor_rows.session_lock_free(tx, executor_id):
        return Fate.SILENT if row["silent_s"] > patience.hung_s else None
    if row["host"] == host and not process_lives(row["pid"]):
        return Fate.DIED
    return Fate.SILENT if row["silent_s"] > patience.silent_s else None


def process_lives(pid: int) -> bool:
    """Whether a process of this host lives; one that is dead and was not reaped yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in DEAD_STATES


async def _take_over(tx: Transaction, executor_id: str, fate: Fate) -> int:
    taken = 0
    segments = await dispatch_rows.segments_of(tx, executor_id)
    for task_id, segment_no in segments:
        await dispatch_rows.close_stale(tx, task_id, segment_no)
        taken += await _lose(tx, task_id, segment_no, fate, f"worker {executor_id} {fate}")
    await executor_rows.remove(tx, executor_id)
    ids = {"executor": executor_id}
    await record(tx, AuditEntry("worker.lost", "system:reaper", ids, {"runs": taken, "fate": fate}))
    log.warning("worker.lost executor=%s fate=%s runs=%d", executor_id, fate, taken)
    return taken


async def _lose(tx: Transaction, task_id: str, segment_no: int, fate: Fate, reason: str) -> int:
    try:
        task = await task_rows.get(tx, task_id, lock=True)
        if task.segment_no != segment_no or task.state.final:
            return 0
        if fate is not Fate.DIED:
            await _doubt_sent_calls(tx, task_id, reason)
        await task_rows.count_lost(tx, task_id, BUSY_BEAT_S)
        await handle(tx, task_id, WorkerLost(reason), "system:reaper")
    except (Conflict, NotFound):
        return 0
    return 1


async def _doubt_sent_calls(tx: Transaction, task_id: str, reason: str) -> None:
    for call in await call_rows.of_task(tx, task_id):
        if call.state is CallState.STARTED and call.action_class is not ActionClass.READ:
            await doubt(tx, call, "system:reaper", f"{reason}, and may still be at work on it")


async def give_up_stranded(database: Database, after_s: float) -> int:
    """Tasks whose only machine has had no worker for a while go to a person; how many."""
    given_up = 0
    async with database.transaction() as tx:
        if not await executor_rows.claim_reaper(tx):
            return 0
        for row in await host_rows.stranded(tx, after_s):
            with suppress(Conflict, NotFound):  # it moved on at this very moment
                await handle(tx, str(row["id"]), Stranded(_lost(row, after_s)), "system:reaper")
                given_up += 1
    return given_up


def _lost(row: Row, after_s: float) -> str:
    known = row["silent_s"] is not None
    heard = f"has had no worker for {after_s:g} s" if known else "never had a worker"
    return (
        f"its files are on the machine '{row['host']}', which {heard}; start `interlock worker` there, then:"
        f" interlock tasks resolve {row['id']} --retry --reason TEXT"
    )


async def _adopt_orphans(tx: Transaction, older_than_s: float) -> int:
    """Tasks whose segment ended without telling us, or is unknown to the dispatcher, go on with a new one."""
    taken = 0
    for row in await dispatch_rows.orphans(tx, older_than_s):
        how = str(row["status"] or "gone").lower()
        taken += await _lose(
            tx, str(row["id"]), row["segment_no"], Fate.SILENT, f"its segment was {how} without a result"
        )
    return taken
