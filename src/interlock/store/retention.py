"""Forgetting tasks that are over, with all that only they refer to. The audit record is not touched: it stays whole.

Rows are locked in one order, tasks first, so that whoever begins to refer to a task waits, and then does not find it.
"""

import datetime
from dataclasses import dataclass

from interlock.model import Exhausted
from interlock.store.database import Transaction

_LOCK = 7440_0004
OPEN_UNDOS = 1000


@dataclass(frozen=True)
class Forgotten:
    """What one commit deleted."""

    tasks: tuple[str, ...] = ()
    runs: int = 0
    turns: int = 0
    calls: int = 0
    approvals: int = 0
    blobs: int = 0
    blob_bytes: int = 0


async def claim(tx: Transaction) -> bool:
    """Become the one who forgets until the transaction ends, which waits two seconds at most for a row that is locked."""
    row = await tx.row("select set_config('lock_timeout', '2s', true), pg_try_advisory_xact_lock(%s) as mine", [_LOCK])
    return bool(row and row["mine"])


async def take_due(tx: Transaction, before: datetime.datetime, limit: int) -> list[str]:
    """Lock tasks that ended before a moment and that nothing holds back, the oldest first; their ids.

    Held back are a task with a call of which nobody knows whether it took effect, one that is tried again, one whose
    effects are taken back, one that gave tasks away, and one that was given away, as long as that is not over. What is
    locked by others just now is left for later.

    Raises:
        Exhausted: so many effects are being taken back that it can't be said which tasks that concerns.
    """
    undone = await _being_undone(tx)
    found = await tx.rows(
        "select id from task t where state in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected')"
        " and finished_at < %s and not exists (select 1 from call c where c.task_id = t.id"
        "   and c.state in ('started', 'in_doubt'))"
        " and not exists (select 1 from task r where r.retry_of = t.id"
        "   and r.state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected'))"
        " and not exists (select 1 from task c where c.parent_id = t.id"
        "   and c.state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected'))"
        " and not exists (select 1 from task p where p.id = t.parent_id"
        "   and p.state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected'))"
        " and t.id <> all(%s::uuid[]) and not t.above && %s order by finished_at, id limit %s"
        " for update of t skip locked",
        [before, undone, [f"task:{task_id}" for task_id in undone], limit],
    )
    ids = [str(row["id"]) for row in found]
    # Who began to refer to one before it was locked is seen by now, and only by statements that begin now.
    undone = await _being_undone(tx)
    held = {*undone, *await _tried_again(tx, ids), *await _given_by(tx, ids, undone)}
    return [task_id for task_id in ids if task_id not in held]


async def _being_undone(tx: Transaction) -> list[str]:
    """Tasks whose effects are being taken back."""
    rows = await tx.rows(
        "select id, request from task where kind = 'undo'"
        " and state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected') limit %s",
        [OPEN_UNDOS],
    )
    if len(rows) == OPEN_UNDOS:
        raise Exhausted(f"{OPEN_UNDOS} undos are not done; nothing is forgotten meanwhile", hint="interlock tasks list")
    bodies = [tx.sealer.open(row["request"], f"task.request:{row['id']}") for row in rows]
    return sorted({str(body["undo_of"]["task"]) for body in bodies if body.get("undo_of")})


async def _given_by(tx: Transaction, ids: list[str], above: list[str]) -> list[str]:
    """Which of these stand below one of those."""
    rows = await tx.rows(
        "select id from task where id = any(%s::uuid[]) and above && %s",
        [ids, [f"task:{task_id}" for task_id in above]],
    )
    return [str(row["id"]) for row in rows]


async def _tried_again(tx: Transaction, ids: list[str]) -> list[str]:
    rows = await tx.rows(
        "select retry_of from task where retry_of = any(%s::uuid[])"
        " and state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected')",
        [ids],
    )
    return [str(row["retry_of"]) for row in rows]


async def forget(tx: Transaction, ids: list[str]) -> Forgotten:
    """Delete tasks that `take_due` locked: runs, turns, calls, approvals, allowances, and blobs that nobody else uses."""
    counts = await tx.row(
        "select (select count(*) from run where task_id = any(%(ids)s::uuid[])) as runs,"
        " (select count(*) from turn where task_id = any(%(ids)s::uuid[])) as turns,"
        " (select count(*) from call where task_id = any(%(ids)s::uuid[])) as calls,"
        " (select count(*) from approval where task_id = any(%(ids)s::uuid[])) as approvals",
        {"ids": ids},
    )
    used = await tx.rows("select distinct sha256 from blob_use where task_id = any(%s::uuid[])", [ids])
    await tx.run("delete from allowance where scope = any(%s)", [[f"task:{task_id}" for task_id in ids]])
    await tx.run("delete from task where id = any(%s::uuid[])", [ids])
    blobs, size = await _drop_unused(tx, [row["sha256"] for row in used])
    return Forgotten(tuple(ids), **(counts or {}), blobs=blobs, blob_bytes=size)


async def _drop_unused(tx: Transaction, sha256s: list[str]) -> tuple[int, int]:
    """Delete those that no task uses any more; how many, and how many bytes they were.

    They are locked first. Whoever keeps the same bytes at this moment has the lock before, and then its use is seen by
    the second statement; or waits for it, and then writes them anew.
    """
    await tx.rows("select 1 from blob where sha256 = any(%s) and counted order by sha256 for update", [sha256s])
    gone = await tx.rows(
        "delete from blob b where sha256 = any(%s) and counted"
        " and not exists (select 1 from blob_use u where u.sha256 = b.sha256) returning size",
        [sha256s],
    )
    return len(gone), sum(row["size"] for row in gone)
