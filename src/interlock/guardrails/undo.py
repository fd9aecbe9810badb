"""Taking effects back: last in, first out, as calls of an undo task through the same gate, each one verified.

The steps are fixed when the task is submitted. A step restores the state that was captured before the effect, but
only if what is there now is what the effect left; otherwise somebody else changed it since, and it is left alone.
"""

from dataclasses import dataclass, replace
from typing import Any

from interlock.audit import record
from interlock.config import ToolServerConfig
from interlock.guardrails.case import Subject
from interlock.guardrails.contracts import contract_of
from interlock.guardrails.expect import fill
from interlock.model import (
    AuditEntry,
    Call,
    CallProposal,
    CallState,
    Conflict,
    ModelAnswer,
    ModelTurn,
    Observation,
    RequestTurn,
    ToolRef,
    Turn,
    UndoState,
)
from interlock.store import Database, Transaction, call_rows, family_rows

MODEL = "builtin:undo"


@dataclass(frozen=True)
class UndoPlan:
    """What an undo would do: effects in the order in which they are taken back, and those that can't be."""

    steps: tuple[Call, ...]
    impossible: tuple[tuple[Call, str], ...]


async def plan_undo(
    tx: Transaction, servers: dict[str, ToolServerConfig], task_id: str, call_id: str | None
) -> UndoPlan:
    """Look at the effects of a task and of those that it gave away, or of one call of them.

    Raises:
        Conflict: there is no effect to take back.
    """
    effects = [
        call
        for call in reversed(await family_rows.calls_of_family(tx, task_id))
        if call.is_effect and call.undo is not UndoState.RESTORED and (call_id is None or call.id == call_id)
    ]
    if not effects:
        raise Conflict(
            "nothing to undo: no effect is left that was not taken back", hint=f"interlock tasks show {task_id}"
        )
    steps, impossible = [], []
    for call in effects:
        why = _obstacle(call, servers)
        if why is None:
            steps.append(call)
        else:
            impossible.append((call, why))
    return UndoPlan(tuple(steps), tuple(impossible))


def _obstacle(call: Call, servers: dict[str, ToolServerConfig]) -> str | None:
    if call.state in (CallState.STARTED, CallState.IN_DOUBT):
        return "whether it took effect is unknown: resolve it first"
    if call.before is not None:
        return None if call.effect else "what it left behind was never measured"
    ref = ToolRef.parse(call.tool)
    server = servers.get(ref.server)
    if server is not None and contract_of(server, ref.name).inverse is not None:
        return None if call.state is CallState.DONE else "it failed, so its inverse does not apply"
    return "its server keeps no snapshots, and no inverse is declared"


async def mark_impossible(tx: Transaction, plan: UndoPlan) -> None:
    """Write down which effects can't be taken back, and why."""
    for call, why in plan.impossible:
        await call_rows.keep(tx, replace(call, undo=UndoState.IMPOSSIBLE, undo_note=why))


def proposal_of(call: Call, servers: dict[str, ToolServerConfig]) -> dict[str, Any]:
    """The call that takes an effect back; shape `{tool, args}`."""
    ref = ToolRef.parse(call.tool)
    if call.before is not None:
        args = {
            "entries": call.before["entries"],
            "paths": call.before["paths"],
            "expect_state_sha256": (call.effect or {}).get("after_sha256"),
        }
        return {"tool": f"{ref.server}.restore", "args": args}
    inverse = contract_of(servers[ref.server], ref.name).inverse or {}
    return {"tool": str(inverse["tool"]), "args": fill(inverse.get("args", {}), call.args)}


@dataclass(frozen=True)
class UndoSteps:
    """The deterministic model behind an undo task: settles the step before, then proposes the next one."""

    database: Database

    async def next_answer(self, subject: Subject, turns: tuple[Turn, ...]) -> ModelAnswer:
        """The next step, or the summary when there is none left."""
        first = next(turn for turn in turns if isinstance(turn, RequestTurn))
        steps: list[dict[str, Any]] = list(first.inputs["steps"])
        made = [turn for turn in turns if isinstance(turn, ModelTurn)]
        for step, turn in zip(steps, made, strict=False):
            answer = next(t for t in turns if isinstance(t, Observation) and t.call_no == turn.calls[0].call_no)
            await self._settle(subject, str(step["call"]), answer)
        if len(made) < len(steps):
            step = steps[len(made)]
            reason = f"take back call {str(step['call'])[-8:]}"
            return ModelAnswer("", (CallProposal(step["tool"], step["args"], reason),), MODEL)
        return await self._summary(steps)

    async def _settle(self, subject: Subject, call_id: str, answer: Observation) -> None:
        """Compare the state after the reversal, captured by the gate, with the one before the effect."""
        async with self.database.transaction(subject.lease) as tx:
            call = await call_rows.get(tx, call_id, lock=True)
            if call.undo in (UndoState.RESTORED, UndoState.DIVERGED, UndoState.PARTIAL) and call.undo_note:
                return
            reversal = await call_rows.by_number(tx, subject.lease.task_id, answer.call_no)
            state, note = _verdict(call, answer, reversal)
            await call_rows.keep(tx, replace(call, undo=state, undo_note=note))
            ids = {"task": call.task_id, "call": call.id, "undo_task": subject.lease.task_id}
            await record(tx, AuditEntry("effect.undone", subject.actor, ids, {"outcome": state, "note": note}))

    async def _summary(self, steps: list[dict[str, Any]]) -> ModelAnswer:
        async with self.database.transaction() as tx:
            calls = [await call_rows.get(tx, str(step["call"])) for step in steps]
        restored = [call for call in calls if call.undo is UndoState.RESTORED]
        lines = [f"{len(restored)} of {len(calls)} effects restored and verified."]
        lines += [f"call {call.call_no} ({call.tool}): {call.undo}: {call.undo_note}" for call in calls]
        return ModelAnswer("\n".join(lines), (), MODEL)


def _verdict(call: Call, answer: Observation, reversal: Call | None) -> tuple[UndoState, str]:
    if call.before is None:
        if answer.ok:
            return UndoState.PARTIAL, "the declared inverse was made; there is no state to compare"
        return UndoState.PARTIAL, f"the declared inverse failed: {answer.text[:200]}"
    if (answer.structured or {}).get("conflict"):
        return UndoState.DIVERGED, "something else changed it since; it was left as it is"
    if not answer.ok:
        return UndoState.PARTIAL, f"the reversal failed: {answer.text[:200]}"
    after = (reversal.effect or {}).get("after_sha256") if reversal else None
    if after == call.before["state_sha256"]:
        return UndoState.RESTORED, "the state is the one before the effect, compared by hash"
    return UndoState.DIVERGED, "the state after the reversal is not the one before the effect"
