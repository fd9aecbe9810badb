"""What can happen to a task, and what has to be done then: the nouns of the lifecycle."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from interlock.model.task import TaskLimits, TaskState


@dataclass(frozen=True)
class Life:
    """The part of a task that its life depends on.

    Attributes:
        rung: how many results were not accepted; the next run has a model so many steps stronger.
        parked: what it is set aside for, while it has no segment in the queue.
    """

    state: TaskState
    reason: str
    run_no: int
    segment_no: int
    crashes: int
    cancel_requested: bool
    limits: TaskLimits
    rung: int = 0
    parked: str | None = None


# ---- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claimed:
    """A worker took the segment."""

    segment_no: int


@dataclass(frozen=True)
class PutOff:
    """The segment that was taken may not begin now; `kind` is halt, pause or full."""

    segment_no: int
    kind: str
    reason: str


@dataclass(frozen=True)
class Released:
    """Nothing keeps a task any more that was set aside."""


@dataclass(frozen=True)
class Parked:
    """The segment ended on open calls: so many still wait for a person, and so many for tasks that were given away."""

    open_approvals: int
    open_children: int = 0


@dataclass(frozen=True)
class ChildrenEnded:
    """Nothing is under way any more of what the task has waited for.

    Attributes:
        what: that was, in words.
        clean: no effect of the task is left, so that another run may start afresh.
    """

    what: str
    clean: bool = False


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


class Failure(StrEnum):
    """What kind of failure ended a run; it decides what comes next.

    `transient`: something outside did not answer; the same again, later. `wrong`: the result was not accepted; at once,
    with a stronger model. `refused`: people or the policy said no; a person decides. `broken`: the same will fail again.
    """

    TRANSIENT = "transient"
    WRONG = "wrong"
    REFUSED = "refused"
    BROKEN = "broken"


@dataclass(frozen=True)
class RunFailed:
    """The run can't go on.

    Attributes:
        failure: of what kind.
        clean: the run left no effect behind, so the next one starts afresh; else it inherits the history.
        undoing: its effects are being taken back, by a task of its own.
    """

    reason: str
    failure: Failure
    clean: bool
    undoing: bool = False


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
    HALTED = "halted"


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


@dataclass(frozen=True)
class Stranded:
    """The one machine that the task can run on is lost."""

    reason: str


class Resolution(StrEnum):
    """What a person does with an escalated task.

    `retry`: another run. `accept`: its result is good. `fail`: it failed. `continue`: the same run goes on. `answer`:
    it goes on, and reads what the person says. `change`: another run, with another request.
    """

    RETRY = "retry"
    ACCEPT = "accept"
    FAIL = "fail"
    CONTINUE = "continue"
    ANSWER = "answer"
    CHANGE = "change"


@dataclass(frozen=True)
class Resolved:
    """A person decided what becomes of an escalated task.

    Attributes:
        clean: no effect is left of it, so that another run may start afresh.
    """

    resolution: Resolution
    by: str
    reason: str
    clean: bool = False


Event: TypeAlias = (
    Claimed
    | PutOff
    | Released
    | Parked
    | ChildrenEnded
    | Decided
    | Answered
    | Verified
    | RunFailed
    | Blocked
    | Stopped
    | CancelAsked
    | WorkerLost
    | Stranded
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
class ReopenRun:
    """Run `run_no` goes on, whether it was closed or not."""

    run_no: int


@dataclass(frozen=True)
class StopSegment:
    """Tell the worker that holds the task to stop."""


@dataclass(frozen=True)
class CountState:
    """Count the task under this state in `agent_tasks_total`."""

    state: TaskState


Command: TypeAlias = EnqueueSegment | StartRun | CloseRun | ReopenRun | StopSegment | CountState
