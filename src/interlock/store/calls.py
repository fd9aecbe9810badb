"""The ledger: one row per call, keyed by task, run and our own number."""

from typing import Any

from psycopg.types.json import Jsonb

from interlock.model import (
    ActionClass,
    Call,
    CallRequest,
    CallState,
    Decision,
    Lease,
    NotFound,
    UndoState,
    canonical_sha256,
)
from interlock.store.database import Row, Transaction


async def propose(
    tx: Transaction, lease: Lease, call_id: str, request: CallRequest, turn_seq: int | None = None
) -> None:
    """Write the row of a call together with the turn that asked for it, before any tool runs."""
    await tx.run(
        "insert into call (id, task_id, run_no, call_no, turn_seq, tool, args, args_sha256, reason, state, epoch,"
        " created_at)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'proposed', %s, %s)",
        [
            call_id,
            lease.task_id,
            lease.run_no,
            request.call_no,
            turn_seq,
            request.tool,
            tx.sealer.seal(request.args, f"call.args:{call_id}"),
            canonical_sha256(request.args),
            tx.sealer.seal(request.reason, f"call.reason:{call_id}"),
            lease.epoch,
            tx.clock.now(),
        ],
    )


async def get(tx: Transaction, call_id: str, *, lock: bool = False) -> Call:
    """One call by its whole id.

    Raises:
        NotFound: there is none.
    """
    if lock:
        row = await tx.row("select * from call where id = %s for update", [call_id])
    else:
        row = await tx.row("select * from call where id = %s", [call_id])
    if row is None:
        raise NotFound(f"there is no call {call_id}")
    return call_of(tx, row)


async def by_number(tx: Transaction, task_id: str, call_no: int) -> Call | None:
    """A call of a task by its number; numbers go on over the runs of a task."""
    row = await tx.row("select * from call where task_id = %s and call_no = %s", [task_id, call_no])
    return None if row is None else call_of(tx, row)


async def of_task(tx: Transaction, task_id: str) -> list[Call]:
    """All calls of a task, in order."""
    rows = await tx.rows("select * from call where task_id = %s order by call_no", [task_id])
    return [call_of(tx, row) for row in rows]


async def page_of_run(tx: Transaction, task_id: str, run_no: int, after: int, limit: int) -> list[Call]:
    """Calls of a run in order, those with a number above `after`."""
    rows = await tx.rows(
        "select * from call where task_id = %s and run_no = %s and call_no > %s order by call_no limit %s",
        [task_id, run_no, after, limit],
    )
    return [call_of(tx, row) for row in rows]


async def tools_of_run(tx: Transaction, task_id: str, run_no: int) -> set[str]:
    """What was called in a run, by name."""
    rows = await tx.rows("select distinct tool from call where task_id = %s and run_no = %s", [task_id, run_no])
    return {row["tool"] for row in rows}


async def in_state(tx: Transaction, task_id: str, state: CallState) -> list[Call]:
    """The calls of a task that are in a state, in order; the others are not even opened."""
    rows = await tx.rows("select * from call where task_id = %s and state = %s order by call_no", [task_id, state])
    return [call_of(tx, row) for row in rows]


async def untold(tx: Transaction, lease: Lease, limit: int) -> list[Row]:
    """What the agent of a run has not heard of, oldest first; shape `{id, call_no, tool, args_sha256}`."""
    rows = await tx.rows(
        "select id, call_no, tool, args_sha256 from call where task_id = %s and run_no = %s and untold"
        " order by call_no desc limit %s",
        [lease.task_id, lease.run_no, limit],
    )
    return rows[::-1]


async def mark_told(tx: Transaction, call_ids: list[str]) -> None:
    """Their agent has heard what became of these calls."""
    await tx.run("update call set untold = false where id = any(%s) and untold", [call_ids])


async def last_number(tx: Transaction, task_id: str) -> int:
    """The highest call number of a task, 0 when there is none."""
    row = await tx.row("select coalesce(max(call_no), 0) as n from call where task_id = %s", [task_id])
    return 0 if row is None else int(row["n"])


async def keep(tx: Transaction, call: Call) -> None:
    """Store everything of a call that can change."""

    def seal(column: str, value: Any) -> bytes | None:
        return tx.sealer.seal(value, f"call.{column}:{call.id}") if value else None

    await tx.run(
        "update call set state = %(state)s, epoch = %(epoch)s, class = %(class)s, egress = %(egress)s,"
        " decision = %(decision)s, rules = %(rules)s, reasons = %(reasons)s, plan_entry = %(plan_entry)s,"
        " pin_sha256 = %(pin)s, approval_id = %(approval)s, result = %(result)s, before = %(before)s, effect = %(effect)s,"
        " host = %(host)s, served_by = %(served_by)s, undo = %(undo)s, undo_note = %(undo_note)s,"
        " started_at = %(started_at)s, ended_at = %(ended_at)s"
        " where id = %(id)s",
        {
            "id": call.id,
            "state": call.state,
            "epoch": call.epoch,
            "class": call.action_class,
            "egress": call.egress,
            "decision": call.decision,
            "rules": Jsonb(list(call.rules)),
            "reasons": Jsonb(list(call.reasons)),
            "plan_entry": call.plan_entry,
            "pin": call.pin_sha256,
            "approval": call.approval_id,
            "result": seal("result", call.result),
            "before": seal("before", call.before),
            "effect": seal("effect", call.effect),
            "host": call.host,
            "served_by": call.served_by,
            "undo": call.undo,
            "undo_note": seal("undo_note", call.undo_note[:2000]),
            "started_at": call.started_at,
            "ended_at": call.ended_at,
        },
    )


async def open_approvals(tx: Transaction, task_id: str) -> int:
    """How many calls of a task still wait for a person."""
    row = await tx.row("select count(*) as n from approval where task_id = %s and state = 'pending'", [task_id])
    return 0 if row is None else int(row["n"])


def call_of(tx: Transaction, row: Row) -> Call:
    """A row of the ledger with its sealed parts opened."""

    def opened(column: str) -> Any:
        return tx.sealer.open(row[column], f"call.{column}:{row['id']}")

    return Call(
        id=str(row["id"]),
        task_id=str(row["task_id"]),
        run_no=row["run_no"],
        call_no=row["call_no"],
        turn_seq=row["turn_seq"],
        tool=row["tool"],
        args=dict(opened("args")),
        args_sha256=row["args_sha256"],
        reason=str(opened("reason")),
        state=CallState(row["state"]),
        epoch=row["epoch"],
        created_at=row["created_at"],
        action_class=None if row["class"] is None else ActionClass(row["class"]),
        egress=row["egress"],
        decision=None if row["decision"] is None else Decision(row["decision"]),
        rules=tuple(row["rules"]),
        reasons=tuple(row["reasons"]),
        plan_entry=row["plan_entry"],
        pin_sha256=row["pin_sha256"],
        approval_id=None if row["approval_id"] is None else str(row["approval_id"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        result=opened("result"),
        before=opened("before"),
        effect=opened("effect"),
        undo=UndoState(row["undo"]),
        undo_note=opened("undo_note") or "",
        host=row["host"],
        served_by=row["served_by"],
    )
