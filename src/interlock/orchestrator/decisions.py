"""What people decide about tasks, calls and approvals; each decision is one transaction."""

from dataclasses import dataclass, replace
from typing import Any

from interlock.audit import record
from interlock.guardrails import decide as decide_approval
from interlock.guardrails import expire as expire_approval
from interlock.model import (
    Approval,
    ApprovalState,
    AuditEntry,
    CallState,
    CancelAsked,
    Conflict,
    Decided,
    Life,
    NoteTurn,
    Resolution,
    Resolved,
    TaskState,
    ToolResult,
    UserError,
    canonical_sha256,
)
from interlock.orchestrator.events import handle
from interlock.orchestrator.families import no_effect_left, tell_parent
from interlock.store import Database, Transaction, approval_rows, call_rows, catalog_rows, run_rows, task_rows

WITH_TEXT = {Resolution.ANSWER: "what the agent shall read", Resolution.CHANGE: "what the agent shall do instead"}
MAX_TEXT_CHARS = 100_000
REASON_CHARS = 2000


@dataclass(frozen=True)
class Verdict:
    """What a person does with an escalated task; `text` is the answer, or the request as it reads now."""

    resolution: Resolution
    reason: str = ""
    text: str = ""


async def decide(database: Database, approval_id: str, verdict: dict[str, Any], by: str) -> Approval:
    """Decide an approval; shape of the verdict `{decision, reason, binding_sha256}`. The task goes on in the same commit."""
    async with database.transaction() as tx:
        first = await approval_rows.get(tx, approval_id)
        await task_rows.get(tx, first.task_id, lock=True)  # the same order of locks as a worker's
        approval = await decide_approval(
            tx,
            approval_id,
            str(verdict["decision"]),
            by,
            str(verdict.get("reason") or ""),
            verdict.get("binding_sha256"),
        )
        word = "approved" if approval.state is ApprovalState.APPROVED else "denied"
        await handle(tx, approval.task_id, Decided(f"{by} {word} a call"), by)
        return approval


async def expire_approvals(database: Database) -> int:
    """Close approvals whose time is over, and let their tasks go on with "nobody answered"."""
    async with database.transaction() as tx:
        ids = await approval_rows.expired(tx)
    for approval_id in ids:
        async with database.transaction() as tx:
            first = await approval_rows.get(tx, approval_id)
            await task_rows.get(tx, first.task_id, lock=True)
            if await expire_approval(tx, approval_id) is not None:
                await handle(tx, first.task_id, Decided("nobody answered in time"))
    return len(ids)


async def cancel(database: Database, task_id: str, by: str) -> Life:
    """Cancel a task: at once if it waits, within a second or two if it runs; with all that it gave away."""
    async with database.transaction() as tx:
        task = await task_rows.get(tx, task_id, lock=True)
        life = await handle(tx, task_id, CancelAsked(by), by)
    await tell_parent(database, task)
    return life


async def resolve(database: Database, task_id: str, verdict: Verdict, by: str) -> Life:
    """Decide about an escalated task.

    Raises:
        Conflict: it is not escalated, or a call of it is still in doubt.
        UserError: no reason, or no text where one is needed, is given.
    """
    resolution = verdict.resolution
    _check_words(verdict)
    async with database.transaction() as tx:
        task = await task_rows.get(tx, task_id, lock=True)
        await _refuse_doubt(tx, task_id, resolution)
        clean = await no_effect_left(tx, task_id)
        reason = verdict.reason or ("see what was answered" if resolution is Resolution.ANSWER else "see the request")
        if resolution is Resolution.CHANGE and task.state is TaskState.ESCALATED:
            await task_rows.change_request(tx, task_id, verdict.text)
            if not clean:
                reason = f"{reason}; it reads now: {verdict.text}"
        life = await handle(tx, task_id, Resolved(resolution, by, reason[:REASON_CHARS], clean), by)
        if resolution is Resolution.ANSWER:
            await run_rows.append(tx, task_id, life.run_no, NoteTurn(f"A person answers: {verdict.text}"))
        if resolution in WITH_TEXT:
            ids = {"task": task_id, "run": life.run_no}
            detail = {"resolution": resolution, "text_sha256": canonical_sha256(verdict.text)}
            await record(tx, AuditEntry("task.resolved", by, ids, detail))
    if life.state.final:
        await tell_parent(database, task)
    return life


