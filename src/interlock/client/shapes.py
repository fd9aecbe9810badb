"""What the API answers with, as types: plain dicts at run time. Times are RFC 3339 texts in UTC."""

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict


class Task(TypedDict):
    """A task as in lists."""

    id: str
    agent: str
    kind: str
    state: str
    state_reason: str
    parked: str | None
    priority: int
    run: int
    segment: int
    max_runs: int
    max_duration_s: float
    worked_s: float
    crashes: int
    cancel_requested: bool
    tainted: bool
    submitted_by: str
    worker: str | None
    retry_of: str | None
    parent: str | None
    config_sha256: str
    created_at: str
    changed_at: str
    started_at: str | None
    finished_at: str | None
    not_before: str | None


class Submitted(Task):
    """A task, and whether this request made it; if not, an equal one was not final yet."""

    created: bool


class TaskPage(TypedDict):
    """Tasks, newest first; `next` is the cursor of the next page."""

    items: list[Task]
    next: str | None


Call = TypedDict(
    "Call",
    {
        "id": str,
        "task": str,
        "run": int,
        "call_no": int,
        "tool": str,
        "args": dict[str, Any],
        "args_sha256": str,
        "agent_reason": str,
        "state": str,
        "class": str | None,
        "egress": bool | None,
        "decision": str | None,
        "rules": list[str],
        "reasons": list[str],
        "plan_entry": str | None,
        "approval": str | None,
        "result": dict[str, Any] | None,
        "effect": dict[str, Any] | None,
        "is_effect": bool,
        "undo": str,
        "undo_note": str,
        "created_at": str,
        "started_at": str | None,
        "ended_at": str | None,
    },
)


Resolution: TypeAlias = Literal["retry", "accept", "fail", "continue", "answer", "change"]


class TimelineEntry(TypedDict):
    """One thing that happened: `kind` is submitted, run, wait, model, approval, call, event or ended."""

    at: str
    kind: str
    run: int | None
    text: str
    duration_s: float | None
    cost_usd: float | None


class TaskStory(Task):
    """All there is about a task."""

    text: str
    inputs: dict[str, Any]
    undo_of: dict[str, str] | None
    checks: list[dict[str, Any]]
    result: dict[str, Any] | None
    runs: list[dict[str, Any]]
    turns: list[dict[str, Any]]
    calls: list[Call]
    timeline: list[TimelineEntry]
    allowances: list[dict[str, Any]]


class Approval(TypedDict):
    """A question to a person; `shown` is what to look at, `binding_sha256` goes back with the decision."""

    id: str
    task: str
    call: str
    state: str
    binding: dict[str, Any]
    binding_sha256: str
    shown: dict[str, Any]
    requested_at: str
    expires_at: str
    decided_by: str | None
    decided_at: str | None
    reason: str


class Undoing(TypedDict):
    """What an undo does: the calls it takes back, those it can't, and its task (None on a dry run).

    Attributes:
        of: the task whose effects they are, or those of a task that it gave away; each step says which.
    """

    of: str
    task: Task | None
    created: bool
    steps: list[dict[str, Any]]
    impossible: list[dict[str, Any]]


class Chain(TypedDict):
    """What verifying the audit found."""

    ok: bool
    records: int
    waiting: int
    head: str
    problems: list[str]


class Halted(TypedDict):
    """A halt that was set or ended."""

    scope: str
    halted: bool
    changed: bool


class Delivered(TypedDict):
    """What became of a delivery: `fired`, `duplicate` or `ignored`; each of the tasks as `{id, state, created}`."""

    trigger: str
    outcome: str
    tasks: list[dict[str, Any]]


class Token(TypedDict):
    """A token of an agent outside; `token`, the secret itself, is there only when it is made."""

    id: str
    agent: str
    task: str | None
    state: str
    created_at: str
    created_by: str
    expires_at: str | None
    used_at: str | None
    revoked_at: str | None
    token: NotRequired[str]


class Status(TypedDict):
    """Whether the system is healthy; `warnings` says why not, and `idle_because` of a worker why it takes no tasks."""

    version: str
    healthy: bool
    warnings: list[str]
    tasks: dict[str, int]
    approvals_pending: int
    workers: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    breakers: list[dict[str, Any]]
    halts: list[dict[str, Any]]
    config_sha256: str
    config_version: NotRequired[int | None]


TaskEvent = dict[str, Any]
"""An audit record, or `{event: "state", state, state_reason}`."""
