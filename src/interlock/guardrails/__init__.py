"""The gate: `think` for every model call, `act` for every tool call; approvals and undo."""

from interlock.guardrails.acceptance import ACCEPT, asking
from interlock.guardrails.advice import advice as advice_on
from interlock.guardrails.approvals import decide, expire
from interlock.guardrails.artifacts import keep as keep_artifacts
from interlock.guardrails.breakers import BreakerView, breaker_key
from interlock.guardrails.breakers import listing as breaker_listing
from interlock.guardrails.breakers import reset as reset_breaker
from interlock.guardrails.case import Subject
from interlock.guardrails.checkpoint import Checkpoint, blobs_of
from interlock.guardrails.classes import Opinion, opinion
from interlock.guardrails.classify import class_of
from interlock.guardrails.contracts import contract_of, is_internal, refuse_unsafe_checks
from interlock.guardrails.delegation import DELEGATE, delegation_of
from interlock.guardrails.expect import meets
from interlock.guardrails.gate import Gate
from interlock.guardrails.ledger import doubt
from interlock.guardrails.pindiff import Change, Renamed, differences, renamed, visible
from interlock.guardrails.pindiff import shown as shown_changes
from interlock.guardrails.plan import covers as plan_covers
from interlock.guardrails.policy import DEFAULTS, Policy
from interlock.guardrails.pulse import Pulse
from interlock.guardrails.shelter import tidy
from interlock.guardrails.think import Minds, OlderMinds, Thinker, Thought
from interlock.guardrails.undo import UndoPlan, mark_impossible, plan_undo, proposal_of

__all__ = [
    "ACCEPT",
    "DEFAULTS",
    "DELEGATE",
    "BreakerView",
    "Change",
    "Checkpoint",
    "Gate",
    "Minds",
    "OlderMinds",
    "Opinion",
    "Policy",
    "Pulse",
    "Renamed",
    "Subject",
    "Thinker",
    "Thought",
    "UndoPlan",
    "advice_on",
    "asking",
    "blobs_of",
    "breaker_key",
    "breaker_listing",
    "class_of",
    "contract_of",
    "decide",
    "delegation_of",
    "differences",
    "doubt",
    "expire",
    "is_internal",
    "keep_artifacts",
    "mark_impossible",
    "meets",
    "opinion",
    "plan_covers",
    "plan_undo",
    "proposal_of",
    "refuse_unsafe_checks",
    "renamed",
    "reset_breaker",
    "shown_changes",
    "tidy",
    "visible",
]
