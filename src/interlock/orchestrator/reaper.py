"""Takeover: who died is found out by a lock that dies with its session, and its runs move on in one commit each.

Every worker and the server do this once a second; one at a time, under an advisory lock.
"""

import datetime
import logging
import os
from pathlib import Path

from interlock.audit import record
from interlock.model import AuditEntry, Conflict, NotFound, WorkerLost
from interlock.orchestrator.events import handle
from interlock.store import Database, Row, Transaction, dispatch_rows, executor_rows, task_rows

log = logging.getLogger("interlock.reaper")
SILENT_AFTER_S = 20.0
ORPHAN_AFTER_S = 15.0
DEAD_STATES = "ZX"


async def reap(database: Database, host: str) -> int:
    """Take over the runs of dead executors and of segments that were lost; how many."""
    taken = 0
    async with database.transaction() as tx:
        if not await executor_rows.claim_reaper(tx):
            return 0
        known = {row["executor_id"]: row for row in await executor_rows.listing(tx)}
        suspects = {*await dispatch_rows.held_by(tx), *known}
        for executor_id in sorted(suspects):
            if await _dead(tx, executor_id, known.get(executor_id), host):
                taken += await _take_over(tx, executor_id)
        taken += await _adopt_orphans(tx)
    return taken


async def _dead(tx: Transaction, executor_id: str, row: Row | None, host: str) -> bool:
    """Dead is: its session is gone, and it is silent, unknown, or its process on this host is gone."""
    if not await executor_rows.session_lock_free(tx, executor_id):
        return False
    if row is None:
        return True
    if row["host"] == host and not process_lives(row["pid"]):
        return True
    silent = tx.clock.now() - row["heartbeat_at"]
    return bool(silent > datetime.timedelta(seconds=SILENT_AFTER_S))


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


async def _adopt_orphans(tx: Transaction) -> int:
    """Tasks whose segment ended without telling us, or is unknown to the dispatcher, go on with a new one."""
    taken = 0
    for row in await dispatch_rows.orphans(tx, ORPHAN_AFTER_S):
        how = str(row["status"] or "gone").lower()
        taken += await _lose(tx, str(row["id"]), row["segment_no"], f"its segment was {how} without a result")
    return taken
