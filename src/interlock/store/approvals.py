"""Rows of approvals: asked, decided once, used once."""

from psycopg.types.json import Jsonb

from interlock.model import Approval, ApprovalState, NotFound
from interlock.store.database import Row, Transaction


async def insert(tx: Transaction, approval: Approval) -> None:
    """Add a pending approval."""
    await tx.run(
        "insert into approval (id, task_id, call_id, state, binding, binding_sha256, shown, requested_at, expires_at)"
        " values (%s, %s, %s, 'pending', %s, %s, %s, %s, %s)",
        [
            approval.id,
            approval.task_id,
            approval.call_id,
            Jsonb(approval.binding),
            approval.binding_sha256,
            tx.sealer.seal(approval.shown, f"approval.shown:{approval.id}"),
            approval.requested_at,
            approval.expires_at,
        ],
    )


async def get(tx: Transaction, approval_id: str, *, lock: bool = False) -> Approval:
    """One approval by its whole id.

    Raises:
        NotFound: there is none.
    """
    if lock:
        row = await tx.row("select * from approval where id = %s for update", [approval_id])
    else:
        row = await tx.row("select * from approval where id = %s", [approval_id])
    if row is None:
        raise NotFound(f"there is no approval {approval_id}", hint="interlock approvals list")
    return _approval(tx, row)


async def open_one(tx: Transaction, call_id: str) -> Approval | None:
    """The pending or approved approval of a call, locked."""
    row = await tx.row(
        "select * from approval where call_id = %s and state in ('pending', 'approved') for update", [call_id]
    )
    return None if row is None else _approval(tx, row)


async def last_one(tx: Transaction, call_id: str) -> Approval | None:
    """The newest approval of a call, whatever its state."""
    row = await tx.row(
        "select * from approval where call_id = %s order by requested_at desc, id desc limit 1", [call_id]
    )
    return None if row is None else _approval(tx, row)


async def listing(tx: Transaction, *, pending_only: bool, limit: int = 200) -> list[Approval]:
    """Approvals, oldest question first."""
    rows = await tx.rows(
        "select * from (select * from approval where not %(pending)s or state = 'pending'"
        " order by requested_at desc limit %(limit)s) newest order by requested_at",
        {"pending": pending_only, "limit": limit},
    )
    return [_approval(tx, row) for row in rows]


async def of_task(tx: Transaction, task_id: str) -> list[Approval]:
    """All questions about calls of a task, oldest first."""
    rows = await tx.rows("select * from approval where task_id = %s order by requested_at, id", [task_id])
    return [_approval(tx, row) for row in rows]


async def of_calls(tx: Transaction, call_ids: list[str]) -> list[Approval]:
    """All questions about these calls, oldest first."""
    rows = await tx.rows("select * from approval where call_id = any(%s) order by requested_at, id", [call_ids])
    return [_approval(tx, row) for row in rows]


async def set_state(tx: Transaction, approval: Approval) -> None:
    """Store state and decision."""
    await tx.run(
        "update approval set state = %s, decided_by = %s, decided_at = %s, reason = %s where id = %s",
        [
            approval.state,
            approval.decided_by,
            approval.decided_at,
            tx.sealer.seal(approval.reason[:2000], f"approval.reason:{approval.id}"),
            approval.id,
        ],
    )


async def close_of_task(tx: Transaction, task_id: str, state: ApprovalState) -> int:
    """Close every open approval of a task that is over."""
    return await tx.run(
        "update approval set state = %s where task_id = %s and state in ('pending', 'approved')", [state, task_id]
    )


async def expired(tx: Transaction, limit: int = 50) -> list[str]:
    """Ids of pending approvals whose time is over."""
    rows = await tx.rows(
        "select id from approval where state = 'pending' and expires_at <= %s order by expires_at limit %s",
        [tx.clock.now(), limit],
    )
    return [str(row["id"]) for row in rows]


def _approval(tx: Transaction, row: Row) -> Approval:
    return Approval(
        id=str(row["id"]),
        task_id=str(row["task_id"]),
        call_id=str(row["call_id"]),
        state=ApprovalState(row["state"]),
        binding=row["binding"],
        binding_sha256=row["binding_sha256"],
        shown=dict(tx.sealer.open(row["shown"], f"approval.shown:{row['id']}")),
        requested_at=row["requested_at"],
        expires_at=row["expires_at"],
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        reason=tx.sealer.open(row["reason"], f"approval.reason:{row['id']}") or "",
    )
