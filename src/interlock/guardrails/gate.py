"""The gate: every tool call goes through `act`, every model call through `think`; there is no other way.

The order of `act`: what the ledger knows -> validate -> classify -> plan -> policy -> stage -> allowances -> approval
-> checkpoint -> intent (one commit) -> execute -> measure -> outcome (one commit) -> label.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from interlock.config import Project, fault_point
from interlock.guardrails import approvals, ledger, limits, plan, validate
from interlock.guardrails.case import Case, Subject
from interlock.guardrails.checkpoint import Checkpoint
from interlock.guardrails.classify import classify
from interlock.guardrails.contracts import contract_of, refuse_unsafe_checks
from interlock.guardrails.execute import Executor, run_key
from interlock.guardrails.ledger import Start
from interlock.guardrails.policy import Policy
from interlock.guardrails.pulse import Pulse
from interlock.model import (
    ActionClass,
    ActOutcome,
    Call,
    CallRequest,
    CallState,
    Conflict,
    Decision,
    Denied,
    Done,
    Exhausted,
    Held,
    InDoubt,
    InterlockError,
    Lease,
    Observation,
    ToolContract,
    ToolDefinition,
    ToolRef,
    ToolRefused,
    Unavailable,
    UserError,
)
from interlock.store import Database, approval_rows, call_rows, catalog_rows
from interlock.tools import Tools


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
        self._executor = Executor(database, toolbox, checkpoint, self._pulse)
        self.policy = Policy(project.config.policy)
        refuse_unsafe_checks(self._servers)

    async def act(self, subject: Subject, request: CallRequest) -> ActOutcome:
        """Answer one call: carried out, refused, held for a person, or in doubt.

        Raises:
            Fenced: the lease is gone.
            Unavailable: the database, or a required tool server, does not answer; nothing was done.
        """
        async with self._database.transaction(subject.lease) as tx:
            call = await call_rows.by_number(tx, subject.lease.task_id, request.call_no)
        if call is None:
            raise Conflict(f"call {request.call_no} is not in the ledger")
        if call.state is CallState.IN_DOUBT:
            return InDoubt(call.id, f"whether {call.tool} took effect is unknown")
        if call.state in (CallState.DONE, CallState.FAILED) or call.result is not None:
            return Done(ledger.observation_of(call, trusted=self._trusted(call)))
        try:
            case = await self._open(subject, call)
        except (ToolRefused, UserError, Unavailable) as error:
            return await self._refuse_unknown(subject, call, error)
        if call.state is CallState.STARTED:
            return await self._executor.after_crash(await self._judge(case))
        if call.state in (CallState.DENIED, CallState.EXPIRED):
            return await self._tell_verdict(await self._judge(case))
        return await self._proceed(case)

    async def _open(self, subject: Subject, call: Call) -> Case:
        """Find the tool and what is declared of it."""
        ref = ToolRef.parse(call.tool)
        server = self._servers.get(ref.server)
        if server is None:
            raise ToolRefused(f"there is no tool server '{ref.server}'")
        definitions = await self._toolbox.definitions(ref.server)
        found = next((definition for definition in definitions if definition.ref == ref), None)
        if found is None:
            raise ToolRefused(f"the server '{ref.server}' has no tool '{ref.name}'")
        return Case(
            subject=subject,
            call=call,
            ref=ref,
            definition=found,
            contract=contract_of(server, ref.name),
            timeout_s=server.call_timeout,
            trusted_hints=server.trusted_hints,
        )

    async def _judge(self, case: Case) -> Case:
        """Stages without side effects: class, plan, policy."""
        async with self._database.transaction() as tx:
            used = await call_rows.plan_use(tx, case.call.task_id, case.call.id)
        return self.policy.decide(plan.plan_calls(classify(case), used))

    async def _proceed(self, case: Case) -> ActOutcome:
        try:
            await self._validate(case)
            case = await self._judge(case)
            if case.subject.read_only and case.action_class is not ActionClass.READ:
                raise ToolRefused(f"a check may only read, and {case.ref} is {case.action_class}")
            if case.decision is Decision.DENY:
                raise ToolRefused("; ".join(case.reasons))
            if case.action_class is not ActionClass.READ:
                case = await self._checkpoint.stage(case)
            case = await self._check_allowances(case)
        except (ToolRefused, UserError, Exhausted) as error:
            return Denied(await self._deny(case, error.message))
        return await self._agree_and_run(case)

    async def _validate(self, case: Case) -> None:
        validate.check_grant(case)
        async with self._database.transaction() as tx:
            pins = await catalog_rows.pins(tx, case.ref.server)
        validate.check_pin(case.definition, pins)
        validate.check_args(case)

    async def _check_allowances(self, case: Case) -> Case:
        async with self._database.transaction() as tx:
            over = await limits.over(tx, case)
        if over is None:
            return case
        return replace(case, decision=Decision.ASK, rules=(*case.rules, "allowance"), reasons=(*case.reasons, over))

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
        try:
            before = await self._checkpoint.capture(case) if case.action_class is not ActionClass.READ else None
            async with self._database.transaction(case.subject.lease) as tx:
                case = await ledger.start(tx, case, Start(approval, before, self._pulse.host or None))
        except (Exhausted, UserError) as error:
            return Denied(await self._deny(case, error.message))
        fault_point("call.started")
        return await self._executor.run(case)

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
        """A tool that can't be looked up: not done, whatever it is; a call that had started stays in doubt."""
        if call.state is CallState.STARTED:
            async with self._database.transaction(subject.lease) as tx:
                await ledger.doubt(tx, call, subject.actor, error.message)
            return InDoubt(call.id, f"{call.tool} was started, and its server is not there to ask: {error.message}")
        server, _, name = call.tool.partition(".")
        ref = ToolRef(server or "unknown", name or "unknown")
        nobody = ToolDefinition(ref, None, "", {})
        case = Case(subject, call, ref, nobody, ToolContract(), reasons=(error.message,))
        return Denied(await self._deny(case, error.message))

    def _trusted(self, call: Call) -> bool:
        if call.state not in (CallState.DONE, CallState.FAILED):
            return True
        ref = ToolRef.parse(call.tool)
        server = self._servers.get(ref.server)
        return server is not None and contract_of(server, ref.name).output == "trusted"

    @property
    def lasting(self) -> bool:
        """Whether the outcome of a call can be found out when this process does not live to hear it."""
        return self._toolbox.lasting

    def abandon(self, lease: Lease) -> None:
        """Let calls of a run go on although this process stops waiting: whoever takes it over hears what became of them."""
        self._toolbox.abandon(run_key(lease.task_id, lease.run_no))

    async def release(self, lease: Lease) -> None:
        """End what tool servers have for one run only; a server that can't be told ends it by itself."""
        with contextlib.suppress(Unavailable):
            await self._toolbox.release(run_key(lease.task_id, lease.run_no))

    async def tools_for(self, subject: Subject) -> tuple[ToolDefinition, ...]:
        """The tools that the agent is shown: granted, accepted, of servers that are ready.

        Raises:
            Unavailable: a required server is not ready, or a granted tool is not the accepted one.
        """
        shown: list[ToolDefinition] = []
        for name in sorted({pattern.partition(".")[0] for pattern in subject.agent.tools}):
            shown += await self._accepted(name, subject.agent.tools, required=self._servers[name].required)
        return tuple(shown)

    async def _accepted(self, server: str, patterns: list[str], *, required: bool) -> list[ToolDefinition]:
        from interlock.tools import granted

        try:
            definitions = granted(await self._toolbox.definitions(server), patterns)
        except Unavailable:
            if required:
                raise
            return []
        async with self._database.transaction() as tx:
            pins: Mapping[str, str] = await catalog_rows.pins(tx, server)
        good = [definition for definition in definitions if pins.get(definition.ref.name) == definition.pin_sha256]
        if required and len(good) != len(definitions):
            changed = next(definition.ref for definition in definitions if definition not in good)
            raise ToolRefused(f"{changed} is not the tool that was accepted", hint=f"interlock tools show {changed}")
        return good
