"""Stage 2: how much harm a call can do, and whether data can leave by it.

Operator's word first, then our own for built-in servers, then what the tool's definition tells (`classes`): the hints
of a server that the operator trusts, else its words, where two of them must agree before anything counts as harmless.
Hints of others only raise, and what nobody can tell is destructive and leaks.
"""

from dataclasses import replace
from functools import lru_cache

from interlock.guardrails.case import Case
from interlock.guardrails.classes import Opinion, opinion
from interlock.guardrails.pinned import Pinned
from interlock.model import ActionClass, ToolContract, ToolDefinition

_KEPT = 4096


def classify(case: Case) -> Case:
    """Fill in class, egress and the reasons for both."""
    action_class, why = class_of(case.definition, case.contract, trusted_hints=case.trusted_hints)
    egress, why_egress = _egress(case)
    return replace(case, action_class=action_class, egress=egress, reasons=(*case.reasons, *why, *why_egress))


def proposed(definition: ToolDefinition, *, trusted_hints: bool) -> Opinion:
    """What the definition of a tool tells of its class; found out once for each definition."""
    return _opinion(Pinned(definition), trusted_hints)


@lru_cache(maxsize=_KEPT)
def _opinion(pinned: Pinned, trusted_hints: bool) -> Opinion:
    return opinion(pinned.definition, trusted_hints=trusted_hints)


def class_of(
    definition: ToolDefinition, contract: ToolContract, *, trusted_hints: bool
) -> tuple[ActionClass, tuple[str, ...]]:
    """The class of a tool, whatever its arguments, and the reasons."""
    declared = contract.action_class
    if declared is not None:
        return declared, (f"{declared}: declared for {definition.ref}",)
    told = proposed(definition, trusted_hints=trusted_hints)
    return told.action_class, told.reasons


def _egress(case: Case) -> tuple[bool, tuple[str, ...]]:
    if case.contract.egress is not None:
        return case.contract.egress, ()
    if case.definition.annotations.get("openWorldHint") is True:
        return True, ("egress: its server says that it reaches the outside",)
    if case.contract.action_class is not None:
        return False, ()
    told = proposed(case.definition, trusted_hints=case.trusted_hints)
    if told.egress or told.action_class is ActionClass.DESTRUCTIVE:
        return True, ("egress: nothing tells that data stays here",)
    return False, ()
