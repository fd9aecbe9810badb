"""Takeover: who died is found out by a lock that dies with its session, and its runs move on in one commit each.

Every worker and the server do this once a second; one at a time, under an advisory lock. A process whose session
lives on but that does not beat any more is taken for dead later: it may go on after that, but the epoch refuses what
it writes, and its pulse what it would send.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from interlock.audit import record
from interlock.model import AuditEntry, Conflict, NotFound, Unavailable, WorkerLost
from interlock.orchestrator.events import handle
from interlock.store import Database, Row, Transaction, dispatch_rows, executor_rows, task_rows

log = logging.getLogger("interlock.reaper")
DEAD_STATES = "ZX"


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
                if await executor_rows.claim_reaper(tx) and await _is_dead(tx, executor_id, host, patience):
                    taken += await _take_over(tx, executor_id)
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
        return [one for one in suspects if await _dead(tx, one, known.get(one), host, patience)]


async def _is_dead(tx: Transaction, executor_id: str, host: str, patience: Patience) -> bool:
    rows = [row for row in await executor_rows.listing(tx) if row["executor_id"] == executor_id]
    return await _dead(tx, executor_id, rows[0] if rows else None, host, patience)


async def _dead(tx: Transaction, executor_id: str, row: Row | None, host: str, patience: Patience) -> bool:
    """Dead is: its session is gone, and it is silent, or its process on this host is gone; or it hangs, or was dead."""
    if row is None:  # it has segments in hand, and joined before it took any: it was taken for dead since
        return True
    if not await executor_rows.session_lock_free(tx, executor_id):
        return bool(row["silent_s"] > patience.hung_s)
    if row["host"] == host and not process_lives(row["pid"]):
        return True
    return bool(row["silent_s"] > patience.silent_s)


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


async def _take_over(tx: Transaction, executor_id: str) -> int:
    taken = 0
    segments = await dispatch_rows.segments_of(tx, executor_id)
    for task_id, segment_no in segments:
        await dispatch_rows.close_stale(tx, task_id, segment_no)
        taken += await _lose(tx, task_id, segment_no, f"worker {executor_id} died")
    await executor_rows.remove(tx, executor_id)
    ids = {"executor": executor_id}
    await record(tx, AuditEntry("worker.lost", "system:reaper", ids, {"runs": taken}))
    log.warning("worker.lost executor=%s runs=%d", executor_id, taken)
    return taken


async def _lose(tx: Transaction, task_id: str, segment_no: int, reason: str) -> int:
    try:
        task = await task_rows.get(tx, task_id, lock=True)
        if task.segment_no != segment_no or task.state.final:
            return 0
        await handle(tx, task_id, WorkerLost(reason), "system:reaper")
    except (Conflict, NotFound):
        return 0
    return 1


async def _adopt_orphans(tx: Transaction, older_than_s: float) -> int:
    """Tasks whose segment ended without telling us, or is unknown to the dispatcher, go on with a new one."""
    taken = 0
    for row in await dispatch_rows.orphans(tx, older_than_s):
        how = str(row["status"] or "gone").lower()
        taken += await _lose(tx, str(row["id"]), row["segment_no"], f"its segment was {how} without a result")
    return taken
