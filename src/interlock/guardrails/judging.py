"""Finding the tool of a call, and the stages that change nothing: class, plan, policy. Also for tools that may stand in."""

from dataclasses import dataclass, field, replace

from interlock.config import FallbackConfig, Project
from interlock.guardrails import breakers, plan, validate
from interlock.guardrails.case import Case, Subject
from interlock.guardrails.classify import classify
from interlock.guardrails.contracts import contract_of
from interlock.guardrails.degraded import Trouble
from interlock.guardrails.fallbacks import Alternative, Candidate, Choice, Failing, alternatives, choose
from interlock.guardrails.policy import Policy
from interlock.model import (
    ActionClass,
    Call,
    Decision,
    InterlockError,
    ToolContract,
    ToolDefinition,
    ToolRef,
    ToolRefused,
    Unavailable,
    UserError,
    canonical_sha256,
)
from interlock.store import CallFacts, Database
from interlock.store import path_rows as call_path
from interlock.tools import Tools


@dataclass(frozen=True)
class Judge:
    """Says what a call is and what the policy says of it; makes no call and writes nothing.

    Attributes:
        machine: whose tool servers get the calls; empty where that does not matter.
    """

    database: Database
    project: Project
    toolbox: Tools
    policy: Policy
    machine: str = ""
    _contracts: dict[ToolRef, ToolContract] = field(default_factory=dict)

    def contract(self, ref: ToolRef) -> ToolContract:
        """What is declared of a tool of a configured server."""
        known = self._contracts.get(ref)
        if known is None:
            known = self._contracts[ref] = contract_of(self.project.config.tools[ref.server], ref.name)
        return known

    def trusted(self, tool: str) -> bool:
        """Whether the operator believes what a tool says."""
        ref = ToolRef.parse(tool)
        return ref.server in self.project.config.tools and self.contract(ref).output == "trusted"

    async def open(self, subject: Subject, call: Call, facts: CallFacts, ref: ToolRef) -> Case:
        """Find a tool and what is declared of it.

        Raises:
            ToolRefused: there is no such server or tool, or its files are on another machine.
            Unavailable: its server is not ready.
        """
        server = self.project.config.tools.get(ref.server)
        if server is None:
            raise ToolRefused(f"there is no tool server '{ref.server}'")
        validate.check_host(subject, ref, server.host, self.machine)
        definitions = await self.toolbox.definitions(ref.server)
        found = next((definition for definition in definitions if definition.ref == ref), None)
        if found is None:
            raise ToolRefused(f"the server '{ref.server}' has no tool '{ref.name}'")
        return Case(
            subject=subject,
            call=call,
            ref=ref,
            definition=found,
            contract=self.contract(ref),
            timeout_s=server.call_timeout,
            trusted_hints=server.trusted_hints,
            facts=facts,
        )

    def judge(self, case: Case) -> Case:
        """Fill in class, egress, plan entry and decision."""
        return self.policy.decide(plan.plan_calls(classify(case)))

    # ---- tools that stand in --------------------

    async def stand_in(self, case: Case, trouble: Trouble) -> tuple[Choice, Case | None]:
        """A declared alternative that may be called instead, judged for its own arguments."""
        candidates: list[Candidate] = []
        cases: dict[ToolRef, Case] = {}
        for found in self._alternatives(case.contract, case.call):
            candidate, judged = await self._candidate(case, found)
            candidates.append(candidate)
            if judged is not None:
                cases[found.ref] = judged
        failing = Failing(case.ref, case.action_class, case.egress, case.decision, trouble)
        choice = choose(failing, candidates)
        return choice, cases[choice.taken.ref] if choice.taken is not None else None

    async def reopen(self, subject: Subject, call: Call, facts: CallFacts) -> Case:
        """The case of a call that was started: of the tool that stood in, if one did.

        Raises:
            ToolRefused: the tool is gone, or does not stand in any more.
            Unavailable: its server is not ready.
        """
        asked = ToolRef.parse(call.tool)
        if call.served_by is None:
            return await self.open(subject, call, facts, asked)
        ref = ToolRef.parse(call.served_by)
        found = [one for one in self._alternatives(self.contract(asked), call) if one.ref == ref]
        if not found:
            raise ToolRefused(f"{ref} stood in for {asked}, and is not declared to do so any more")
        return replace(await self.open(subject, _with(call, found[0]), facts, ref), stands_in=True)

    def _alternatives(self, contract: ToolContract, call: Call) -> tuple[Alternative, ...]:
        declared = [FallbackConfig(tool=tool, args=args) for tool, args in contract.fallbacks]
        return alternatives(declared, call.args)

    async def _candidate(self, case: Case, found: Alternative) -> tuple[Candidate, Case | None]:
        judged, obstacle = None, found.gap
        if obstacle is None:
            try:
                judged = await self._judged(case, found)
                obstacle = await self._in_the_way(judged)
            except (ToolRefused, UserError, Unavailable) as error:
                obstacle = error.message
        if judged is None:
            return Candidate(found.ref, found.args, ActionClass.READ, False, Decision.ALLOW, obstacle), None
        facts = (judged.action_class, judged.egress, judged.decision, obstacle)
        return Candidate(found.ref, found.args, *facts), judged

    async def _judged(self, case: Case, found: Alternative) -> Case:
        async with self.database.at_once() as tx:
            looked = await call_path.look(
                tx, case.subject.lease, case.call.call_no, found.ref, planned=bool(case.subject.agent.plan)
            )
        if looked is None:
            raise ToolRefused("the call is not in the ledger")
        opened = await self.open(case.subject, _with(case.call, found), looked[1], found.ref)
        other = replace(opened, stands_in=True)
        validate.check_grant(other)
        validate.check_pin(other.definition, other.facts.pin)
        validate.check_args(other)
        return self.judge(other)

    async def _in_the_way(self, judged: Case) -> str | None:
        if not judged.facts.troubled:
            return None
        key = breakers.breaker_key(judged.ref)
        async with self.database.transaction() as tx:
            told = (await breakers.look(tx, [key]))[key]
        return None if told.allowed else "it failed several times in a row and is left alone for now"


def _with(call: Call, found: Alternative) -> Call:
    return replace(call, args=found.args, args_sha256=canonical_sha256(found.args))


def nobody(subject: Subject, call: Call, ref: ToolRef) -> Case:
    """A case of a tool that no server offers."""
    return Case(subject, call, ref, ToolDefinition(ref, None, "", {}), ToolContract())


def nothing_known(subject: Subject, call: Call, ref: ToolRef, contract: ToolContract, error: InterlockError) -> Case:
    """A case of a tool that can't be looked up; what the operator declares of it still holds."""
    case = Case(subject, call, ref, ToolDefinition(ref, None, "", {}), contract, reasons=(error.message,))
    declared = contract.action_class or ActionClass.READ
    return replace(case, action_class=declared, egress=bool(contract.egress), decision=Decision.ALLOW)
