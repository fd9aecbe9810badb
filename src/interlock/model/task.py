"""A task, its states and its bounds."""

import datetime
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

FIRST_HOST = "first"  # instead of a machine's name: whichever begins a task


class TaskState(StrEnum):
    """Where a task is in its life; the last five are final."""

    QUEUED = "queued"
    DELAYED = "delayed"
    RUNNING = "running"
    WAITING_APPROVAL = "waiting_approval"
    WAITING_CHILDREN = "waiting_children"
    WAITING_RETRY = "waiting_retry"
    VERIFYING = "verifying"
    ESCALATED = "escalated"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"

    @property
    def final(self) -> bool:
        """True when nothing more can happen to the task."""
        return self in FINAL_STATES

    @property
    def held(self) -> bool:
        """True while a worker holds the task."""
        return self in (TaskState.RUNNING, TaskState.VERIFYING)


FINAL_STATES = frozenset(
    {TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED, TaskState.TIMED_OUT, TaskState.REJECTED}
)


MEANINGS = {
    TaskState.QUEUED: "it is in the queue, and waits for a worker",
    TaskState.DELAYED: "it waits for the time at which it may begin",
    TaskState.RUNNING: "a worker is at it",
    TaskState.WAITING_APPROVAL: "it waits for a person to decide about a call",
    TaskState.WAITING_CHILDREN: "it waits for tasks that it gave to others",
    TaskState.WAITING_RETRY: "a run failed; it waits for the next one",
    TaskState.VERIFYING: "it has a result, which is being checked",
    TaskState.ESCALATED: "it waits for a person to decide what becomes of it",
    TaskState.COMPLETED: "it is over, and its result counts",
    TaskState.FAILED: "it is over, without a result that counts",
    TaskState.CANCELLED: "it is over, because somebody ended it",
    TaskState.TIMED_OUT: "it is over, because its working time is used up",
    TaskState.REJECTED: "it was refused when it came",
}
ASIDE = {
    "halt": "it is set aside until a halt ends: interlock resume",
    "pause": "it is set aside until its queue goes on: interlock queue resume",
    "undo": "it waits until what its last run did is taken back",
    "version": "it is set aside until a worker has the configuration that was applied",
    "full": "it is set aside until there is a place for it",
}


def meaning_of(state: TaskState, parked: str | None = None) -> str:
    """What a state means for a task, and what it waits for, as a sentence; why it is in it is its reason."""
    return ASIDE.get(parked, "it is set aside") if parked is not None else MEANINGS[state]


class TaskKind(StrEnum):
    """Whose calls a task has: those of an agent, of the reversal of what one did, or of an agent outside."""

    AGENT = "agent"
    UNDO = "undo"
    OUTSIDE = "outside"


@dataclass(frozen=True)
class TaskLimits:
    """Bounds of one task; see `LimitsConfig`."""

    max_duration_s: float = 900.0
    max_runs: int = 3
    max_turns: int = 50
    max_crashes: int = 5
    retry_delay_s: float = 2.0


@dataclass(frozen=True)
class Ancestor:
    """A task above another one, with what all tasks below it together may use.

    Attributes:
        task: its id.
        agent: its agent, whose halt stops those below as well.
        calls_per_minute: and the others: its limits, as in `LimitsConfig`.
    """

    task: str
    agent: str
    calls_per_minute: int
    files: int
    services: int
    cost_usd: float
    cost_usd_per_minute: float | None = None
    depth: int = 1

    @property
    def scope(self) -> str:
        """Of its allowances."""
        return f"task:{self.task}"


@dataclass(frozen=True)
class Origin:
    """Where a task comes from that no one asked for anew.

    Attributes:
        retry_of: the task that is tried again.
        parent_id: the task that brought this one about.
        call_id: its call that gives this one away; None for one that takes its effects back.
        lineage: the tasks above, the nearest first.
    """

    retry_of: str | None = None
    parent_id: str | None = None
    call_id: str | None = None
    lineage: tuple[Ancestor, ...] = ()


@dataclass(frozen=True)
class TaskRequest:
    """What somebody asks for.

    Attributes:
        text: the trusted part.
        inputs: the untrusted part.
        priority: 0 to 9, 0 first.
        dedupe_key: None means computed from agent, text and inputs.
        not_before: earliest start.
        undo_of: for an undo task, the task or call whose effects it takes back.
        checks: what its result must pass besides the checks of its agent; each in the shape of `verify:`.
        tainted: somebody outside wrote the inputs, so the task counts from the beginning as one that has read
            something untrusted.
        host: where it must run; None: where its agent may.
    """

    agent: str
    text: str
    inputs: dict[str, Any] = field(default_factory=dict)
    priority: int = 5
    dedupe_key: str | None = None
    not_before: datetime.datetime | None = None
    max_duration_s: float | None = None
    kind: TaskKind = TaskKind.AGENT
    undo_of: dict[str, str] | None = None
    checks: tuple[dict[str, Any], ...] = ()
    tainted: bool = False
    host: str | None = None


@dataclass(frozen=True)
class Task:
    """A task as it stands in the database."""

    id: str
    agent: str
    kind: TaskKind
    state: TaskState
    state_reason: str
    priority: int
    run_no: int
    segment_no: int
    epoch: int
    crashes: int
    worked_s: float
    cancel_requested: bool
    limits: TaskLimits
    config_sha256: str
    submitted_by: str
    created_at: datetime.datetime
    changed_at: datetime.datetime
    virtual_deadline: int = 1
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    not_before: datetime.datetime | None = None
    dedupe_key: str | None = None
    executor_id: str | None = None
    retry_of: str | None = None
    tainted: bool = False
    rung: int = 0
    parked: str | None = None
    parent_id: str | None = None
    parent_call: str | None = None
    lineage: tuple[Ancestor, ...] = ()
    host: str | None = None


@dataclass(frozen=True)
class Lease:
    """One worker's hold of a run: whoever shows another epoch has lost it."""

    task_id: str
    run_no: int
    segment_no: int
    epoch: int
    executor_id: str
