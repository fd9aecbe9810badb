"""Stage 2: how much harm a call can do, and whether data can leave by it.

Operator's word first, then our own for built-in servers, then the hints of a server that the operator trusts. Names
never count, hints of others only raise, and what nobody vouches for is destructive and leaks.
"""

from dataclasses import replace

from interlock.guardrails.case import Case
from interlock.model import ActionClass


def classify(case: Case) -> Case:
    """Fill in class, egress and the reasons for both."""
    action_class, why = _class(case)
    egress, why_egress = _egress(case)
    return replace(case, action_class=action_class, egress=egress, reasons=(*case.reasons, why, *why_egress))


def _class(case: Case) -> tuple[ActionClass, str]:
    declared = case.contract.action_class
    if declared is not None:
        return declared, f"{declared}: declared for {case.ref}"
    hints = case.definition.annotations
    if case.trusted_hints:
        if hints.get("readOnlyHint") is True:
            return ActionClass.READ, "read: says its server, which the operator trusts"
        if hints.get("destructiveHint") is False:
            return ActionClass.WRITE, "write: says its server, which the operator trusts"
    return ActionClass.DESTRUCTIVE, f"destructive: nobody declared what {case.ref} does"


def _egress(case: Case) -> tuple[bool, tuple[str, ...]]:
    if case.contract.egress is not None:
        return case.contract.egress, ()
    if case.definition.annotations.get("openWorldHint") is True:
        return True, ("egress: its server says that it reaches the outside",)
    if case.contract.action_class is None and not case.trusted_hints:
        return True, ("egress: nobody declared that data stays here",)
    return False, ()
