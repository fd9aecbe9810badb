"""The gate: `think` for every model call, `act` for every tool call; approvals and undo."""

from interlock.guardrails.approvals import decide, expire
from interlock.guardrails.case import Subject
from interlock.guardrails.checkpoint import Checkpoint
from interlock.guardrails.classes import Opinion, opinion
from interlock.guardrails.classify import class_of
from interlock.guardrails.contracts import contract_of, refuse_unsafe_checks
from interlock.guardrails.expect import meets
from interlock.guardrails.gate import Gate
from interlock.guardrails.ledger import doubt
from interlock.guardrails.policy import DEFAULTS, Policy
from interlock.guardrails.pulse import Pulse
from interlock.guardrails.think import Thinker
from interlock.guardrails.undo import UndoPlan, mark_impossible, plan_undo, proposal_of

__all__ = [
    "DEFAULTS",
    "Checkpoint",
    "Gate",
    "Opinion",
    "Policy",
    "Pulse",
    "Subject",
    "Thinker",
    "UndoPlan",
    "class_of",
    "contract_of",
    "decide",
    "doubt",
    "expire",
    "mark_impossible",
    "meets",
    "opinion",
    "plan_undo",
    "proposal_of",
    "refuse_unsafe_checks",
]
