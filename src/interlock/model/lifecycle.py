"""The life of a task: one pure function, `(life, event) -> (life, commands)`, over one explicit table.

Only this decides a task's state. Whoever calls it carries the commands out in the same transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from interlock.model.errors import Conflict
from interlock.model.task import TaskLimits, TaskState

S = TaskState


@dataclass(frozen=True)
class Life:
    """The part of a task that its life depends on."""

    state: TaskState
    reason: str
    run_no: int
    segment_no: int
    crashes: int
    cancel_requested: bool
    limits: TaskLimits


# ---- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claimed:
    """A worker took the segment."""

    segment_no: int


@dataclass(frozen=True)
class Parked:
    """The segment ended on held calls; `open_approvals` of them still wait for a person."""

    open_approvals: int


@dataclass(frozen=True)
class Decided:
    """A person decided an approval, or it expired."""

    what: str


@dataclass(frozen=True)
class Answered:
    """The agent gave its result; `checks` is how many checks it has to pass."""

    checks: int


@dataclass(frozen=True)
class Verified:
    """All checks passed."""


@dataclass(frozen=True)
class RunFailed:
    """The run can't go on.

    Attributes:
        retryable: another run may succeed.
        clean: the run left no effect behind, so the next one starts afresh; else it inherits the history.
    """

    reason: str
    retryable: bool
    clean: bool


@dataclass(frozen=True)
class Blocked:
    """A person must look: a call in doubt, a limit reached.

    Attributes:
        doubtful_call: the call in doubt, if it is that.
    """

    reason: str
    doubtful_call: str | None = None


class StopCause(StrEnum):
    """Why a running segment was stopped from outside."""

    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    DRAINED = "drained"


@dataclass(frozen=True)
class Stopped:
    """The segment was stopped and has ended."""

    cause: StopCause
    reason: str


@dataclass(frozen=True)
class CancelAsked:
    """Somebody wants the task cancelled."""

    by: str


@dataclass(frozen=True)
class WorkerLost:
    """The worker that held the task died, or its segment is gone."""

    reason: str


class Resolution(StrEnum):
    """What a person does with an escalated task."""

    RETRY = "retry"
    ACCEPT = "accept"
    FAIL = "fail"
    CONTINUE = "continue"


@dataclass(frozen=True)
class Resolved:
    """A person decided what becomes of an escalated task."""

    resolution: Resolution
    by: str
    reason: str


Event: TypeAlias = (
    Claimed
    | Parked
    | Decided
    | Answered
    | Verified
    | RunFailed
    | Blocked
    | Stopped
    | CancelAsked
    | WorkerLost
    | Resolved
)

# ---- commands -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EnqueueSegment:
    """Put the next segment into the queue, after `delay_s`."""

    segment_no: int
    delay_s: float = 0.0


@dataclass(frozen=True)
class StartRun:
    """Open run `run_no`; `clean` runs begin with an empty history, others inherit the last one."""

    run_no: int
    clean: bool
    note: str


@dataclass(frozen=True)
class CloseRun:
    """Close run `run_no` with this outcome."""

    run_no: int
    outcome: str


@dataclass(frozen=True)
class StopSegment:
    """Tell the worker that holds the task to stop."""


@dataclass(frozen=True)
class CountState:
    """Count the task under this state in `agent_tasks_total`."""

    state: TaskState


Command: TypeAlias = EnqueueSegment | StartRun | CloseRun | StopSegment | CountState
Step: TypeAlias = tuple[Life, tuple[Command, ...]]


def _go(life: Life, state: TaskState, reason: str, *commands: Command) -> Step:
    return replace(life, state=state, reason=reason), commands


def _finish(life: Life, state: TaskState, reason: str) -> Step:
    return _go(life, state, reason, CloseRun(life.run_no, state), CountState(state))


def _next_segment(life: Life, state: TaskState, reason: str, delay_s: float = 0.0) -> Step:
    after = replace(life, segment_no=life.segment_no + 1)
    return _go(after, state, reason, EnqueueSegment(after.segment_no, delay_s))


def _escalate(life: Life, reason: str) -> Step:
    return _go(life, S.ESCALATED, reason, CountState(S.ESCALATED))


def _claimed(life: Life, event: Event) -> Step:
    assert isinstance(event, Claimed)
    if event.segment_no != life.segment_no:
        raise Conflict(f"segment {event.segment_no} is not the present one ({life.segment_no})")
    if life.cancel_requested:
        return _finish(life, S.CANCELLED, life.reason)
    return _go(life, S.RUNNING, f"run {life.run_no}, segment {event.segment_no} is being worked on")


def _parked(life: Life, event: Event) -> Step:
    assert isinstance(event, Parked)
    if life.cancel_requested:
        return _finish(life, S.CANCELLED, life.reason)
    if event.open_approvals == 0:
        return _next_segment(life, S.QUEUED, "a person decided while it ran; it goes on")
    calls = "1 call waits" if event.open_approvals == 1 else f"{event.open_approvals} calls wait"
    return _go(life, S.WAITING_APPROVAL, f"{calls} for a person: interlock approvals list")


def _decided(life: Life, event: Event) -> Step:
    assert isinstance(event, Decided)
    return _next_segment(life, S.QUEUED, f"{event.what}; it goes on")


def _unchanged(life: Life, event: Event) -> Step:
    del event
    return life, ()


def _answered(life: Life, event: Event) -> Step:
    assert isinstance(event, Answered)
    if event.checks == 0:
        return _finish(life, S.COMPLETED, "finished; no checks were asked for")
    return _go(life, S.VERIFYING, f"finished; {event.checks} checks are being made")


def _verified(life: Life, event: Event) -> Step:
    del event
    return _finish(life, S.COMPLETED, "finished and verified")


def _run_failed(life: Life, event: Event) -> Step:
    assert isinstance(event, RunFailed)
    if life.cancel_requested:
        return _finish(life, S.CANCELLED, life.reason)
    if not event.retryable:
        return _finish(life, S.FAILED, event.reason)
    if life.run_no >= life.limits.max_runs:
        step = _escalate(life, f"{event.reason} (run {life.run_no} of {life.limits.max_runs}, the last)")
    else:
        delay_s = life.limits.retry_delay_s * 2 ** (life.run_no - 1)
        step = _open_run(life, S.WAITING_RETRY, event.reason, clean=event.clean, delay_s=delay_s)
    after, commands = step
    return after, (CloseRun(life.run_no, "failed"), *commands)


def _open_run(life: Life, state: TaskState, reason: str, *, clean: bool, delay_s: float = 0.0) -> Step:
    after = replace(life, run_no=life.run_no + 1, segment_no=life.segment_no + 1)
    when = f" in {delay_s:g} s" if delay_s else ""
    return _go(
        after,
        state,
        f"{reason}; run {after.run_no} starts{when}",
        StartRun(after.run_no, clean, reason),
        EnqueueSegment(after.segment_no, delay_s),
    )


def _blocked(life: Life, event: Event) -> Step:
    assert isinstance(event, Blocked)
    return _escalate(life, event.reason)


def _stopped(life: Life, event: Event) -> Step:
    assert isinstance(event, Stopped)
    if event.cause is StopCause.DRAINED:
        if life.cancel_requested:
            return _finish(life, S.CANCELLED, life.reason)
        return _next_segment(life, S.QUEUED, "its worker was shut down; it goes on elsewhere")
    if event.cause is StopCause.CANCELLED:  # who asked for it is known here, not to the worker
        return _finish(life, S.CANCELLED, life.reason if life.cancel_requested else event.reason)
    return _finish(life, S.TIMED_OUT, event.reason)


def _cancel_now(life: Life, event: Event) -> Step:
    assert isinstance(event, CancelAsked)
    return _finish(replace(life, cancel_requested=True), S.CANCELLED, f"cancelled by {event.by}")


def _cancel_running(life: Life, event: Event) -> Step:
    assert isinstance(event, CancelAsked)
    after = replace(life, cancel_requested=True, reason=f"cancelled by {event.by}")
    return after, (StopSegment(),)


def _worker_lost(life: Life, event: Event) -> Step:
    assert isinstance(event, WorkerLost)
    after = replace(life, crashes=life.crashes + 1)
    if life.cancel_requested:
        return _finish(after, S.CANCELLED, life.reason)
    if after.crashes > life.limits.max_crashes:
        return _escalate(after, f"{event.reason}; its workers died {after.crashes} times, so it is set aside")
    return _next_segment(after, S.QUEUED, f"{event.reason}; another worker takes over")


def _resolved(life: Life, event: Event) -> Step:
    assert isinstance(event, Resolved)
    reason = f"{event.resolution} by {event.by}: {event.reason}"
    if event.resolution is Resolution.ACCEPT:
        return _finish(life, S.COMPLETED, reason)
    if event.resolution is Resolution.FAIL:
        return _finish(life, S.FAILED, reason)
    after = replace(life, crashes=0)
    if event.resolution is Resolution.CONTINUE:
        return _next_segment(after, S.QUEUED, reason)
    return _open_run(after, S.QUEUED, reason, clean=False)


_WAITING = (S.QUEUED, S.DELAYED, S.WAITING_RETRY)
_HELD = (S.RUNNING, S.VERIFYING)

TRANSITIONS: dict[tuple[TaskState, type[Event]], Callable[[Life, Event], Step]] = {
    **{(state, Claimed): _claimed for state in _WAITING},
    (S.RUNNING, Parked): _parked,
    (S.VERIFYING, Parked): _parked,
    (S.WAITING_APPROVAL, Decided): _decided,
    # A decision may come before the segment that asked has ended: `Parked` then sees none open.
    **{(state, Decided): _unchanged for state in (*_HELD, *_WAITING, S.ESCALATED)},
    (S.RUNNING, Answered): _answered,
    (S.VERIFYING, Verified): _verified,
    **{(state, RunFailed): _run_failed for state in _HELD},
    **{(state, Blocked): _blocked for state in _HELD},
    **{(state, Stopped): _stopped for state in _HELD},
    **{(state, CancelAsked): _cancel_now for state in (*_WAITING, S.WAITING_APPROVAL, S.ESCALATED)},
    **{(state, CancelAsked): _cancel_running for state in _HELD},
    **{(state, WorkerLost): _worker_lost for state in (*_HELD, *_WAITING)},
    (S.ESCALATED, Resolved): _resolved,
}


def advance(life: Life, event: Event) -> Step:
    """Return what an event makes of a task, and what has to be done about it.

    Raises:
        Conflict: the event does not fit the state; nothing changes.
    """
    step = TRANSITIONS.get((life.state, type(event)))
    if step is None:
        what = "is final" if life.state.final else f"is {life.state}"
        raise Conflict(f"the task {what} ({life.reason}): {_VERB[type(event)]} does not apply")
    return step(life, event)


_VERB: dict[type[Event], str] = {
    Claimed: "claiming",
    Parked: "waiting",
    Decided: "a decision",
    Answered: "an answer",
    Verified: "a verification",
    RunFailed: "a failure",
    Blocked: "escalating",
    Stopped: "stopping",
    CancelAsked: "cancelling",
    WorkerLost: "a takeover",
    Resolved: "resolving",
}
