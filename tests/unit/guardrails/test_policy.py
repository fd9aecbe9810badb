"""Class, plan and policy: pure decisions, driven at random; nothing destructive is ever let through by itself."""

import datetime
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.config import AgentConfig, ContractConfig, PlanEntryConfig, PolicyConfig, RuleConfig, ToolServerConfig
from interlock.guardrails import Policy, Subject, contract_of
from interlock.guardrails.case import Case
from interlock.guardrails.classify import classify
from interlock.guardrails.plan import plan_calls
from interlock.model import (
    ActionClass,
    Call,
    CallState,
    Decision,
    Lease,
    PolicyError,
    RequestTurn,
    Task,
    TaskKind,
    TaskLimits,
    TaskState,
    ToolContract,
    ToolDefinition,
    ToolRef,
    canonical_sha256,
)
from interlock.store import CallFacts

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def make_case(
    tool: str = "files.write",
    args: dict[str, Any] | None = None,
    contract: ToolContract | None = None,
    agent: AgentConfig | None = None,
    request: str = "write report.md",
    tainted: bool = False,
    hints: dict[str, Any] | None = None,
    trusted_hints: bool = False,
) -> Case:
    ref = ToolRef.parse(tool)
    args = {} if args is None else args
    task = Task(
        "t", "tidy", TaskKind.AGENT, TaskState.RUNNING, "x", 5, 1, 0, 1, 0, 0.0, False, TaskLimits(), "sha", "ann",
        NOW, NOW, tainted=tainted,
    )  # fmt: skip
    call = Call("c", "t", 1, 1, tool, args, canonical_sha256(args), "", CallState.PROPOSED, 1, NOW)
    subject = Subject(Lease("t", 1, 0, 1, "w"), task, agent or AgentConfig(tools=["*"]), RequestTurn(request))
    definition = ToolDefinition(ref, None, "", {"type": "object"}, annotations=hints or {})
    return Case(subject, call, ref, definition, contract or ToolContract(), trusted_hints=trusted_hints)


def judge(case: Case, *rules: RuleConfig, used: dict[str, int] | None = None) -> Case:
    seen = replace(case, facts=CallFacts(plan_use=used or {}))
    return Policy(PolicyConfig(rules=list(rules))).decide(plan_calls(classify(seen)))


READ = ToolContract(ActionClass.READ, egress=False)
WRITE = ToolContract(ActionClass.WRITE, egress=False, control=("path",), paths=("path",), snapshot=True)
DESTRUCTIVE = ToolContract(ActionClass.DESTRUCTIVE, egress=False, snapshot=True)


