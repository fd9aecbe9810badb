"""The gate: every tool call goes through `act`, every model call through `think`; there is no other way.

The order of `act`: what the ledger knows -> validate -> classify -> plan -> policy -> stage -> allowances -> approval
-> checkpoint -> intent (one commit) -> execute -> measure -> outcome (one commit) -> label.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from interlock.config import AgentConfig, Project, fault_point
from interlock.guardrails import approvals, catalogue, ledger, limits, plan, validate
from interlock.guardrails.acceptance import ACCEPTED, may_ask, question_of
from interlock.guardrails.case import Case, Subject
from interlock.guardrails.checkpoint import Checkpoint
from interlock.guardrails.contracts import refuse_unsafe_checks
from interlock.guardrails.declined import declined_before
from interlock.guardrails.degraded import Outage, degraded
from interlock.guardrails.delegation import Delegation, may_give, offer
from interlock.guardrails.execute import Executor, run_key, task_of_run
from interlock.guardrails.fallbacks import refuse_unknown_fallbacks
from interlock.guardrails.judging import Judge, nobody, nothing_known
from interlock.guardrails.ledger import Start
from interlock.guardrails.policy import Policy
from interlock.guardrails.pulse import Pulse
from interlock.guardrails.shelter import Shelter, outage_of
from interlock.guardrails.trial import Trials
from interlock.model import (
    ActionClass,
    ActOutcome,
    ApprovalState,
    Call,
    CallRequest,
    CallState,
    Conflict,
    Decision,
    Denied,
    Done,
    Exhausted,
    Halted,
    Held,
    InDoubt,
    InterlockError,
    Lease,
    Observation,
    TaskKind,
    ToolDefinition,
    ToolRef,
    ToolRefused,
    ToolUnavailable,
    Unavailable,
    UserError,
)
from interlock.store import CallFacts, Database, approval_rows, catalog_rows
from interlock.store import path_rows as call_path
from interlock.tools import Tools

Looked: TypeAlias = tuple[Call, CallFacts]
_FIRST_LOOKS = 40
_LOOK_EVERY_S = 0.25


class Gate:
    """Decides on, carries out and records calls."""

    def __init__(
        self,
        database: Database,
        project: Project,
        toolbox: Tools,
        checkpoint: Checkpoint,
        pulse: Pulse | None = None,
    ) -> None:
        self._database = database
        self._servers = project.config.tools
        self._toolbox = toolbox
        self._checkpoint = checkpoint
        self._pulse = pulse or Pulse()
        self.policy = Policy(project.config.policy)
        self._delegation = Delegation(database, project.config, self.policy)
        self._judge = Judge(database, project, toolbox, self.policy, self._pulse.machine)
        twins = {name: server.staging for name, server in self._servers.items() if server.staging is not None}
        self._trials = Trials(database, toolbox, checkpoint.snapshots, twins)
        self._shelter = Shelter(database, self._servers)
        self._executor = Executor(database, toolbox, checkpoint, self._pulse, self._shelter, self._judge)
        refuse_unsafe_checks(self._servers)
        refuse_unknown_fallbacks(self._servers)

    async def propose(self, subject: Subject, request: CallRequest, call_id: str) -> Looked:
        """Write a call that no turn of ours asks for into the ledger; `act` goes on from what it gives.

        Raises:
            Fenced: the lease is gone.
            Unavailable: the database does not answer; it may have been written, and may be again.
        """
        planned = bool(subject.agent.plan)
        async with self._database.at_once() as tx:
            return await call_path.propose(tx, subject.lease, call_id, request, _ref_of(request.tool), planned=planned)

    async def _look(self, subject: Subject, request: CallRequest) -> Looked | None:
        planned = bool(subject.agent.plan)
        async with self._database.at_once() as tx:
            return await call_path.look(tx, subject.lease, request.call_no, _ref_of(request.tool), planned=planned)

    async def act(self, subject: Subject, request: CallRequest, looked: Looked | None = None) -> ActOutcome:
        """Answer one call: carried out, refused, held for a person, or in doubt.

        Args:
            subject: for whom.
            request: what.
            looked: what is known of it at this moment, from `propose`.

        Raises:
            Fenced: the lease is gone.
            Halted: the agent, or everything, is halted; the call is as it was.
            Unavailable: the database, or a required tool server, does not answer; nothing was done.
        """
        looked = looked or await self._look(subject, request)
        if looked is None:
            raise Conflict(f"call {request.call_no} is not in the ledger")
        call, facts = looked
        if call.state is CallState.IN_DOUBT:
            return InDoubt(call.id, f"whether {call.tool} took effect is unknown")
        if call.state in (CallState.DONE, CallState.FAILED) or call.result is not None:
            return Done(ledger.observation_of(call, trusted=self._trusted(call)))
        own = await self._own(subject, call, facts)
        if own is not None:
            return own
        if call.state is CallState.STARTED:
            return await self._go_on(subject, call, facts)
        try:
            case = await self._judge.open(subject, call, facts, ToolRef.parse(call.tool))
        except (ToolRefused, UserError) as error:
            return await self._refuse_unknown(subject, call, error)
        except Unavailable as error:
            return await self._without_server(subject, call, error)
        if call.state in (CallState.DENIED, CallState.EXPIRED):
            return await self._tell_verdict(self._judge.judge(case))
        return await self._proceed(case)

    async def _own(self, subject: Subject, call: Call, facts: CallFacts) -> ActOutcome | None:
        """The answer to a call that no tool server gets; None for all others."""
        if call.tool == str(catalogue.SEARCH):
            return await self._search(subject, call)
        if may_ask(subject, call):
            return await self._accept(subject, call)
        if not may_give(subject, call):
            return None
        if call.state in (CallState.DENIED, CallState.EXPIRED):
            return await self._tell_verdict(self._delegation.case(subject, call, facts))
        return await self._delegation.act(subject, call, facts)

    async def _search(self, subject: Subject, call: Call) -> ActOutcome:
        """An agent with many tools looks for one; only among those that it may see."""
        case = nobody(subject, call, catalogue.SEARCH)
        try:
            found = catalogue.answer_search(await self.tools_for(subject), call.args)
        except (UserError, ToolRefused) as error:
            return Denied(await self._deny(case, error.message))
        found_here = replace(case.contract, output="trusted")  # what any agent is told of its tools anyway
        case = replace(
            case,
            contract=found_here,
            action_class=ActionClass.READ,
            egress=False,
            decision=Decision.ALLOW,
            rules=("search",),
        )
        async with self._database.transaction(subject.lease) as tx:
            return Done(await ledger.close_unmade(tx, case, found, "call.searched"))

    async def _accept(self, subject: Subject, call: Call) -> ActOutcome:
        """A person looks at a result and says whether it is one."""
        case = question_of(subject, call)
        if call.state in (CallState.DENIED, CallState.EXPIRED):
            return await self._tell_verdict(case)
        binding = case.binding(self.policy.sha256, plan.plan_sha256(subject))
        async with self._database.transaction(subject.lease) as tx:
            approval = await approvals.usable(tx, case, binding)
            if approval is None:
                return Held(call.id, await approvals.ask(tx, case, binding))
            await approval_rows.set_state(tx, replace(approval, state=ApprovalState.CONSUMED))
            return Done(await ledger.close_unmade(tx, case, ACCEPTED, "result.accepted"))

    async def _go_on(self, subject: Subject, call: Call, facts: CallFacts) -> ActOutcome:
        """A call that was started, and whose outcome nobody wrote down."""
        try:
            case = await self._judge.reopen(subject, call, facts)
        except (ToolRefused, UserError, Unavailable) as error:
            async with self._database.transaction(subject.lease) as tx:
                await ledger.doubt(tx, call, subject.actor, error.message)
            return InDoubt(call.id, f"{call.tool} was started, and its server is not there to ask: {error.message}")
        return await self._executor.after_crash(self._judge.judge(case))

    async def _proceed(self, case: Case) -> ActOutcome:
        try:
            validate.check_grant(case)
            validate.check_pin(case.definition, case.facts.pin)
            validate.check_args(case)
            case = self._judge.judge(case)
            if case.subject.read_only and case.action_class is not ActionClass.READ:
                raise ToolRefused(f"a check may only read, and {case.ref} is {case.action_class}")
            if case.decision is Decision.DENY:
                raise ToolRefused("; ".join(case.reasons))
            if case.subject.checks_result and case.decision is Decision.ASK:
                raise ToolRefused(f"nobody is asked on behalf of a check: {'; '.join(case.reasons)}")
            if case.action_class is not ActionClass.READ:
                case = self._after_trial(await self._trials.stage(case))
            case = self._check_allowances(case)
            if case.decision is Decision.ASK and case.call.state is CallState.PROPOSED:
                await self._refuse_declined(case)
        except (ToolRefused, UserError, Exhausted) as error:
            return Denied(await self._deny(case, error.message))
        except Unavailable as error:
            if error.code == "database_unavailable":
                raise
            return await self._without(case, outage_of(case, error))
        return await self._agree_and_run(case)

    def _after_trial(self, case: Case) -> Case:
        """What can't be tried first, and was only allowed because it could, needs a person."""
        if case.unstaged is None or case.decision is not Decision.ALLOW:
            return case
        again = self.policy.decide(case)
        if again.decision is not Decision.ALLOW:
            return replace(again, reasons=(*again.reasons, case.unstaged))
        return replace(
            case, decision=Decision.ASK, rules=(*case.rules, "unstaged"), reasons=(*case.reasons, case.unstaged)
        )

    def _check_allowances(self, case: Case) -> Case:
        over = limits.over(case, self._database.clock.now())
        if over is None:
            return case
        return replace(case, decision=Decision.ASK, rules=(*case.rules, "allowance"), reasons=(*case.reasons, over))

    async def _refuse_declined(self, case: Case) -> None:
        """People are not asked again what they have declined in this run."""
        async with self._database.transaction() as tx:
            why = await declined_before(tx, case.call)
        if why is not None:
            raise ToolRefused(why)

    async def _agree_and_run(self, case: Case) -> ActOutcome:
        """Get the agreement that is needed, then start; what is approved is exactly what runs."""
        approval = None
        if case.decision is Decision.ASK or case.call.state is CallState.APPROVED:
            binding = case.binding(self.policy.sha256, plan.plan_sha256(case.subject))
            async with self._database.transaction(case.subject.lease) as tx:
                approval = await approvals.usable(tx, case, binding)
                if approval is None:
                    approval_id = await approvals.ask(tx, case, binding)
                    return Held(case.call.id, approval_id)
        known = await self._shelter.reuse(case) if approval is None else None
        if known is not None and known.result is not None:
            async with self._database.transaction(case.subject.lease) as tx:
                return Done(await ledger.close_unmade(tx, case, known.result, "call.reused"))
        admission = await self._shelter.admit(case, known.at if known is not None else None)
        if isinstance(admission, Outage):
            return await self._without(case, admission)
        case = replace(case, admission=admission)
        try:
            before = await self._checkpoint.capture(case) if case.action_class is not ActionClass.READ else None
            async with self._database.at_once() as tx:
                case = await ledger.start(tx, case, Start(approval, before, self._pulse.host or None))
        except (Exhausted, UserError) as error:
            await self._shelter.passed_by(case)
            return Denied(await self._deny(case, error.message))
        except Halted:
            await self._shelter.passed_by(case)
            raise
        fault_point("call.started")
        return await self._executor.run(case)

    async def _without(self, case: Case, outage: Outage) -> ActOutcome:
        """The tool can't be called now: another one stands in, or the model is told to do without."""
        if not case.stands_in:
            choice, other = await self._judge.stand_in(case, outage.trouble)
            if other is not None:
                async with self._database.transaction(case.subject.lease) as tx:
                    await ledger.note_stand_in(tx, other, choice.sentence)
                return await self._proceed(other)
            outage = replace(outage, tried=choice.passed_over)
        result = degraded(outage, self._database.clock.now())
        async with self._database.transaction(case.subject.lease) as tx:
            return Done(await ledger.close_unmade(tx, case, result, "call.unavailable"))

    async def _without_server(self, subject: Subject, call: Call, error: Unavailable) -> ActOutcome:
        ref = ToolRef.parse(call.tool)
        case = nothing_known(subject, call, ref, self._judge.contract(ref), error)
        return await self._without(case, outage_of(case, error))

    async def _tell_verdict(self, case: Case) -> ActOutcome:
        """A person said no, or nobody answered: the model is told, with the reason."""
        async with self._database.transaction(case.subject.lease) as tx:
            approval = await approval_rows.last_one(tx, case.call.id)
            reason = approval.reason if approval else ""
            if case.call.state is CallState.EXPIRED:
                why = "it needed a person's agreement, and nobody answered in time"
            else:
                why = f"a person refused it: {reason}"
            return Denied(await ledger.deny(tx, case, why, case.call.state))

    async def _deny(self, case: Case, why: str) -> Observation:
        async with self._database.transaction(case.subject.lease) as tx:
            return await ledger.deny(tx, case, why)

    async def _refuse_unknown(self, subject: Subject, call: Call, error: InterlockError) -> ActOutcome:
        """A tool that does not exist: not done, whatever it is."""
        named = _ref_of(call.tool)
        ref = ToolRef(named.server or "unknown", named.name or "unknown")
        case = replace(nobody(subject, call, ref), reasons=(error.message,))
        return Denied(await self._deny(case, error.message))

    def _trusted(self, call: Call) -> bool:
        if call.state not in (CallState.DONE, CallState.FAILED):
            return True
        return self._judge.trusted(call.served_by or call.tool)

    @property
    def lasting(self) -> bool:
        """Whether the outcome of a call can be found out when this process does not live to hear it."""
        return self._toolbox.lasting

    def abandon(self, lease: Lease) -> None:
        """Let calls of a run go on although this process stops waiting: whoever takes it over hears what became of them."""
        self._toolbox.abandon(run_key(lease.task_id, lease.run_no))

    async def left_behind(self) -> dict[str, str]:
        """Runs with calls under way of which nobody waits to hear, with their tasks: whoever sent them has died."""
        with contextlib.suppress(Unavailable):
            return {run: task_of_run(run) for run in await self._toolbox.unheard()}
        return {}

    async def cut_off(self, runs: list[str]) -> None:
        """Stop such calls; whether they took effect is then unknown."""
        with contextlib.suppress(Unavailable):
            await self._toolbox.cut_off(runs)

    async def release(self, lease: Lease) -> None:
        """End what tool servers have for one run only; a server that can't be told ends it by itself."""
        with contextlib.suppress(Unavailable):
            await self._toolbox.release(run_key(lease.task_id, lease.run_no))

    async def tools_for(self, subject: Subject) -> tuple[ToolDefinition, ...]:
        """The tools that the agent of a run is shown; see `tools_of`."""
        shown, more = await self.tools_of(subject.agent), offer(subject.agent)
        return shown if more is None or subject.task.kind is not TaskKind.AGENT or subject.read_only else (*shown, more)

    async def tools_of(self, agent: AgentConfig) -> tuple[ToolDefinition, ...]:
        """The tools that an agent is shown: granted, accepted, of servers that are ready.

        Raises:
            Unavailable: a required server is not ready, or a granted tool is not the accepted one.
        """
        shown: list[ToolDefinition] = []
        for name in sorted({pattern.partition(".")[0] for pattern in agent.tools}):
            shown += await self._accepted(name, agent.tools, required=self._servers[name].required)
        return tuple(shown)

    async def _pins(self, server: str) -> Mapping[str, str]:
        """The accepted tools of a server; one that was never looked at is waited for: `up` may be at it right now.

        Raises:
            ToolUnavailable: none of its tools was accepted.
        """
        for _ in range(_FIRST_LOOKS):
            async with self._database.transaction() as tx:
                pins = await catalog_rows.pins(tx, server)
            if pins:
                return pins
            await asyncio.sleep(_LOOK_EVERY_S)
        raise ToolUnavailable(
            f"no tool of the server '{server}' was accepted yet", hint=f"interlock tools pin {server}"
        )

    async def _accepted(self, server: str, patterns: list[str], *, required: bool) -> list[ToolDefinition]:
        from interlock.tools import granted

        try:
            definitions = granted(await self._toolbox.definitions(server), patterns)
        except Unavailable:
            if required:
                raise
            return []
        pins = await self._pins(server)
        good = [definition for definition in definitions if pins.get(definition.ref.name) == definition.pin_sha256]
        if required and len(good) != len(definitions):
            changed = next(definition.ref for definition in definitions if definition not in good)
            raise ToolRefused(f"{changed} is not the tool that was accepted", hint=f"interlock tools show {changed}")
        return good


def _ref_of(tool: str) -> ToolRef:
    """The tool that a model names, which may be none at all."""
    server, _, name = tool.partition(".")
    return ToolRef(server, name)
