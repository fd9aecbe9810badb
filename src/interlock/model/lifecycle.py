"""The life of a task: one pure function, `(life, event) -> (life, commands)`, over one explicit table.

Only this decides a task's state. Whoever calls it carries the commands out in the same transaction.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from interlock.model.errors import Conflict
from interlock.model.life import (
    Answered,
    Blocked,
    CancelAsked,
    ChildrenEnded,
    Claimed,
    CloseRun,
    Command,
    CountState,
    Decided,
    EnqueueSegment,
    Event,
    Failure,
    Life,
    Parked,
    PutOff,
    Released,
    ReopenRun,
    Resolution,
    Resolved,
    RunFailed,
    StartRun,
    StopCause,
    Stopped,
    StopSegment,
    Stranded,
    Verified,
    WorkerLost,
)
from interlock.model.task import TaskState

S = TaskState


UNDO = "undo"  # what a task is set aside for while its effects are taken back

Step: TypeAlias = tuple[Life, tuple[Command, ...]]


def _go(life: Life, state: TaskState, reason: str, *commands: Command) -> Step:
    return replace(life, state=state, reason=reason, parked=None), commands


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


def _put_off(life: Life, event: Event) -> Step:
    assert isinstance(event, PutOff)
    if event.segment_no != life.segment_no:
        raise Conflict(f"segment {event.segment_no} is not the present one ({life.segment_no})")
    if life.cancel_requested:
        return _finish(life, S.CANCELLED, life.reason)
    return replace(life, state=S.QUEUED, reason=event.reason, parked=event.kind), ()


def _released(life: Life, event: Event) -> Step:
    del event
    if life.parked is None:
        raise Conflict("the task is not set aside")
    return _next_segment(life, S.QUEUED, "in the queue again")


def _parked(life: Life, event: Event) -> Step:
    assert isinstance(event, Parked)
    if life.cancel_requested:
        return _finish(life, S.CANCELLED, life.reason)
    if event.open_approvals == 0 and event.open_children:
        tasks = "a task" if event.open_children == 1 else f"{event.open_children} tasks"
        return _go(life, S.WAITING_CHILDREN, f"waits for {tasks} that it gave to others")
    if event.open_approvals == 0:
        return _next_segment(life, S.QUEUED, "what it waited for came while it ran; it goes on")
    calls = "1 call waits" if event.open_approvals == 1 else f"{event.open_approvals} calls wait"
    return _go(life, S.WAITING_APPROVAL, f"{calls} for a person: interlock approvals list")


def _children_ended(life: Life, event: Event) -> Step:
    assert isinstance(event, ChildrenEnded)
    if life.parked != UNDO:
        return _next_segment(life, S.QUEUED, f"{event.what}; it goes on")
    stronger = replace(life, rung=life.rung + 1)
    return _open_run(stronger, S.QUEUED, f"{life.reason}: {event.what}", clean=event.clean)


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
    checks = "1 check is" if event.checks == 1 else f"{event.checks} checks are"
    return _go(life, S.VERIFYING, f"finished; {checks} being made")


def _verified(life: Life, event: Event) -> Step:
    del event
    return _finish(life, S.COMPLETED, "finished and verified")


def _run_failed(life: Life, event: Event) -> Step:
    assert isinstance(event, RunFailed)
    if life.cancel_requested:
        return _finish(life, S.CANCELLED, life.reason)
    if event.failure is Failure.BROKEN:
        return _finish(life, S.FAILED, event.reason)
    after, commands = _after_failure(life, event)
    return after, (CloseRun(life.run_no, "failed"), *commands)


def _after_failure(life: Life, event: RunFailed) -> Step:
    if event.failure is Failure.REFUSED:
        return _escalate(life, f"{event.reason.rstrip('.')}; it was refused what it needs, so a person decides")
    if life.run_no >= life.limits.max_runs:
        return _escalate(life, f"{event.reason} (run {life.run_no} of {life.limits.max_runs}, the last)")
    if event.failure is Failure.WRONG and event.undoing:
        reason = f"{event.reason}; its effects are taken back first"
        return replace(life, state=S.WAITING_CHILDREN, reason=reason, parked=UNDO), ()
    if event.failure is Failure.WRONG:
        stronger = replace(life, rung=life.rung + 1)
        return _open_run(stronger, S.QUEUED, event.reason, clean=event.clean)
    delay_s = life.limits.retry_delay_s * 2 ** (life.run_no - 1)
    return _open_run(life, S.WAITING_RETRY, event.reason, clean=event.clean, delay_s=delay_s)


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
    if life.cancel_requested:
        return _finish(life, S.CANCELLED, life.reason)
    return _escalate(life, event.reason)


def _stopped(life: Life, event: Event) -> Step:
    assert isinstance(event, Stopped)
    if event.cause is StopCause.DRAINED:
        if life.cancel_requested:
            return _finish(life, S.CANCELLED, life.reason)
        return _next_segment(life, S.QUEUED, "its worker was shut down; it goes on elsewhere")
    if event.cause is StopCause.HALTED:
        return _put_off(life, PutOff(life.segment_no, "halt", event.reason))
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


def _stranded(life: Life, event: Event) -> Step:
    assert isinstance(event, Stranded)
    if life.cancel_requested:
        return _finish(life, S.CANCELLED, life.reason)
    return _escalate(life, event.reason)


def _resolved(life: Life, event: Event) -> Step:
    assert isinstance(event, Resolved)
    reason = f"{event.resolution} by {event.by}: {event.reason}"
    if event.resolution is Resolution.ACCEPT:
        return _finish(life, S.COMPLETED, reason)
    if event.resolution is Resolution.FAIL:
        return _finish(life, S.FAILED, reason)
    after = replace(life, crashes=0, cancel_requested=False)  # what a person decides now counts
    if event.resolution in (Resolution.CONTINUE, Resolution.ANSWER):
        going, commands = _next_segment(after, S.QUEUED, reason)
        return going, (ReopenRun(life.run_no), *commands)
    return _open_run(after, S.QUEUED, reason, clean=event.clean)


_WAITING = (S.QUEUED, S.DELAYED, S.WAITING_RETRY)
_HELD = (S.RUNNING, S.VERIFYING)

TRANSITIONS: dict[tuple[TaskState, type[Event]], Callable[[Life, Event], Step]] = {
    **{(state, Claimed): _claimed for state in _WAITING},
    **{(state, PutOff): _put_off for state in _WAITING},
    (S.QUEUED, Released): _released,
    (S.RUNNING, Parked): _parked,
    (S.VERIFYING, Parked): _parked,
    (S.WAITING_CHILDREN, ChildrenEnded): _children_ended,
    (S.WAITING_APPROVAL, Decided): _decided,
    # A decision may come before the segment that asked has ended: `Parked` then sees none open.
    **{(state, Decided): _unchanged for state in (*_HELD, *_WAITING, S.WAITING_CHILDREN, S.ESCALATED)},
    (S.RUNNING, Answered): _answered,
    (S.VERIFYING, Verified): _verified,
    **{(state, RunFailed): _run_failed for state in _HELD},
    **{(state, Blocked): _blocked for state in _HELD},
    **{(state, Stopped): _stopped for state in _HELD},
    **{(state, CancelAsked): _cancel_now for state in (*_WAITING, S.WAITING_APPROVAL, S.WAITING_CHILDREN, S.ESCALATED)},
    **{(state, CancelAsked): _cancel_running for state in _HELD},
    **{(state, WorkerLost): _worker_lost for state in (*_HELD, *_WAITING)},
    **{(state, Stranded): _stranded for state in _WAITING},
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
    PutOff: "putting off",
    Released: "releasing",
    Parked: "waiting",
    ChildrenEnded: "the end of other tasks",
    Decided: "a decision",
    Answered: "an answer",
    Verified: "a verification",
    RunFailed: "a failure",
    Blocked: "escalating",
    Stopped: "stopping",
    CancelAsked: "cancelling",
    WorkerLost: "a takeover",
    Stranded: "losing its machine",
    Resolved: "resolving",
}
