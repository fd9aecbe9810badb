"""A result that a person accepts: a question like any other, bound to the result that was shown, answered once."""

from dataclasses import replace

from interlock.guardrails.case import Case, Subject
from interlock.guardrails.catalogue import RESERVED
from interlock.guardrails.judging import nobody
from interlock.model import ActionClass, Call, Decision, ToolContract, ToolRef, ToolResult

ACCEPT = ToolRef(RESERVED, "accept_result")
ACCEPTED = ToolResult(True, "A person accepted the result.")


def question_of(subject: Subject, call: Call) -> Case:
    """The case of a call that only asks; its arguments `{question, result, effects}` are what the person sees."""
    return replace(
        nobody(subject, call, ACCEPT),
        contract=ToolContract(ActionClass.READ, egress=False, output="trusted"),
        action_class=ActionClass.READ,
        egress=False,
        decision=Decision.ASK,
        rules=("verify",),
        reasons=(str(call.args.get("question") or ""),),
    )
