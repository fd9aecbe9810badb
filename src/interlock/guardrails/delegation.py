"""Giving work to another agent: a call like any other, whose answer is the result of a task of its own.

The call changes nothing by itself. What the other agent does passes the gate call by call, within what is left to the
tasks above, stopped by their halts, and tainted if they are. `started` means that it was handed over; it is closed when
that task is over.
"""

from dataclasses import dataclass, replace
from typing import Any

from interlock.config import AgentConfig, Config
from interlock.guardrails import approvals, ledger, limits, plan, validate
from interlock.guardrails.case import Case, Subject
from interlock.guardrails.catalogue import RESERVED
from interlock.guardrails.declined import declined_before
from interlock.guardrails.ledger import Outcome, Start
from interlock.guardrails.policy import Policy
from interlock.model import (
    ActionClass,
    ActOutcome,
    Call,
    CallState,
    Decision,
    Denied,
    Done,
    Exhausted,
    Handed,
    Held,
    Task,
    TaskKind,
    TaskState,
    ToolContract,
    ToolDefinition,
    ToolRef,
    ToolRefused,
    ToolResult,
    UserError,
)
from interlock.store import CallFacts, Database, family_rows, task_rows

DELEGATE = ToolRef(RESERVED, "delegate")
MAX_TEXT_CHARS = 100_000
RESULT_CHARS = 50_000
_CONTRACT = ToolContract(ActionClass.READ, egress=False, output="untrusted")


def offer(agent: AgentConfig) -> ToolDefinition | None:
    """The tool as an agent sees it that may give work away; None for the others."""
    if not agent.delegates:
        return None
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "agent": {"type": "string", "enum": sorted(agent.delegates), "description": "who shall do it"},
            "text": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_TEXT_CHARS,
                "description": "what shall be done, with all that is needed to know; nothing else is passed on",
            },
            "inputs": {"type": "object", "description": "data that it is about"},
        },
        "required": ["agent", "text"],
        "additionalProperties": False,
    }
    text = "Give a part of the work to another agent, and get its result. Several calls in one turn run side by side."
    return ToolDefinition(DELEGATE, None, text, schema, None, {"readOnlyHint": True, "openWorldHint": False})


def delegation_of(agent: AgentConfig) -> tuple[ToolDefinition, ToolContract] | None:
    """The tool and what is declared of it, for an agent that may give work away."""
    tool = offer(agent)
    return None if tool is None else (tool, _CONTRACT)


def may_give(subject: Subject, call: Call) -> bool:
    """Whether a call gives work away, by an agent that may."""
    mine = subject.task.kind is TaskKind.AGENT and not subject.read_only
    return call.tool == str(DELEGATE) and mine and bool(subject.agent.delegates)


@dataclass(frozen=True)
class Delegation:
    """Decides on such calls, and closes them when their task is over."""

    database: Database
    config: Config
    policy: Policy

    def case(self, subject: Subject, call: Call, facts: CallFacts) -> Case:
        """The call as the policy sees it."""
        definition = offer(subject.agent) or ToolDefinition(DELEGATE, None, "", {})
        tainted = subject.task.tainted or facts.tainted
        case = Case(subject, call, DELEGATE, definition, _CONTRACT, ActionClass.READ, egress=False, tainted=tainted)
        return self.policy.decide(replace(case, facts=facts))

    async def act(self, subject: Subject, call: Call, facts: CallFacts) -> ActOutcome:
        """Hand the call over, or say that it may not be; one that was handed over, and whose task is over, is answered.

        Raises:
            Fenced: the lease is gone.
            Halted: the agent, or everything, is halted.
            Unavailable: the database does not answer.
        """
        case = self.case(subject, call, facts)
        if call.state is CallState.STARTED:
            return await self._hear(case)
        try:
            await self._check(case)
            if case.decision is Decision.DENY:
                raise ToolRefused("; ".join(case.reasons))
            approval = None
            if case.decision is Decision.ASK or call.state is CallState.APPROVED:
                binding = case.binding(self.policy.sha256, plan.plan_sha256(subject))
                async with self.database.transaction(subject.lease) as tx:
                    approval = await approvals.usable(tx, case, binding)
                    if approval is None:
                        return Held(call.id, await approvals.ask(tx, case, binding))
            async with self.database.at_once() as tx:
                await ledger.start(tx, case, Start(approval, None))
        except (ToolRefused, UserError, Exhausted) as error:
            async with self.database.transaction(subject.lease) as tx:
                return Denied(await ledger.deny(tx, case, error.message))
        return Handed(call.id)

    async def _check(self, case: Case) -> None:
        """Only to agents that it may, not too deep, not too many.

        Raises:
            ToolRefused: it is beyond one of these bounds, or was declined before.
            UserError: the arguments do not fit.
            Exhausted: too many calls in this minute.
        """
        validate.check_args(case)
        subject, bounds = case.subject, case.subject.agent.limits
        agent = str(case.call.args["agent"])
        if agent not in self.config.agents:
            raise ToolRefused(f"no agent '{agent}' is configured any more")
        for levels, above in enumerate(subject.task.lineage, start=2):
            if levels > above.depth:
                raise ToolRefused(f"below a task of '{above.agent}' tasks may be nested {above.depth} deep: do it here")
        limits.over(case, self.database.clock.now())
        async with self.database.transaction() as tx:
            given = await family_rows.given(tx, subject.lease.task_id)
            declined = await declined_before(tx, case.call) if case.call.state is CallState.PROPOSED else None
        if given >= bounds.children:
            raise ToolRefused(f"this task has given away {given} tasks, as many as it may")
        if declined is not None:
            raise ToolRefused(declined)

    async def _hear(self, case: Case) -> ActOutcome:
        async with self.database.transaction() as tx:
            child = await family_rows.child_of_call(tx, case.call.id)
            told = await task_rows.result_of(tx, child.id) if child is not None else None
        if child is None and str(case.call.args["agent"]) not in self.config.agents:
            result = ToolResult(False, "Not done: that agent is not configured any more.")
        elif child is None or not child.state.final:
            return Handed(case.call.id)
        else:
            result = _told(child, told)
        state = CallState.DONE if result.ok else CallState.FAILED
        async with self.database.at_once() as tx:
            outcome = Outcome(state, result, "ok" if result.ok else "error")
            return Done(await ledger.finish(tx, case, outcome))


def _told(child: Task, result: dict[str, Any] | None) -> ToolResult:
    """What the one who gave the task away reads of its end."""
    structured = {"task": child.id, "agent": child.agent, "state": str(child.state)}
    if child.state is not TaskState.COMPLETED:
        return ToolResult(False, f"The task of '{child.agent}' {_ENDS[child.state]}: {child.state_reason}", structured)
    text = str((result or {}).get("text", ""))
    if len(text) > RESULT_CHARS:
        text = f"{text[:RESULT_CHARS]}\n[{len(text) - RESULT_CHARS} more characters: the result of task {child.id}]"
    return ToolResult(True, text, structured)


_ENDS = {
    TaskState.FAILED: "failed",
    TaskState.CANCELLED: "was cancelled",
    TaskState.TIMED_OUT: "took too long",
    TaskState.REJECTED: "was not taken in",
}
