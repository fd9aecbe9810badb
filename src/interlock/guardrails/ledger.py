"""The commits of a call: start, outcome, denial, doubt. Each is one transaction: ledger, allowances, audit, counter."""

from dataclasses import dataclass, replace
from typing import Any

from interlock.audit import record
from interlock.guardrails import limits
from interlock.guardrails.case import Case
from interlock.model import (
    Approval,
    ApprovalState,
    AuditEntry,
    Call,
    CallState,
    Conflict,
    Exhausted,
    Observation,
    ToolResult,
    canonical_sha256,
)
from interlock.observability import count_call, redact
from interlock.store import Transaction, approval_rows, call_rows, catalog_rows, task_rows

REASON_CHARS = 300


def detail_of(case: Case) -> dict[str, Any]:
    """What the audit says of a call: names, hashes, decision, and the agent's reason with secrets taken out."""
    return {
        "tool": str(case.ref),
        "class": case.action_class,
        "egress": case.egress,
        "decision": case.decision,
        "rules": list(case.rules),
        "plan_entry": case.plan_entry,
        "tainted": case.tainted,
        "args_sha256": case.call.args_sha256,
        "pin_sha256": case.definition.pin_sha256,
        "reason": redact(case.call.reason)[:REASON_CHARS],
    }


def subject_ids(case: Case) -> dict[str, Any]:
    """Task, run, segment, turn and call for the audit."""
    return {**case.subject.ids, "turn": case.call.turn_seq, "call": case.call.id, "call_no": case.call.call_no}


def judged(case: Case) -> Call:
    """The ledger row with what the stages found."""
    return replace(
        case.call,
        action_class=case.action_class,
        egress=case.egress,
        decision=case.decision,
        rules=case.rules,
        reasons=case.reasons,
        plan_entry=case.plan_entry,
        pin_sha256=case.definition.pin_sha256,
        epoch=case.subject.lease.epoch,
    )


@dataclass(frozen=True)
class Start:
    """What the start of a call needs besides the case.

    Attributes:
        approval: that it uses up.
        before: the state to go back to.
        host: whose tool servers will get it.
    """

    approval: Approval | None
    before: dict[str, Any] | None
    host: str | None = None


async def start(tx: Transaction, case: Case, begin: Start) -> Case:
    """Commit the start of a call: approval consumed, allowance reserved, `started`, audit intent.

    Raises:
        Conflict: the call or its approval is not in the state that was seen.
        Exhausted: an allowance was used up in the meantime, or the tool is halted.
    """
    present = await call_rows.get(tx, case.call.id, lock=True)
    if present.state not in (CallState.PROPOSED, CallState.APPROVED):
        raise Conflict(f"call {present.call_no} is {present.state}")
    await _refuse_halted(tx, case)
    if begin.approval is not None:
        await _consume(tx, begin.approval)
    short = await limits.reserve(tx, case, agreed=begin.approval is not None)
    if short is not None:
        raise Exhausted(f"the allowance of {short.resource} ({short.cap:g}) is used up")
    now = tx.clock.now()
    call = replace(
        judged(case),
        state=CallState.STARTED,
        started_at=now,
        before=begin.before,
        host=begin.host,
        approval_id=begin.approval.id if begin.approval else None,
    )
    await call_rows.keep(tx, call)
    detail = {**detail_of(case), "approval": call.approval_id, "idempotency_key": case.idempotency_key}
    await record(tx, AuditEntry("call.intent", case.subject.actor, subject_ids(case), detail))
    return replace(case, call=call)


async def _consume(tx: Transaction, approval: Approval) -> None:
    present = await approval_rows.get(tx, approval.id, lock=True)
    if present.state is not ApprovalState.APPROVED:
        raise Conflict(f"the approval is {present.state}; it can't be used")
    if present.expires_at <= tx.clock.now():
        raise Conflict("the approval is too old to be used")
    await approval_rows.set_state(tx, replace(present, state=ApprovalState.CONSUMED))


async def _refuse_halted(tx: Transaction, case: Case) -> None:
    scopes = {"all", f"agent:{case.subject.name}", f"tool:{case.ref}", f"tool:{case.ref.server}"}
    for halt in await catalog_rows.halts(tx):
        if halt["scope"] in scopes:
            raise Exhausted(f"{halt['scope']} is halted by {halt['by']}: {halt['reason']}", hint="interlock resume")


@dataclass(frozen=True)
class Outcome:
    """How a call ended: `label` is the outcome in metrics: ok, error, denied, timeout, in_doubt."""

    state: CallState
    result: ToolResult
    label: str
    effect: dict[str, Any] | None = None


async def finish(tx: Transaction, case: Case, outcome: Outcome) -> Observation:
    """Commit the outcome of a started call and say what the model reads."""
    call = replace(
        case.call,
        state=outcome.state,
        ended_at=tx.clock.now(),
        result=outcome.result.to_json(),
        effect=outcome.effect,
    )
    await call_rows.keep(tx, call)
    files = int((outcome.effect or {}).get("files_changed", 0))
    await limits.settle(tx, case, files)
    await record(
        tx,
        AuditEntry(
            "call.outcome",
            case.subject.actor,
            subject_ids(case),
            {
                "tool": str(case.ref),
                "class": case.action_class,
                "outcome": outcome.label,
                "result_sha256": canonical_sha256(outcome.result.to_json()),
                "files_changed": files,
                "effect_sha256": canonical_sha256(outcome.effect) if outcome.effect else None,
            },
        ),
    )
    await count_call(tx, case.ref.server, case.action_class, outcome.label)
    if case.contract.output != "trusted" and outcome.state is CallState.DONE:
        await task_rows.mark_tainted(tx, case.call.task_id)
    return observation_of(call, trusted=case.contract.output == "trusted")


async def deny(tx: Transaction, case: Case, why: str, state: CallState = CallState.DENIED) -> Observation:
    """Commit that a call is not made, and tell the model why and not to ask again."""
    result = ToolResult(
        False, f"Not done: {why}. Do not repeat this call; find another way, or end with what you have."
    )
    call = replace(judged(case), state=state, ended_at=tx.clock.now(), result=result.to_json())
    await call_rows.keep(tx, call)
    detail = {**detail_of(case), "outcome": state, "why": redact(why)[:REASON_CHARS]}
    await record(tx, AuditEntry("call.denied", case.subject.actor, subject_ids(case), detail))
    await count_call(tx, case.ref.server, case.action_class, "denied")
    return observation_of(call, trusted=True)


async def doubt(tx: Transaction, call: Call, actor: str, why: str) -> None:
    """Commit that nobody knows whether a call took effect."""
    await call_rows.keep(tx, replace(call, state=CallState.IN_DOUBT))
    ids = {"task": call.task_id, "run": call.run_no, "call": call.id, "call_no": call.call_no}
    await record(tx, AuditEntry("call.in_doubt", actor, ids, {"tool": call.tool, "why": redact(why)[:REASON_CHARS]}))
    await count_call(tx, call.tool.partition(".")[0], call.action_class or "destructive", "in_doubt")


def observation_of(call: Call, *, trusted: bool) -> Observation:
    """What the model reads of a closed call."""
    result = ToolResult.from_json(
        call.result or {"ok": False, "text": f"The call is {call.state}.", "structured": None}
    )
    return Observation(call.call_no, call.tool, result.ok, result.text, result.structured, trusted)
