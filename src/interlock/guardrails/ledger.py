"""The commits of a call: start, outcome, denial, doubt. Each is one transaction: ledger, allowances, audit, counter."""

from dataclasses import dataclass, replace
from typing import Any

from interlock.audit import compose, record
from interlock.guardrails import limits
from interlock.guardrails.case import Case
from interlock.model import (
    Approval,
    AuditEntry,
    Call,
    CallState,
    Conflict,
    Exhausted,
    Halted,
    Observation,
    TaskKind,
    ToolResult,
    canonical_sha256,
)
from interlock.observability import call_counter, count_call, redact
from interlock.store import Beginning, Ending, Transaction, call_rows, catalog_rows, parking_rows, task_rows
from interlock.store import path_rows as call_path

REASON_CHARS = 300


def detail_of(case: Case) -> dict[str, Any]:
    """What the audit says of a call: names, hashes, decision, and the agent's reason with secrets taken out."""
    return {
        "tool": str(case.ref),
        **({"stands_in_for": case.call.tool} if case.stands_in else {}),
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
        served_by=str(case.ref) if case.stands_in else None,
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
        Fenced: the lease is gone.
        Halted: the agent, or everything, is halted; nothing was written.
    """
    now = tx.clock.now()
    agreed = begin.approval is not None
    call = replace(
        judged(case),
        state=CallState.STARTED,
        started_at=now,
        before=begin.before,
        host=begin.host,
        approval_id=begin.approval.id if begin.approval else None,
    )
    detail = {**detail_of(case), "approval": call.approval_id, "idempotency_key": case.idempotency_key}
    intent = compose(AuditEntry("call.intent", case.subject.actor, subject_ids(case), detail), now)
    scopes = [*parking_rows.scopes_of(case.subject.task), f"tool:{case.ref}", f"tool:{case.ref.server}"]
    claims = limits.claims_of(case, now)
    verdict = await call_path.start(
        tx, case.subject.lease, Beginning(call, call.approval_id, scopes, claims, agreed, intent, now)
    )
    _refuse(verdict, case)
    return replace(case, call=call)


def _refuse(verdict: dict[str, Any], case: Case) -> None:
    """Turn down a start that the database did not make; nothing was written."""
    match verdict["verdict"]:
        case "conflict":
            raise Conflict(f"call {case.call.call_no} is {verdict['state']}")
        case "approval" if verdict["state"] == "too old":
            raise Conflict("the approval is too old to be used")
        case "approval":
            raise Conflict(f"the approval is {verdict['state']}; it can't be used")
        case "halted":
            why = f"{verdict['scope']} is halted by {verdict['by']}: {verdict['reason']}"
            whole = not str(verdict["scope"]).startswith("tool:")
            if whole and case.subject.task.kind is not TaskKind.OUTSIDE:
                raise Halted(why)  # the task waits; of one tool that is halted, the agent is told
            raise Exhausted(why, hint="interlock resume")
        case "over":
            raise Exhausted(f"the allowance of {verdict['resource']} ({verdict['cap']:g}) is used up")


@dataclass(frozen=True)
class Outcome:
    """How a call ended: `label` is the outcome in metrics: ok, error, denied, timeout, in_doubt."""

    state: CallState
    result: ToolResult
    label: str
    effect: dict[str, Any] | None = None


async def finish(tx: Transaction, case: Case, outcome: Outcome) -> Observation:
    """Commit the outcome of a started call and say what the model reads; `tx` is for this one statement.

    Raises:
        Fenced: the lease is gone.
    """
    now = tx.clock.now()
    result = outcome.result.to_json()
    call = replace(case.call, state=outcome.state, ended_at=now, result=result, effect=outcome.effect)
    files = int((outcome.effect or {}).get("files_changed", 0))
    trusted = case.contract.output == "trusted"
    detail = {
        "tool": str(case.ref),
        "class": case.action_class,
        "outcome": outcome.label,
        "result_sha256": canonical_sha256(result),
        "files_changed": files,
        "effect_sha256": canonical_sha256(outcome.effect) if outcome.effect else None,
    }
    entry = compose(AuditEntry("call.outcome", case.subject.actor, subject_ids(case), detail), now)
    counter = call_counter(case.ref.server, case.action_class, outcome.label)
    end = Ending(call, limits.settled(case, files, now), not trusted, counter, entry, now)
    await call_path.finish(tx, case.subject.lease, end)
    return observation_of(call, trusted=trusted)


async def close_unmade(tx: Transaction, case: Case, result: ToolResult, event: str) -> Observation:
    """Commit the answer of a call that was not made: its tool can't be used now, or an equal read is still good."""
    state = CallState.DONE if result.ok else CallState.FAILED
    call = replace(judged(case), state=state, ended_at=tx.clock.now(), result=result.to_json())
    await call_rows.keep(tx, call)
    await catalog_rows.use_blobs(tx, call.task_id, [found["sha256"] for found in result.artifacts])
    detail = {**detail_of(case), "result_sha256": canonical_sha256(result.to_json())}
    await record(tx, AuditEntry(event, case.subject.actor, subject_ids(case), detail))
    await count_call(tx, case.ref.server, case.action_class, "ok" if result.ok else "error")
    trusted = not result.ok or case.contract.output == "trusted"
    if not trusted:
        await task_rows.mark_tainted(tx, case.call.task_id)
    return observation_of(call, trusted=trusted)


async def note_stand_in(tx: Transaction, case: Case, sentence: str) -> None:
    """Record that another tool is called instead of the one that was asked for, before it is."""
    detail = {**detail_of(case), "why": redact(sentence)[:REASON_CHARS]}
    await record(tx, AuditEntry("call.stand_in", case.subject.actor, subject_ids(case), detail))


async def deny(tx: Transaction, case: Case, why: str, state: CallState = CallState.DENIED) -> Observation:
    """Commit that a call is not made, and tell the model why and not to ask again."""
    result = ToolResult(
        False, f"Not done: {why.rstrip('.')}. Do not repeat this call; find another way, or end with what you have."
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
