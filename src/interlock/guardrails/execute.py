"""Stages 10 to 13: send a started call, measure, commit the outcome; and find out about one that a crash left open."""

import asyncio
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from interlock.audit import record
from interlock.config import fault_point
from interlock.guardrails import artifacts, ledger
from interlock.guardrails.case import Case
from interlock.guardrails.checkpoint import Checkpoint
from interlock.guardrails.degraded import degraded
from interlock.guardrails.expect import fill, meets
from interlock.guardrails.judging import Judge
from interlock.guardrails.ledger import Outcome
from interlock.guardrails.pulse import Pulse
from interlock.guardrails.shelter import Shelter, outage_of
from interlock.model import (
    ActionClass,
    ActOutcome,
    AuditEntry,
    CallState,
    Done,
    Fenced,
    InDoubt,
    ToolLost,
    ToolRef,
    ToolResult,
    ToolTimeout,
    ToolUnavailable,
    Unavailable,
)
from interlock.store import Database, call_rows
from interlock.tools import Delivery, Expectation, Tools

COMMIT_S = 10.0
_DOUBT_CHARS = 300


def run_key(task_id: str, run_no: int) -> str:
    """For whom a tool server of the scope `run` has a process."""
    return f"{task_id}:{run_no}"


def task_of_run(run: str) -> str:
    """The task of a run that `run_key` named."""
    return run.rpartition(":")[0]


class Sending(StrEnum):
    """What is known of earlier tries to send a call."""

    FIRST = "first"  # there was none
    AGAIN = "again"  # it may have been sent, and may have acted
    ANEW = "anew"  # it may have been sent, and has not acted


