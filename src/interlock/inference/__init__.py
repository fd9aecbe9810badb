"""Tiers, routing, providers (the playbook model too), same-tier fallback and prices."""

from interlock.inference.models import Models
from interlock.inference.playbook import Playbook, declared_calls
from interlock.inference.playbook_file import check_playbook, load_playbook
from interlock.inference.replay import answer
from interlock.inference.resolved import ResolvedModel, resolve_model

__all__ = [
    "Models",
    "Playbook",
    "ResolvedModel",
    "answer",
    "check_playbook",
    "declared_calls",
    "load_playbook",
    "resolve_model",
]
