"""A call of a tool: its states in the ledger, its effect, and what the gate answers."""

import datetime
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from interlock.model.history import Observation
from interlock.model.tool import ActionClass


class CallState(StrEnum):
    """Where a call is in the ledger."""

    PROPOSED = "proposed"
    HELD = "held"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"

    @property
    def closed(self) -> bool:
        """True when the call has an answer."""
        return self in (CallState.DENIED, CallState.EXPIRED, CallState.DONE, CallState.FAILED)


class UndoState(StrEnum):
    """What became of the reversal of an effect."""

    NONE = "none"
    RESTORED = "restored"
    PARTIAL = "partial"
    DIVERGED = "diverged"
    IMPOSSIBLE = "impossible"


class Decision(StrEnum):
    """What the policy says; the strictest of all that apply wins."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"

    @property
    def rank(self) -> int:
        """0 for allow, 1 for ask, 2 for deny."""
        return list(Decision).index(self)


@dataclass(frozen=True)
class Call:
    """One row of the ledger: the call `call_no` of run `run_no` of a task."""

    id: str
    task_id: str
    run_no: int
    call_no: int
    tool: str
    args: dict[str, Any]
    args_sha256: str
    reason: str
    state: CallState
    epoch: int
    created_at: datetime.datetime
    turn_seq: int | None = None
    action_class: ActionClass | None = None
    egress: bool | None = None
    decision: Decision | None = None
    rules: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    plan_entry: str | None = None
    pin_sha256: str | None = None
    approval_id: str | None = None
    started_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    result: dict[str, Any] | None = None
    effect: dict[str, Any] | None = None
    before: dict[str, Any] | None = None
    undo: UndoState = UndoState.NONE
    undo_note: str = ""
    host: str | None = None
    served_by: str | None = None

    @property
    def is_effect(self) -> bool:
        """True for a call that is not a read and was started: it may have changed the world."""
        started = self.state in (CallState.STARTED, CallState.DONE, CallState.FAILED, CallState.IN_DOUBT)
        return started and self.started_at is not None and self.action_class is not ActionClass.READ


class ApprovalState(StrEnum):
    """Where an approval is: only a pending one can be decided, only an approved one used, once."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CONSUMED = "consumed"

    @property
    def open(self) -> bool:
        """True while nobody has decided."""
        return self is ApprovalState.PENDING


@dataclass(frozen=True)
class Approval:
    """A question to a person, bound to exactly what was shown.

    Attributes:
        binding: what the approval is bound to: pin, arguments, policy, plan and staged effect, as hashes.
        shown: what the person sees: tool, arguments, class, effect, reasons.
    """

    id: str
    task_id: str
    call_id: str
    state: ApprovalState
    binding: dict[str, Any]
    binding_sha256: str
    shown: dict[str, Any]
    requested_at: datetime.datetime
    expires_at: datetime.datetime
    decided_by: str | None = None
    decided_at: datetime.datetime | None = None
    reason: str = ""


# ---- what the gate answers --------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """The call has an answer, good or bad: `observation` is for the history."""

    observation: Observation


@dataclass(frozen=True)
class Held:
    """The call waits for a person."""

    call_id: str
    approval_id: str


@dataclass(frozen=True)
class Handed:
    """The call is the work of another task, and waits for it."""

    call_id: str


@dataclass(frozen=True)
class Denied:
    """The call will not be made; `observation` tells the model why."""

    observation: Observation


@dataclass(frozen=True)
class InDoubt:
    """Whether the call took effect is unknown; a person must find out."""

    call_id: str
    reason: str


ActOutcome: TypeAlias = Done | Held | Handed | Denied | InDoubt


@dataclass(frozen=True)
class Spending:
    """What one task has used of its allowances; shape `{resource: amount}`."""

    used: dict[str, float] = field(default_factory=dict)