@dataclass(frozen=True)
class Executor:
    """Carries out calls whose start is committed."""

    database: Database
    toolbox: Tools
    checkpoint: Checkpoint
    pulse: Pulse
    shelter: Shelter
    judge: Judge

    async def run(self, case: Case, sending: Sending = Sending.FIRST) -> ActOutcome:
        """Send the call and commit what came of it."""
        await self.shelter.changing(case)
        try:
            result = await self._send(case, sending)
        except (ToolLost, ToolTimeout, ToolUnavailable) as error:
            return await self._unanswered(case, sending, error)
        fault_point("call.executed")
        result = await self._with_artifacts(case, result)
        if self._unknown(case, result):
            return await self._settle_doubt(case, result.text[:_DOUBT_CHARS], over=False)
        outcome = await self._commit(case, await self._outcome_of(case, result))
        await self.shelter.answered(case, result)
        await self.shelter.changing(case)
        return outcome

    async def _with_artifacts(self, case: Case, result: ToolResult) -> ToolResult:
        """What is too large for a model, or no text, is kept beside the call."""
        if result.overflow is None and not result.attachments:
            return result
        async with self.database.transaction() as tx:
            return await artifacts.keep(tx, result, case.call.task_id, case.call.id)

    def _unknown(self, case: Case, result: ToolResult) -> bool:
        """A server of ours says that it does not know itself whether what it passed on took effect."""
        builtin = self.judge.project.config.tools[case.ref.server].builtin is not None
        told = (result.structured or {}).get("in_doubt") is True
        return builtin and told and not result.ok and case.action_class is not ActionClass.READ

    async def _send(self, case: Case, sending: Sending) -> ToolResult:
        args = await self.checkpoint.with_contents(case.call.args)
        how = Delivery(
            case.timeout_s,
            case.idempotency_key,
            expect=self._relied_on(case),
            run=run_key(case.call.task_id, case.call.run_no),
            repeat=sending is not Sending.FIRST,
        )
        return await self.toolbox.call(case.ref, args, how)

    async def _unanswered(self, case: Case, sending: Sending, error: Unavailable) -> ActOutcome:
        """There is no answer: it was not sent, or it was and nobody knows what became of it."""
        await self.shelter.failed(case, error)
        if case.action_class is ActionClass.READ:
            return await self._read_elsewhere(case, error)
        unsent = isinstance(error, ToolUnavailable)
        if unsent and sending is not Sending.AGAIN:
            outage = replace(outage_of(case, error), reason=f"{error.message}; nothing was done")
            result = degraded(outage, self.database.clock.now())
            return await self._commit(case, Outcome(CallState.FAILED, result, "error"))
        if case.contract.idempotent and sending is not Sending.AGAIN:
            return await self.run(case, Sending.AGAIN)
        # Not sent now, but perhaps before: what was sent then is over.
        return await self._settle_doubt(case, error.message, over=not isinstance(error, ToolTimeout))

    async def _read_elsewhere(self, case: Case, error: Unavailable) -> ActOutcome:
        """A read may be made at another tool that the operator declared as equivalent."""
        outage = outage_of(case, error)
        if not case.stands_in:
            choice, other = await self.judge.stand_in(case, outage.trouble)
            if other is not None:
                other = replace(other, call=replace(other.call, served_by=str(other.ref)))
                async with self.database.transaction(case.subject.lease) as tx:
                    await call_rows.keep(tx, replace(case.call, served_by=str(other.ref)))
                    await ledger.note_stand_in(tx, other, choice.sentence)
                return await self.run(other)
            outage = replace(outage, tried=choice.passed_over)
        label = "timeout" if isinstance(error, ToolTimeout) else "error"
        result = degraded(outage, self.database.clock.now())
        return await self._commit(case, Outcome(CallState.FAILED, result, label))

    async def _outcome_of(self, case: Case, result: ToolResult) -> Outcome:
        effect = None
        if case.call.before is not None:
            effect = await self.checkpoint.measure(case, case.call.before, result.structured)
        state = CallState.DONE if result.ok else CallState.FAILED
        return Outcome(state, result, "ok" if result.ok else "error", effect)

    def _relied_on(self, case: Case) -> Expectation:
        """The definition that was judged, the state that was shown, a young heartbeat: or the call is not sent."""
        before = case.call.before or {}
        known = before.get("expected_sha256") is not None  # both hashes are about what the server calls touched
        state = case.staged.state_sha256 if case.staged else before.get("state_sha256") if known else None
        return Expectation(case.definition.pin_sha256, state, lambda: self.pulse.steady, self.pulse.until_s)

    async def _commit(self, case: Case, outcome: Outcome) -> ActOutcome:
        """Write down what is known; a run that is stopped at this moment waits until it is."""
        writing = asyncio.create_task(self._write_down(case, outcome))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing}, timeout=COMMIT_S)
            if writing.done() and not writing.cancelled():
                writing.exception()  # looked at, so that nobody calls it forgotten: the run is over either way
            raise

    async def _write_down(self, case: Case, outcome: Outcome) -> ActOutcome:
        try:
            async with self.database.at_once() as tx:
                observation = await ledger.finish(tx, case, outcome)
        except Fenced:
            await self._note_late(case, outcome)
            raise
        fault_point("call.finished")
        return Done(observation)

    async def _note_late(self, case: Case, outcome: Outcome) -> None:
        """This worker lost the run while the tool worked: the record says so, the ledger stays as it is."""
        detail = {"tool": str(case.ref), "outcome": outcome.label}
        async with self.database.transaction() as tx:
            await record(tx, AuditEntry("call.late_outcome", case.subject.actor, ledger.subject_ids(case), detail))

    def _repeatable(self, case: Case) -> bool:
        return case.action_class is ActionClass.READ or case.contract.idempotent

    async def after_crash(self, case: Case) -> ActOutcome:
        """Go on with a call whose start is committed and whose outcome is not: a worker died in between.

        The tool servers of its host outlive a worker, so what became of the call is known there. Where they died as
        well nobody works on it any more. On another host neither is known, so only "it did" is an answer.
        """
        here = case.call.host in (None, self.pulse.host)
        case = await self._adopt(case)
        if here:
            told = await self._recall(case)
            if told is not None:
                return told
        if self._repeatable(case):
            return await self.run(case, Sending.AGAIN)
        if not here:
            return await self._settle_doubt(case, "a worker on another host died during the call", over=False)
        if case.call.before is not None:
            return await self._look_at_state(case, case.call.before)
        if await self._probe(case) is False:  # its sender is dead and it did not happen: this is still the same call
            return await self.run(case, Sending.ANEW)
        return await self._settle_doubt(case, "a worker died during the call")

    async def _recall(self, case: Case) -> ActOutcome | None:
        """What the tool servers of this host know of a call; None when it was not sent, or is over and lost."""
        try:
            result = await self.toolbox.recall(case.idempotency_key, case.timeout_s)
        except ToolLost:
            return None
        except Unavailable as error:  # still under way, or there is nobody to ask
            if self._repeatable(case):
                return None
            return await self._settle_doubt(case, f"a worker died during the call; {error.message}", over=False)
        if result is None:
            return None
        result = await self._with_artifacts(case, result)
        return await self._commit(case, await self._outcome_of(case, result))

    async def _look_at_state(self, case: Case, before: dict[str, Any]) -> ActOutcome:
        """What the call was to change is as before: it did nothing, and runs now. As expected after: it is done."""
        why = "a worker died during the call"
        try:
            now = await self.checkpoint.state(before["server"], before["paths"])
        except Unavailable as error:
            return await self._settle_doubt(case, f"{why}, and its server does not answer: {error.message}")
        if now == before["state_sha256"]:
            return await self.run(case, Sending.ANEW)
        if now != before.get("expected_sha256"):
            return await self._settle_doubt(case, f"{why}, and what is there now is neither the old nor the new state")
        effect = await self.checkpoint.measure(case, before, {"effect": before.get("expected_effect")})
        text = "Done: a worker died before the answer, and the state is exactly what this call leaves."
        return await self._commit(case, Outcome(CallState.DONE, ToolResult(True, text), "ok", effect))

    async def _adopt(self, case: Case) -> Case:
        mine = self._repeatable(case) or case.call.host in (None, self.pulse.host)
        host = self.pulse.host or None if mine else case.call.host
        call = replace(case.call, epoch=case.subject.lease.epoch, host=host)
        async with self.database.transaction(case.subject.lease) as tx:
            await call_rows.keep(tx, call)
            await record(
                tx,
                AuditEntry("call.taken_over", case.subject.actor, ledger.subject_ids(case), {"tool": str(case.ref)}),
            )
        action_class = call.action_class or case.action_class
        return replace(case, call=call, action_class=action_class)

    async def _settle_doubt(self, case: Case, why: str, *, over: bool = True) -> ActOutcome:
        """Ask the declared check whether the call took effect; without an answer a person must find out.

        `over`: nobody works on it any more. Else it may take effect after the check, so only "it did" is an answer.
        """
        took_effect = await self._probe(case)
        if took_effect is True:
            text = "Done: the answer was lost, and the declared check found that the call took effect."
            return await self._commit(case, Outcome(CallState.DONE, ToolResult(True, text), "ok"))
        if took_effect is False and over:
            text = f"Not done: {why}, and the declared check found that the call did not take effect."
            return await self._commit(case, Outcome(CallState.FAILED, ToolResult(False, text), "error"))
        async with self.database.transaction(case.subject.lease) as tx:
            await ledger.doubt(tx, case.call, case.subject.actor, why)
        return InDoubt(case.call.id, f"whether call {case.call.call_no} ({case.ref}) took effect is unknown: {why}")

    async def _probe(self, case: Case) -> bool | None:
        """Run the `verify:` check of the tool's contract: True, False, or None when there is no telling."""
        check = case.contract.verify
        if check is None:
            return None
        ref = ToolRef.parse(str(check["tool"]))
        args: dict[str, Any] = fill(check.get("args", {}), case.call.args)
        async with self.database.transaction(case.subject.lease) as tx:
            detail = {"tool": str(ref), "for": str(case.ref)}
            await record(tx, AuditEntry("call.probe", case.subject.actor, ledger.subject_ids(case), detail))
        try:
            result = await self.toolbox.call(ref, args, Delivery(case.timeout_s))
        except Unavailable:
            return None
        return meets(result, check.get("expect", {"ok": True})) if result.ok else None
