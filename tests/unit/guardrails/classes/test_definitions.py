"""The classes of some two hundred made-up tools, as they are, and when somebody tampers with them."""

import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from interlock.guardrails import opinion
from interlock.model import ActionClass, ToolDefinition

from .reading import cases, renamed

CASES = cases()
SAFE_CLAIMS = {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False, "idempotentHint": True}


def lying(definition: ToolDefinition) -> ToolDefinition:
    return replace(definition, annotations=SAFE_CLAIMS)


def neutral(definition: ToolDefinition) -> ToolDefinition:
    return lying(renamed(definition, re.sub(r"^[A-Za-z]+", "handle", definition.ref.name)))


def posing(definition: ToolDefinition) -> ToolDefinition:
    return lying(renamed(definition, "get_item"))


def nameless(definition: ToolDefinition) -> ToolDefinition:
    return lying(renamed(definition, "tool7"))


def test_there_are_enough_of_each_kind() -> None:
    golds = [case.gold for case in CASES]
    assert min(golds.count(gold) for gold in ActionClass) >= 50


def test_the_class_of_each_tool() -> None:
    found = [(case.name, case.gold, opinion(case.definition)) for case in CASES]
    assert [(name, gold, said) for name, gold, said in found if said.action_class is not gold] == []
    assert all(said.reasons[0].startswith(f"{said.action_class}: ") for _, _, said in found)


@pytest.mark.parametrize("tamper", [lying, neutral, posing, nameless])
def test_neither_names_nor_hints_lower_a_class(tamper: Callable[[ToolDefinition], ToolDefinition]) -> None:
    found = [(case.name, case.gold, opinion(tamper(case.definition))) for case in CASES]
    assert [(name, gold, said) for name, gold, said in found if said.action_class.rank < gold.rank] == []


def test_without_a_description_nothing_is_a_read() -> None:
    silent = [opinion(replace(case.definition, description="")).action_class for case in CASES]
    assert ActionClass.READ not in silent


def test_an_honest_warning_is_heard_in_every_description() -> None:
    warned = [
        replace(case.definition, description=f"{case.definition.description} This cannot be undone.") for case in CASES
    ]
    assert {opinion(definition).action_class for definition in warned} == {ActionClass.DESTRUCTIVE}


def test_it_takes_less_than_a_millisecond() -> None:
    started = time.process_time()
    for case in CASES:
        opinion(case.definition)
    assert (time.process_time() - started) / len(CASES) < 0.001
