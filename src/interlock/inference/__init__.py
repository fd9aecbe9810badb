"""Tiers, routing, providers (the playbook model too), same-tier fallback and prices."""

from interlock.inference.playbook import Playbook, declared_calls
from interlock.inference.playbook_file import check_playbook, load_playbook
from interlock.inference.replay import answer

__all__ = ["Playbook", "answer", "check_playbook", "declared_calls", "load_playbook"]