def _check_words(verdict: Verdict) -> None:
    resolution = verdict.resolution
    if resolution in WITH_TEXT:
        if not 0 < len(verdict.text.strip()) <= MAX_TEXT_CHARS:
            raise UserError(
                f"text: expected 1 to {MAX_TEXT_CHARS} characters: {WITH_TEXT[resolution]}",
                hint=f"interlock tasks resolve ID --{resolution} TEXT",
            )
    elif verdict.text:
        raise UserError(f"text: `{resolution}` takes none; expected it with {' or '.join(WITH_TEXT)}")
    elif not verdict.reason.strip():
        raise UserError("reason: say why; it is recorded", hint="interlock tasks resolve ID --accept --reason TEXT")


async def _refuse_doubt(tx: Transaction, task_id: str, resolution: Resolution) -> None:
    if resolution is Resolution.FAIL:
        return
    doubtful = await call_rows.in_state(tx, task_id, CallState.IN_DOUBT)
    if doubtful:
        call = doubtful[0]
        raise Conflict(
            f"call {call.call_no} ({call.tool}) is in doubt: find out whether it took effect first",
            hint=f"interlock calls resolve {call.id} --done|--not-done --reason TEXT",
        )


async def resolve_call(database: Database, call_id: str, outcome: str, reason: str, by: str) -> Life:
    """Say whether a call in doubt took effect: `done`, or `not_done` (then it may be made again). The task goes on.

    Raises:
        Conflict: the call is not in doubt.
        UserError: the outcome is neither, or no reason is given.
    """
    if outcome not in ("done", "not_done"):
        raise UserError(f"outcome: '{outcome}' is neither 'done' nor 'not_done'")
    if not reason.strip():
        raise UserError("reason: say how you know; it is recorded")
    async with database.transaction() as tx:
        call = await call_rows.get(tx, call_id)
        task = await task_rows.get(tx, call.task_id, lock=True)
        call = await call_rows.get(tx, call_id, lock=True)
        if call.state is not CallState.IN_DOUBT:
            raise Conflict(f"call {call.call_no} is {call.state}, not in doubt", hint=f"interlock tasks show {task.id}")
        if outcome == "done":
            text = f"Done: a person found that it took effect ({reason})."
            result = ToolResult(True, text).to_json()
            call = replace(call, state=CallState.DONE, ended_at=tx.clock.now(), result=result)
        else:
            call = replace(call, state=CallState.PROPOSED, started_at=None, approval_id=None, before=None)
        await call_rows.keep(tx, call)
        ids = {"task": call.task_id, "run": call.run_no, "call": call.id}
        await record(tx, AuditEntry("call.resolved", by, ids, {"outcome": outcome, "reason": reason[:300]}))
        others = await call_rows.in_state(tx, task.id, CallState.IN_DOUBT)
        if task.state is not TaskState.ESCALATED or others:
            return task_rows.life_of(task)
        return await handle(tx, task.id, Resolved(Resolution.CONTINUE, by, f"call {call.call_no}: {outcome}"), by)


async def set_halt(database: Database, scope: str, by: str, reason: str | None, *, stops: bool = False) -> bool:
    """Halt a scope, or with no reason end the halt; whether it changed.

    Args:
        database: where.
        scope: `all`, `agent:NAME` or `tool:SERVER.NAME`: no call starts. `queue:all` or `queue:agent:NAME`: no task does.
        by: who.
        reason: why.
        stops: what is under way as well; else it ends by itself.
    """
    async with database.transaction() as tx:
        if reason is None:
            changed = await catalog_rows.resume(tx, scope)
        else:
            await catalog_rows.halt(tx, scope, by, reason, stops=stops)
            changed = True
        event = "halt.ended" if reason is None else "halt.set"
        await record(tx, AuditEntry(event, by, {"scope": scope}, {"reason": reason or "", "stops": stops}))
        return changed
