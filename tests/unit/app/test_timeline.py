"""The timeline of a task, from rows and records as they are in the database."""

import datetime
from typing import Any

from interlock.app.timeline import arranged
from interlock.model import (
    ActionClass,
    Approval,
    ApprovalState,
    Call,
    CallState,
    Task,
    TaskKind,
    TaskLimits,
    TaskState,
)

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
TOKENS = {"input": 10, "output": 2, "cache_read": 0, "cache_write": 0}


def at(seconds: float) -> datetime.datetime:
    return NOON + datetime.timedelta(seconds=seconds)


def record(seconds: float, event: str, actor: str = "agent:a", run: int = 1, **detail: Any) -> dict[str, Any]:
    return {"at": at(seconds).isoformat(), "event": event, "actor": actor, "subject": {"run": run}, "detail": detail}


def state(seconds: float, before: str, after: str, run: int = 1) -> dict[str, Any]:
    return record(seconds, "task.state", "worker:w", run, **{"from": before, "to": after})


def run_row(number: int, began: float, ended: float | None, outcome: str | None, note: str = "") -> dict[str, Any]:
    return {
        "run_no": number, "clean": number == 1, "note": note, "outcome": outcome, "started_at": at(began),
        "ended_at": None if ended is None else at(ended),
    }  # fmt: skip


def a_task(present: TaskState, finished: float | None = None) -> Task:
    return Task(
        id="t", agent="a", kind=TaskKind.AGENT, state=present, state_reason="finished", priority=5, run_no=1,
        segment_no=0, epoch=1, crashes=0, worked_s=0.0, cancel_requested=False, limits=TaskLimits(),
        config_sha256="0", submitted_by="person:ann", created_at=NOON, changed_at=NOON,
        finished_at=None if finished is None else at(finished),
    )  # fmt: skip


def a_call(number: int, run: int, began: float | None, ended: float | None, created: float) -> Call:
    return Call(
        id=f"c{number}", task_id="t", run_no=run, call_no=number, tool="files.write", args={}, args_sha256="0",
        reason="", state=CallState.DONE if ended is not None else CallState.HELD, epoch=1, created_at=at(created),
        action_class=ActionClass.WRITE, started_at=None if began is None else at(began),
        ended_at=None if ended is None else at(ended),
    )  # fmt: skip


def an_approval(call: str, asked: float, decided: float | None, present: ApprovalState) -> Approval:
    return Approval(
        id=f"a-{call}", task_id="t", call_id=call, state=present, binding={}, binding_sha256="0", shown={},
        requested_at=at(asked), expires_at=at(asked + 100), decided_by=None if decided is None else "person:bob",
        decided_at=None if decided is None else at(decided), reason="fine" if decided else "nobody answered in time",
    )  # fmt: skip


def told(*arguments: Any) -> list[tuple[Any, ...]]:
    """Kind, run, seconds since noon, text, length, money."""
    found = []
    for entry in arranged(*arguments).entries:
        view = entry.view()
        began = (datetime.datetime.fromisoformat(view["at"]) - NOON).total_seconds()
        found.append((view["kind"], view["run"], began, view["text"], view["duration_s"], view["cost_usd"]))
    return found