class TestClass:
    def test_what_nobody_declared_is_destructive_and_leaks(self) -> None:
        case = classify(make_case())
        assert (case.action_class, case.egress) == (ActionClass.DESTRUCTIVE, True)

    @pytest.mark.parametrize("name", ["files.read", "files.get_all", "db.list", "x.search"])
    def test_a_harmless_name_lowers_nothing(self, name: str) -> None:
        assert classify(make_case(name)).action_class is ActionClass.DESTRUCTIVE

    def test_hints_of_a_stranger_lower_nothing(self) -> None:
        hints = {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False}
        case = classify(make_case(hints=hints))
        assert (case.action_class, case.egress) == (ActionClass.DESTRUCTIVE, True)

    def test_words_that_agree_tell_a_class_where_nothing_is_declared(self) -> None:
        plain = make_case("files.list_notes")
        told = replace(plain.definition, description="List all notes in the folder with title and date.")
        assert classify(replace(plain, definition=told)).action_class is ActionClass.READ
        lies = replace(plain.definition, description="Deletes all notes in the folder for ever.")
        assert classify(replace(plain, definition=lies)).action_class is ActionClass.DESTRUCTIVE

    def test_hints_of_a_trusted_server_count(self) -> None:
        read = classify(make_case(hints={"readOnlyHint": True}, trusted_hints=True))
        write = classify(make_case(hints={"destructiveHint": False}, trusted_hints=True))
        silent = classify(make_case(trusted_hints=True))
        assert [c.action_class for c in (read, write, silent)] == [
            ActionClass.READ, ActionClass.WRITE, ActionClass.DESTRUCTIVE,
        ]  # fmt: skip

    def test_the_operator_wins_and_a_hint_can_still_raise_egress(self) -> None:
        declared = ToolContract(ActionClass.READ)
        assert classify(make_case(contract=declared)).egress is False
        assert classify(make_case(contract=declared, hints={"openWorldHint": True})).egress is True

    def test_an_operators_pattern_applies_and_the_exact_name_wins(self) -> None:
        server = ToolServerConfig(
            command="x",
            contracts={
                "git_*": ContractConfig.model_validate({"class": "read"}),
                "git_push": ContractConfig.model_validate({"class": "destructive"}),
            },
        )
        assert contract_of(server, "git_log").action_class is ActionClass.READ
        assert contract_of(server, "git_push").action_class is ActionClass.DESTRUCTIVE
        assert contract_of(server, "other").action_class is None

    def test_the_workspace_keeps_its_snapshots_whatever_the_operator_declares(self) -> None:
        server = ToolServerConfig(
            builtin="workspace", root="w", contracts={"delete": ContractConfig.model_validate({"class": "write"})}
        )
        contract = contract_of(server, "delete")
        assert contract.action_class is ActionClass.WRITE
        assert contract.snapshot


class TestDefaults:
    def test_a_read_is_allowed(self) -> None:
        assert judge(make_case(contract=READ, tainted=True)).decision is Decision.ALLOW

    def test_a_reversible_untainted_write_is_allowed(self) -> None:
        assert judge(make_case(contract=WRITE, args={"path": "a"})).decision is Decision.ALLOW

    def test_a_write_that_can_not_be_taken_back_asks(self) -> None:
        case = judge(make_case(contract=ToolContract(ActionClass.WRITE, egress=False)))
        assert case.decision is Decision.ASK
        assert "neither be staged nor taken back" in case.reasons[-1]

    def test_destructive_asks_even_when_planned_and_reversible(self) -> None:
        agent = AgentConfig(tools=["*"], plan=[PlanEntryConfig(tool="files.delete", args={"paths": ["a"]})])
        case = judge(make_case("files.delete", {"paths": ["a"]}, DESTRUCTIVE, agent, "delete a"))
        assert (case.decision, case.plan_entry) == (Decision.ASK, "plan[0]:files.delete")

    def test_a_tainted_task_may_write_what_the_request_names_and_nothing_else(self) -> None:
        named = judge(make_case(contract=WRITE, args={"path": "report.md"}, tainted=True))
        other = judge(make_case(contract=WRITE, args={"path": "evil.md"}, tainted=True))
        longer = judge(make_case(contract=WRITE, args={"path": "port.md"}, tainted=True))
        assert [c.decision for c in (named, other, longer)] == [Decision.ALLOW, Decision.ASK, Decision.ASK]

    def test_reading_something_that_leaks_asks_once_the_task_is_tainted(self) -> None:
        fetch = ToolContract(ActionClass.READ, egress=True, control=("url",))
        clean = judge(make_case("web.get", {"url": "http://x/?q=1"}, fetch))
        tainted = judge(make_case("web.get", {"url": "http://x/?q=1"}, fetch, tainted=True))
        asked_for = judge(make_case("web.get", {"url": "http://x/a"}, fetch, request="get http://x/a", tainted=True))
        assert [c.decision for c in (clean, tainted, asked_for)] == [Decision.ALLOW, Decision.ASK, Decision.ALLOW]


