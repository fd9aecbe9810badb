"""A result that a person accepts: a question like any other, bound to the result that was shown, answered once."""

from dataclasses import replace

from interlock.guardrails.case import Case, Subject
from interlock.guardrails.catalogue import RESERVED
from interlock.guardrails.judging import nobody
from interlock.model import ActionClass, Call, Decision, ToolContract, ToolRef, ToolResult

ACCEPT = ToolRef(RESERVED, "accept_result")
ACCEPTED = ToolResult(True, "A person accepted the result.")


def asking(subject: Subject) -> Subject:
    """Who may put the question: a check of a result, which was told to; no agent and no judge is ever granted that."""
    return replace(subject, agent=subject.agent.model_copy(update={"tools": [str(ACCEPT)]}), read_only=True)


def may_ask(subject: Subject, call: Call) -> bool:
    """Whether a call is such a question, by whoever may put it."""
    return call.tool == str(ACCEPT) and subject.read_only and str(ACCEPT) in subject.agent.tools


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