def test_waits_retries_questions_and_money_are_there_in_order() -> None:
    runs = [run_row(1, 0, 6, "failed"), run_row(2, 6, 30, "completed", "it broke")]
    calls = [a_call(1, 1, 4, 5.5, 3), a_call(2, 2, 25, 26, 12)]
    approvals = [an_approval("c2", 13, 24, ApprovalState.CONSUMED)]
    records = [
        state(2, "queued", "running"),
        record(2.5, "model.intent", model="sonnet"),
        record(3, "model.outcome", model="sonnet", tokens=TOKENS, cost_usd=0.01),
        state(6, "running", "waiting_retry", 2),
        state(10, "waiting_retry", "running", 2),
        record(10.5, "model.intent", run=2, model="sonnet"),
        record(11, "model.outcome", run=2, error="model_unavailable"),
        record(11, "model.intent", run=2, model="sonnet"),
        record(12, "model.outcome", run=2, model="sonnet", tokens=TOKENS, cost_usd=0.02),
        state(13, "running", "waiting_approval", 2),
        state(24, "waiting_approval", "queued", 2),
        state(24.5, "queued", "running", 2),
        record(27, "model.intent", "verifier:a", 2, model="opus"),
        record(29, "model.outcome", "verifier:a", 2, model="opus", tokens=TOKENS, cost_usd=0.5),
        state(30, "running", "completed", 2),
    ]
    task = a_task(TaskState.COMPLETED, 30)
    assert told(task, (runs, calls, approvals), records) == [
        ("submitted", None, 0, "by person:ann", None, None),
        ("run", 1, 0, "run 1 starts clean; failed", 6.0, 0.01),
        ("wait", 1, 0, "in the queue", 2.0, None),
        ("model", 1, 2.5, "sonnet: 10 tokens in, 2 out", 0.5, 0.01),
        ("call", 1, 4, "#1 files.write done", 1.5, None),
        ("run", 2, 6, "run 2 goes on with what the run before did: it broke; completed", 24.0, 0.52),
        ("wait", 2, 6, "the next run waits", 4.0, None),
        ("model", 2, 10.5, "sonnet: model_unavailable", 0.5, None),
        ("model", 2, 11, "sonnet: 10 tokens in, 2 out", 1.0, 0.02),
        ("approval", 2, 13, "#2 files.write: approved by person:bob: fine", 11.0, None),
        ("wait", 2, 24, "in the queue", 0.5, None),
        ("call", 2, 25, "#2 files.write done", 1.0, None),
        ("model", 2, 27, "opus as judge: 10 tokens in, 2 out", 2.0, 0.5),
        ("ended", None, 30, "completed: finished", None, None),
    ]
    assert arranged(task, (runs, calls, approvals), records).costs_usd == {1: 0.01, 2: 0.52}


def test_what_is_not_over_has_no_length() -> None:
    runs, calls = [run_row(1, 0, None, None)], [a_call(1, 1, None, None, 3)]
    approvals = [an_approval("c1", 4, None, ApprovalState.PENDING)]
    records = [state(2, "queued", "running"), state(5, "running", "waiting_approval")]
    assert told(a_task(TaskState.WAITING_APPROVAL), (runs, calls, approvals), records)[1:] == [
        ("run", 1, 0, "run 1 starts clean", None, 0.0),
        ("wait", 1, 0, "in the queue", 2.0, None),
        ("call", 1, 3, "#1 files.write held", None, None),
        ("approval", 1, 4, "#1 files.write: not answered yet", None, None),
    ]
    fresh = told(a_task(TaskState.DELAYED), ([], [], []), [])
    assert fresh[1:] == [("wait", 1, 0, "not to begin yet", None, None)]


def test_what_people_said_and_nobody_answered() -> None:
    calls = [a_call(1, 1, 1, 2, 1)]
    approvals = [
        an_approval("c1", 3, None, ApprovalState.EXPIRED),
        an_approval("gone", 4, None, ApprovalState.SUPERSEDED),
    ]
    records = [
        state(0, "queued", "escalated"),
        {**record(5, "call.resolved", "person:ann", outcome="not_done", reason="looked"), "subject": {"run": 1}},
        {**record(6, "call.in_doubt", why="it fell silent"), "subject": {"run": 1, "call_no": 1}},
        record(7, "task.resolved", "person:ann", resolution="answer"),
        {**record(8, "effect.undone", outcome="restored", note="by hash"), "subject": {"task": "t", "call": "c1"}},
    ]
    found = told(a_task(TaskState.ESCALATED), ([], calls, approvals), records)
    assert [(kind, text, length) for kind, _, _, text, length, _ in found[2:]] == [
        ("wait", "for a person to decide about the task", None),
        ("call", "#1 files.write done", 1.0),
        ("approval", "#1 files.write: nobody answered in time", 100.0),
        ("approval", "a call: not needed any more", None),
        ("event", "a call was not done, says person:ann: looked", None),
        ("event", "#1 is in doubt: it fell silent", None),
        ("event", "answer by person:ann", None),
        ("event", "undo of a call restored: by hash", None),
    ]