class TestPlan:
    agent = AgentConfig(
        tools=["*"],
        plan=[
            PlanEntryConfig(tool="files.write", args={"path": {"pattern": r"reports/[a-z]+\.md"}}, count=2),
        ],
    )

    def test_a_call_within_the_plan_is_allowed_as_often_as_it_says(self) -> None:
        case = make_case(contract=WRITE, args={"path": "reports/a.md"}, agent=self.agent, tainted=True)
        assert judge(case).decision is Decision.ALLOW
        assert judge(case, used={"plan[0]:files.write": 1}).decision is Decision.ALLOW
        third = judge(case, used={"plan[0]:files.write": 2})
        assert third.decision is Decision.ASK

    @pytest.mark.parametrize("path", ["reports/../x.md", "reports/a.md\n", "reports/A.md", "xreports/a.md"])
    def test_a_pattern_covers_the_whole_value(self, path: str) -> None:
        case = judge(make_case(contract=WRITE, args={"path": path}, agent=self.agent))
        assert case.plan_entry is None
        assert case.decision is Decision.ASK

    def test_inputs_never_widen_what_is_trusted(self) -> None:
        case = make_case(contract=WRITE, args={"path": "evil.md"}, tainted=True)
        subject = Subject(
            case.subject.lease, case.subject.task, case.subject.agent, RequestTurn("write", {"path": "evil.md"})
        )
        assert judge(Case(subject, case.call, case.ref, case.definition, WRITE)).decision is Decision.ASK


rules = st.lists(
    st.builds(
        lambda number, when, then: RuleConfig.model_validate({"id": f"r{number}", "when": when, "then": then}),
        st.integers(0, 99),
        st.fixed_dictionaries(
            {},
            optional={
                "tool": st.sampled_from(["files.*", "files.write", "*", "web.get"]),
                "agent": st.sampled_from(["tidy", "*", "other"]),
                "class": st.sampled_from(["read", "write"]),
                "egress": st.booleans(),
                "tainted": st.booleans(),
                "planned": st.booleans(),
                "reversible": st.booleans(),
            },
        ),
        st.sampled_from(["allow", "ask", "deny"]),
    ),
    max_size=6,
)
contracts = st.builds(
    ToolContract,
    st.sampled_from([*ActionClass, None]),
    egress=st.sampled_from([True, False, None]),
    control=st.sampled_from([(), ("path",)]),
    snapshot=st.booleans(),
)


@settings(max_examples=800, deadline=None)
@given(rules, contracts, st.booleans(), st.sampled_from(["files.write", "web.get"]))
def test_no_rules_let_a_destructive_call_through_without_a_person(
    given_rules: list[RuleConfig], contract: ToolContract, tainted: bool, tool: str
) -> None:
    case = judge(make_case(tool, {"path": "a"}, contract, tainted=tainted), *given_rules)
    if case.action_class is ActionClass.DESTRUCTIVE:
        assert case.decision is not Decision.ALLOW
    assert case.rules
    assert case.reasons


@settings(max_examples=800, deadline=None)
@given(rules, rules, contracts)
def test_the_strictest_rule_wins_so_a_denial_can_not_be_added_away(
    first: list[RuleConfig], more: list[RuleConfig], contract: ToolContract
) -> None:
    before = judge(make_case(contract=contract, args={"path": "a"}), *first)
    after = judge(make_case(contract=contract, args={"path": "a"}), *first, *more)
    if before.rules[0].startswith("r"):
        assert after.decision.rank >= before.decision.rank


def test_a_rule_that_allows_destructive_calls_is_refused_at_load() -> None:
    rule = RuleConfig.model_validate({"id": "yolo", "when": {"class": "destructive"}, "then": "allow"})
    with pytest.raises(PolicyError, match="yolo"):
        Policy(PolicyConfig(rules=[rule]))


def test_the_hash_of_a_policy_follows_its_rules() -> None:
    rule = RuleConfig.model_validate({"id": "a", "when": {"tool": "x.y"}, "then": "deny"})
    assert Policy(PolicyConfig()).sha256 != Policy(PolicyConfig(rules=[rule])).sha256
