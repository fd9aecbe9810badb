"""Stage 4: rules and defaults; the strictest of all that apply wins: deny, then ask, then allow.

Where no rule matches: a read is allowed; a write is allowed if it can be taken back, its control arguments are
trusted and it is within the plan, else it asks; destructive asks; what leaks asks once the task is tainted. No rule
can let a destructive call through: such a rule is refused when the policy is loaded.
"""

from dataclasses import replace
from fnmatch import fnmatchcase

from interlock.config import PolicyConfig, RuleConfig
from interlock.guardrails.case import Case
from interlock.model import ActionClass, Decision, PolicyError, canonical_sha256

DEFAULTS = (
    ("default-read", "read", "allow"),
    ("default-tainted-egress", "read or write that leaks, tainted", "ask"),
    ("default-write", "write, reversible, untainted, within the plan", "allow"),
    ("default-write-ask", "any other write", "ask"),
    ("default-destructive", "destructive", "ask"),
)


class Policy:
    """The rules of one configuration version."""

    def __init__(self, config: PolicyConfig) -> None:
        """Check and keep the rules.

        Raises:
            PolicyError: a rule would let a destructive call through without a person.
        """
        for rule in config.rules:
            if rule.then == "allow" and rule.when.action_class == "destructive":
                raise PolicyError(
                    f"rule '{rule.id}' would let destructive calls through without a person: "
                    "expected `then: ask` or `then: deny`"
                )
        self._rules = tuple(config.rules)
        self.sha256 = canonical_sha256(config.model_dump(mode="json", by_alias=True))

    def decide(self, case: Case) -> Case:
        """Fill in the decision, the rules that led to it and why."""
        matching = [rule for rule in self._rules if _matches(rule, case)]
        if case.action_class is ActionClass.DESTRUCTIVE:
            matching = [rule for rule in matching if rule.then != "allow"]
        if not matching:
            rule_id, decision, reason = _default(case)
            return replace(case, decision=decision, rules=(rule_id,), reasons=(*case.reasons, reason))
        strictest = max(matching, key=lambda rule: Decision(rule.then).rank)
        decision = Decision(strictest.then)
        if case.action_class is ActionClass.DESTRUCTIVE and decision is Decision.ALLOW:
            decision = Decision.ASK
        reasons = tuple(rule.reason or f"rule {rule.id} says {rule.then}" for rule in matching)
        ids = tuple(rule.id for rule in matching)
        return replace(case, decision=decision, rules=ids, reasons=(*case.reasons, *reasons))


def _matches(rule: RuleConfig, case: Case) -> bool:
    when = rule.when
    facts: tuple[tuple[object, object], ...] = (
        (when.action_class, case.action_class),
        (when.egress, case.egress),
        (when.tainted, case.tainted),
        (when.planned, case.plan_entry is not None),
        (when.reversible, case.reversible),
    )
    if any(wanted is not None and wanted != actual for wanted, actual in facts):
        return False
    if when.tool is not None and not fnmatchcase(str(case.ref), when.tool):
        return False
    return when.agent is None or fnmatchcase(case.subject.name, when.agent)


def _default(case: Case) -> tuple[str, Decision, str]:
    if case.action_class is ActionClass.DESTRUCTIVE:
        return "default-destructive", Decision.ASK, "a person agrees to every destructive call"
    if case.egress and case.tainted:
        return "default-tainted-egress", Decision.ASK, "it can send data out, and the task has read untrusted content"
    if case.action_class is ActionClass.READ:
        return "default-read", Decision.ALLOW, "reads are allowed"
    obstacle = _obstacle(case)
    if obstacle:
        return "default-write-ask", Decision.ASK, obstacle
    return "default-write", Decision.ALLOW, "a write that can be taken back, with trusted control arguments"


def _obstacle(case: Case) -> str | None:
    """Why a write is not allowed by itself, or None."""
    if not case.reversible:
        return "its effect can neither be staged nor taken back"
    if case.tainted:
        return "what it acts on was not named by the request or the plan, and the task has read untrusted content"
    if case.subject.agent.plan and case.plan_entry is None:
        return "the plan of the agent does not foresee this call, or not this often"
    return None
