"""The timeline of a task: runs, waits, models, calls, questions and decisions in order, each with how long and how dear.

Made from rows that there are anyway: runs, calls, approvals, and the audit record. Nothing is kept for it.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from interlock import audit
from interlock.app.views import when
from interlock.model import Approval, ApprovalState, Call, Task, TaskState
from interlock.store import Row, Transaction, approval_rows

MAX_RECORDS = 20_000
EVENTS = (
    "task.state", "model.intent", "model.outcome", "task.resolved", "call.resolved", "call.in_doubt", "effect.undone",
)  # fmt: skip
_WAITS = {
    TaskState.QUEUED: "in the queue",
    TaskState.DELAYED: "not to begin yet",
    TaskState.WAITING_RETRY: "the next run waits",
    TaskState.WAITING_CHILDREN: "for tasks that it gave to others",
    TaskState.ESCALATED: "for a person to decide about the task",
}
_VERDICTS = {
    ApprovalState.PENDING: "not answered yet",
    ApprovalState.APPROVED: "approved",
    ApprovalState.CONSUMED: "approved",
    ApprovalState.DENIED: "denied",
    ApprovalState.EXPIRED: "nobody answered in time",
    ApprovalState.SUPERSEDED: "not needed any more",
}
_ORDER = ("submitted", "run", "wait", "model", "approval", "call", "event", "ended")


@dataclass(frozen=True)
class Entry:
    """One thing that happened, or went on for a while.

    Attributes:
        at: when it began.
        kind: submitted, run, wait, model, approval, call, event or ended.
        run: the number of the run, if it belongs to one.
        text: in words.
        ended: when it was over; None for what has no length, or is not over.
        cost_usd: what it cost; None where nothing is paid for, or nobody knows.
    """

    at: datetime.datetime
    kind: str
    run: int | None
    text: str
    ended: datetime.datetime | None = None
    cost_usd: float | None = None

    def view(self) -> dict[str, Any]:
        """Shape `{at, kind, run, text, duration_s, cost_usd}`."""
        duration_s = None if self.ended is None else round(max(0.0, (self.ended - self.at).total_seconds()), 3)
        return {
            "at": when(self.at),
            "kind": self.kind,
            "run": self.run,
            "text": self.text,
            "duration_s": duration_s,
            "cost_usd": None if self.cost_usd is None else round(self.cost_usd, 6),
        }


@dataclass(frozen=True)
class Timeline:
    """What happened to one task.

    Attributes:
        entries: in order.
        costs_usd: what models cost, by run.
    """

    entries: tuple[Entry, ...]
    costs_usd: dict[int, float]


async def timeline_of(tx: Transaction, task: Task, runs: Sequence[Row], calls: Sequence[Call]) -> Timeline:
    """Put it together from rows that are read already, and those that are not."""
    approvals = await approval_rows.of_task(tx, task.id)
    records = await audit.events_of(tx, task.id, EVENTS, MAX_RECORDS)
    return arranged(task, (runs, calls, approvals), records)


def arranged(
    task: Task, rows: tuple[Sequence[Row], Sequence[Call], Sequence[Approval]], records: Sequence[dict[str, Any]]
) -> Timeline:
    """Everything in order of when it began; records come oldest first."""
    runs, calls, approvals = rows
    models = list(_models(records))
    costs: dict[int, float] = {}
    for entry in models:
        if entry.run is not None:
            costs[entry.run] = costs.get(entry.run, 0.0) + (entry.cost_usd or 0.0)
    found = [Entry(task.created_at, "submitted", None, f"by {task.submitted_by}")]
    found += [_run(row, costs) for row in runs]
    found += [*_waits(task, records), *models, *_calls(calls), *_approvals(approvals, calls), *_events(records)]
    if task.state.final and task.finished_at is not None:
        found.append(Entry(task.finished_at, "ended", None, f"{task.state}: {task.state_reason}"))
    ordered = sorted(found, key=lambda entry: (entry.at, _ORDER.index(entry.kind)))
    return Timeline(tuple(ordered), costs)


def _at(record: dict[str, Any]) -> datetime.datetime:
    return datetime.datetime.fromisoformat(record["at"])


def _run(row: Row, costs: dict[int, float]) -> Entry:
    start = "starts clean" if row["clean"] else "goes on with what the run before did"
    said = f"run {row['run_no']} {start}" + (f": {row['note']}" if row["note"] else "")
    text = said + (f"; {row['outcome']}" if row["outcome"] else "")
    return Entry(row["started_at"], "run", row["run_no"], text, row["ended_at"], costs.get(row["run_no"], 0.0))


def _waits(task: Task, records: Sequence[dict[str, Any]]) -> Iterator[Entry]:
    """Stretches in which nobody worked on it; questions about calls are told of by their approvals."""
    changes = [record for record in records if record["event"] == "task.state"]
    states = [changes[0]["detail"]["from"] if changes else str(task.state), *(one["detail"]["to"] for one in changes)]
    began = [task.created_at, *(_at(record) for record in changes)]
    numbers = [1, *(record["subject"].get("run") for record in changes)]
    for place, state in enumerate(states):
        words = _WAITS.get(TaskState(state))
        if words is not None:
            ended = began[place + 1] if place + 1 < len(began) else None
            yield Entry(began[place], "wait", numbers[place], words, ended)


def _models(records: Sequence[dict[str, Any]]) -> Iterator[Entry]:
    """Answers of models, each with the request before it; the model of a judge is one too."""
    asked: dict[tuple[str, Any], dict[str, Any]] = {}
    for record in records:
        who = (record["actor"], record["subject"].get("run"))
        if record["event"] == "model.intent":
            asked[who] = record
        elif record["event"] == "model.outcome":
            request, detail = asked.pop(who, record), record["detail"]
            name = detail.get("model") or request["detail"].get("model", "model")
            judge = " as judge" if str(record["actor"]).startswith("verifier:") else ""
            if "error" in detail:
                text, cost = f"{name}{judge}: {detail['error']}", None
            else:
                tokens = detail["tokens"]
                text = f"{name}{judge}: {tokens['input']} tokens in, {tokens['output']} out"
                cost = float(detail["cost_usd"])
            yield Entry(_at(request), "model", who[1], text, _at(record), cost)


def _calls(calls: Sequence[Call]) -> Iterator[Entry]:
    for call in calls:
        stood_in = f" ({call.served_by} stood in)" if call.served_by else ""
        undone = "" if call.undo == "none" else f", undo {call.undo}"
        text = f"#{call.call_no} {call.tool}{stood_in} {call.state}{undone}"
        yield Entry(call.started_at or call.created_at, "call", call.run_no, text, call.ended_at)


def _approvals(approvals: Sequence[Approval], calls: Sequence[Call]) -> Iterator[Entry]:
    about = {call.id: call for call in calls}
    for approval in approvals:
        call = about.get(approval.call_id)
        what = "a call" if call is None else f"#{call.call_no} {call.tool}"
        by = f" by {approval.decided_by}" if approval.decided_by else ""
        why = f": {approval.reason}" if approval.reason and approval.decided_by else ""
        ended = approval.expires_at if approval.state is ApprovalState.EXPIRED else approval.decided_at
        text = f"{what}: {_VERDICTS[approval.state]}{by}{why}"
        yield Entry(approval.requested_at, "approval", None if call is None else call.run_no, text, ended)


def _events(records: Sequence[dict[str, Any]]) -> Iterator[Entry]:
    """What people and the platform found out or decided in between."""
    for record in records:
        detail, subject, actor = record["detail"], record["subject"], record["actor"]
        number = f"#{subject['call_no']} " if subject.get("call_no") is not None else "a call "
        match record["event"]:
            case "task.resolved":
                text = f"{detail['resolution']} by {actor}"
            case "call.resolved":
                text = f"{number}was {str(detail['outcome']).replace('_', ' ')}, says {actor}: {detail['reason']}"
            case "call.in_doubt":
                text = f"{number.strip()} is in doubt: {detail['why']}"
            case "effect.undone":
                text = f"undo of {number.strip()} {detail['outcome']}: {detail['note']}"
            case _:
                continue
        yield Entry(_at(record), "event", subject.get("run"), text)
