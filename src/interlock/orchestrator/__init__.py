"""Submit, queue, work, verify, retry or escalate, results: the life of tasks from admission to their final state."""

from interlock.orchestrator.checkups import Checkup, checkup
from interlock.orchestrator.decisions import Verdict, cancel, decide, resolve, resolve_call, set_halt
from interlock.orchestrator.engine import DbosEngine, Engine, prepare_dispatcher
from interlock.orchestrator.events import handle
from interlock.orchestrator.outside import OutsideAnswer, OutsideRuns
from interlock.orchestrator.payloads import Event, events_of
from interlock.orchestrator.presence import Host, Presence
from interlock.orchestrator.reaper import Patience, process_lives, reap
from interlock.orchestrator.retention import forget_old, keep_retention
from interlock.orchestrator.schedules import fire_due, keep_schedules, set_pause, trigger
from interlock.orchestrator.segment import Segments
from interlock.orchestrator.submit import (
    Submitted,
    admission_of,
    limits_of,
    look_at_undo,
    submit,
    submit_again,
    submit_undo,
)
from interlock.orchestrator.triggers import Started, TakenIn, take_delivery
from interlock.orchestrator.worker import Worker, housekeeping, moved_on

__all__ = [
    "Checkup",
    "DbosEngine",
    "Engine",
    "Event",
    "Host",
    "OutsideAnswer",
    "OutsideRuns",
    "Patience",
    "Presence",
    "Segments",
    "Started",
    "Submitted",
    "TakenIn",
    "Verdict",
    "Worker",
    "admission_of",
    "cancel",
    "checkup",
    "decide",
    "events_of",
    "fire_due",
    "forget_old",
    "handle",
    "housekeeping",
    "keep_retention",
    "keep_schedules",
    "limits_of",
    "look_at_undo",
    "moved_on",
    "prepare_dispatcher",
    "process_lives",
    "reap",
    "resolve",
    "resolve_call",
    "set_halt",
    "set_pause",
    "submit",
    "submit_again",
    "submit_undo",
    "take_delivery",
    "trigger",
]
