"""Stage 7: questions to people. An approval is bound to exactly what was shown, expires, and is used once."""

import datetime
from dataclasses import replace
from typing import Any

from interlock.audit import record
from interlock.config import new_id
from interlock.guardrails import ledger
from interlock.guardrails.case import Case
from interlock.model import (
    Approval,
    ApprovalState,
    AuditEntry,
    BindingChanged,
    CallState,
    Conflict,
    UserError,
    canonical_sha256,
)
from interlock.observability import redact
from interlock.store import Transaction, approval_rows, call_rows


async def usable(tx: Transaction, case: Case, binding: dict[str, Any]) -> Approval | None:
    """The approval that this very call may use, or None; one that was bound to something else is closed."""
    approval = await approval_rows.open_one(tx, case.call.id)
    if approval is None:
        return None
    if approval.binding_sha256 != canonical_sha256(binding):
        await approval_rows.set_state(
            tx,
            replace(
                approval, state=ApprovalState.SUPERSEDED, reason="what would happen has changed since it was shown"
            ),
        )
        return None
    if approval.state is ApprovalState.APPROVED and approval.expires_at > tx.clock.now():
        return approval
    return None


async def ask(tx: Transaction, case: Case, binding: dict[str, Any]) -> str:
    """Hold the call and put the question; the id of the approval (the same one if it waits already)."""
    waiting = await approval_rows.open_one(tx, case.call.id)
    if waiting is not None and waiting.state is ApprovalState.PENDING:
        return waiting.id
    if waiting is not None:  # approved, but too old by now: the person is asked again
        await approval_rows.set_state(tx, replace(waiting, state=ApprovalState.EXPIRED))
    now = tx.clock.now()
    approval = Approval(
        id=new_id(),
        task_id=case.call.task_id,
        call_id=case.call.id,
        state=ApprovalState.PENDING,
        binding=binding,
        binding_sha256=canonical_sha256(binding),
        shown=_shown(case),
        requested_at=now,
        expires_at=now + datetime.timedelta(seconds=case.subject.agent.approval_ttl),
    )
    await approval_rows.insert(tx, approval)
    await call_rows.keep(tx, replace(ledger.judged(case), state=CallState.HELD, approval_id=approval.id))
    detail = {**ledger.detail_of(case), "approval": approval.id, "binding_sha256": approval.binding_sha256}
    await record(tx, AuditEntry("approval.asked", case.subject.actor, ledger.subject_ids(case), detail))
    return approval.id


def _shown(case: Case) -> dict[str, Any]:
    return {
        "tool": str(case.ref),
        "args": case.call.args,
        "class": case.action_class,
        "egress": case.egress,
        "agent": case.subject.name,
        "request": case.subject.request.text,
        "agent_reason": case.call.reason,
        "rules": list(case.rules),
        "reasons": list(case.reasons),
        "plan_entry": case.plan_entry,
        "tainted": case.tainted,
        "reversible": case.reversible,
        "effect": case.staged.effect if case.staged else None,
    }


async def decide(tx: Transaction, approval_id: str, verdict: str, by: str, reason: str, seen: str | None) -> Approval:
    """Take a person's decision; `verdict` is `approve` or `deny`, `seen` the binding hash that was shown to them.

    Raises:
        Conflict: it was decided before, or its time is over.
        BindingChanged: `seen` is not the binding that waits.
        UserError: the verdict is no verdict, or a denial gives no reason.
    """
    if verdict not in ("approve", "deny"):
        raise UserError(f"decision: '{verdict}' is neither 'approve' nor 'deny'", hint="interlock approve ID")
    if verdict == "deny" and not reason.strip():
        raise UserError("reason: a denial needs one; the agent reads it", hint="interlock deny ID --reason TEXT")
    approval = await approval_rows.get(tx, approval_id, lock=True)
    if approval.state is not ApprovalState.PENDING:
        who = f" by {approval.decided_by}" if approval.decided_by else ""
        raise Conflict(f"the approval is {approval.state}{who}", hint="interlock approvals list")
    now = tx.clock.now()
    if approval.expires_at <= now:
        raise Conflict("the approval has expired: nobody answered in time", hint="interlock tasks show TASK")
    if canonical_sha256(approval.binding) != approval.binding_sha256 or (seen and seen != approval.binding_sha256):
        raise BindingChanged("what waits is not what was shown to you; look at it again")
    state = ApprovalState.APPROVED if verdict == "approve" else ApprovalState.DENIED
    decided = replace(approval, state=state, decided_by=by, decided_at=now, reason=reason)
    await approval_rows.set_state(tx, decided)
    await _move_call(tx, decided, CallState.APPROVED if verdict == "approve" else CallState.DENIED)
    await _record(tx, decided, by)
    return decided


async def expire(tx: Transaction, approval_id: str) -> Approval | None:
    """Close an approval that nobody answered in time; None when it was decided meanwhile."""
    approval = await approval_rows.get(tx, approval_id, lock=True)
    if approval.state is not ApprovalState.PENDING or approval.expires_at > tx.clock.now():
        return None
    expired = replace(approval, state=ApprovalState.EXPIRED, reason="nobody answered in time")
    await approval_rows.set_state(tx, expired)
    await _move_call(tx, expired, CallState.EXPIRED)
    await _record(tx, expired, "system:clock")
    return expired


async def _move_call(tx: Transaction, approval: Approval, state: CallState) -> None:
    call = await call_rows.get(tx, approval.call_id, lock=True)
    if call.state is CallState.HELD:
        await call_rows.keep(tx, replace(call, state=state))


async def _record(tx: Transaction, approval: Approval, by: str) -> None:
    await record(
        tx,
        AuditEntry(
            "approval.decided",
            by,
            {"task": approval.task_id, "call": approval.call_id, "approval": approval.id},
            {
                "decision": approval.state,
                "binding_sha256": approval.binding_sha256,
                "reason": redact(approval.reason)[:300],
            },
        ),
    )
