"""Stage 3: is the call one that the task was expected to make, and where do its control arguments come from?

The plan is made of the trusted part of a request only: what the operator wrote into the agent's `plan`. Once a task
has read something untrusted, a control argument must be named by the plan or stand literally in the request.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from interlock.config import PlanEntryConfig
from interlock.guardrails.case import Case, Subject
from interlock.model import Call, TaskKind, canonical_sha256


def plan_sha256(subject: Subject) -> str:
    """Hash of the plan, for the binding of approvals."""
    return canonical_sha256([entry.model_dump() for entry in subject.agent.plan])


def plan_calls(case: Case) -> Case:
    """Fill in the plan entry that covers the call, and whether its control arguments are tainted."""
    if case.subject.task.kind is TaskKind.UNDO:
        return replace(case, plan_entry="undo", tainted=False)
    entry = _covering(case, case.facts.plan_use)
    read_untrusted = case.subject.task.tainted or case.facts.tainted
    tainted = read_untrusted and not _control_is_trusted(case, entry)
    return replace(case, plan_entry=None if entry is None else entry[0], tainted=tainted)


def entry_id(index: int, entry: PlanEntryConfig) -> str:
    """The name under which an entry is recorded."""
    return f"plan[{index}]:{entry.tool}"


def covers(entry: PlanEntryConfig, call: Call) -> bool:
    """Whether a call is one of those that an entry speaks of; its tool may end in `*`."""
    return fnmatchcase(call.served_by or call.tool, entry.tool) and _fits(entry.args, call.args)


def _covering(case: Case, used: Mapping[str, int]) -> tuple[str, PlanEntryConfig] | None:
    for index, entry in enumerate(case.subject.agent.plan):
        name = entry_id(index, entry)
        if entry.tool == str(case.ref) and used.get(name, 0) < entry.count and _fits(entry.args, case.call.args):
            return name, entry
    return None


def _fits(expected: Mapping[str, Any], args: Mapping[str, Any]) -> bool:
    return all(name in args and _same(value, args[name]) for name, value in expected.items())


def _same(expected: Any, actual: Any) -> bool:
    if isinstance(expected, Mapping) and set(expected) == {"pattern"}:
        texts = actual if isinstance(actual, list) else [actual]
        return all(isinstance(text, str) and re.fullmatch(str(expected["pattern"]), text) is not None for text in texts)
    return bool(expected == actual)


def _control_is_trusted(case: Case, entry: tuple[str, PlanEntryConfig] | None) -> bool:
    named = set(entry[1].args) if entry else set()
    control = case.contract.control or tuple(case.call.args)
    return all(
        name in named or _in_request(case.call.args[name], case.subject.request.text)
        for name in control
        if name in case.call.args
    )


def _in_request(value: Any, text: str) -> bool:
    if isinstance(value, bool | int | float) or value is None:
        return True
    if isinstance(value, list):
        return all(_in_request(item, text) for item in value)
    if not isinstance(value, str) or not value:
        return value == ""
    return re.search(rf"(?<![\w./-]){re.escape(value)}(?![\w/-])", text) is not None
