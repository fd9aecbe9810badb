"""Rows of tasks: insert, find, lease, and keep what the lifecycle decided."""

import datetime
import uuid
from dataclasses import dataclass, field
from typing import Any

from interlock.model import (
    Ambiguous,
    Ancestor,
    Lease,
    Life,
    NotFound,
    Origin,
    Task,
    TaskKind,
    TaskLimits,
    TaskRequest,
    TaskState,
    canonical_sha256,
)
from interlock.store.database import Row, Transaction

QUEUE_EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
PRIORITY_SLACK_S = 300
REASON_CHARS = 2000


@dataclass(frozen=True)
class NewTask:
    """All that a task row begins with; `host` is the machine that it must run on, `first` the one that begins it."""

    id: str
    request: TaskRequest
    dedupe_key: str
    limits: TaskLimits
    config_sha256: str
    submitted_by: str
    state: TaskState
    reason: str
    origin: Origin = field(default_factory=Origin)
    host: str | None = None


def virtual_deadline(priority: int, at: datetime.datetime) -> int:
    """The order of the queue, lowest first: `seconds since 2026-01-01 + priority * 300`, at least 1.

    Priority is slack on a deadline, so a task of priority 9 is passed over for 45 minutes at most by tasks of
    priority 0 that come after it: nothing starves. It fits DBOS's int4 until 2094.
    """
    return max(1, int((at - QUEUE_EPOCH).total_seconds()) + priority * PRIORITY_SLACK_S)


def request_json(request: TaskRequest) -> dict[str, Any]:
    """What is sealed into the row; shape `{text, inputs, undo_of, checks?, tainted?}`."""
    body: dict[str, Any] = {"text": request.text, "inputs": request.inputs, "undo_of": request.undo_of}
    if request.checks:
        body["checks"] = list(request.checks)
    return {**body, "tainted": True} if request.tainted else body


async def find_by_dedupe_key(tx: Transaction, key: str) -> Task | None:
    """The task that holds the key and is not final."""
    row = await tx.row(
        "select * from task where tenant = 'default' and dedupe_key = %s and state not in"
        " ('completed', 'failed', 'cancelled', 'timed_out', 'rejected')",
        [key],
    )
    return None if row is None else task_of(tx, row)


async def get(tx: Transaction, task_id: str, *, lock: bool = False) -> Task:
    """One task by its whole id.

    Raises:
        NotFound: there is none.
    """
    if lock:
        row = await tx.row("select * from task where id = %s for update", [task_id])
    else:
        row = await tx.row("select * from task where id = %s", [task_id])
    if row is None:
        raise NotFound(f"there is no task {task_id}")
    return task_of(tx, row)


async def resolve_id(tx: Transaction, table: str, text: str) -> str:
    """The whole id of a `task`, `call` or `approval` for a unique prefix of at least four characters.

    Ids begin with their time, so the last eight characters are taken as well.

    Raises:
        NotFound: nothing fits.
        Ambiguous: more than one fits.
    """
    needle = text.strip().lower()
    if len(needle) < 4 or not all(char in "0123456789abcdef-" for char in needle):
        raise NotFound(
            f"'{text}' is no {table} id: expected at least four characters of one, 0-9 and a-f", hint=_LISTING[table]
        )
    like = [f"{needle}%", f"%{needle}"]
    if table == "task":
        found = await tx.rows("select id from task where id::text like any(%s) limit 2", [like])
    elif table == "call":
        found = await tx.rows("select id from call where id::text like any(%s) limit 2", [like])
    else:
        found = await tx.rows("select id from approval where id::text like any(%s) limit 2", [like])
    if not found:
        raise NotFound(f"there is no {table} '{text}'", hint=_LISTING[table])
    if len(found) > 1:
        raise Ambiguous(f"'{text}' fits more than one {table}: give more characters", hint=_LISTING[table])
    return str(found[0]["id"])


_LISTING = {
    "task": "interlock tasks list",
    "call": "interlock tasks show TASK",
    "approval": "interlock approvals list",
}


@dataclass(frozen=True)
class Page:
    """Which tasks to list: newest first, after `before` (a task id)."""

    state: str | None = None
    agent: str | None = None
    before: str | None = None
    limit: int = 50


async def listing(tx: Transaction, page: Page) -> list[Task]:
    """Tasks, newest first."""
    rows = await tx.rows(
        "select * from task where (%(state)s::text is null or state = %(state)s)"
        " and (%(agent)s::text is null or agent = %(agent)s)"
        " and (%(before)s::uuid is null or id < %(before)s::uuid) order by id desc limit %(limit)s",
        {"state": page.state, "agent": page.agent, "before": page.before, "limit": page.limit},
    )
    return [task_of(tx, row) for row in rows]


async def request_of(tx: Transaction, task_id: str) -> dict[str, Any]:
    """What was asked; shape `{text, inputs, undo_of, checks?, tainted?}`."""
    row = await tx.row("select request from task where id = %s", [task_id])
    if row is None:
        raise NotFound(f"there is no task {task_id}")
    return dict(tx.sealer.open(row["request"], f"task.request:{task_id}"))


async def change_request(tx: Transaction, task_id: str, text: str) -> None:
    """Another text for a task; what it was submitted with stays in its history."""
    body = {**await request_of(tx, task_id), "text": text}
    await tx.run(
        "update task set request = %s, request_sha256 = %s where id = %s",
        [tx.sealer.seal(body, f"task.request:{task_id}"), canonical_sha256(body), task_id],
    )


async def result_of(tx: Transaction, task_id: str) -> dict[str, Any] | None:
    """What came out; shape `{text, …}`."""
    row = await tx.row("select result from task where id = %s", [task_id])
    return None if row is None else tx.sealer.open(row["result"], f"task.result:{task_id}")


async def keep_result(tx: Transaction, task_id: str, result: dict[str, Any]) -> None:
    """Store what came out."""
    await tx.run(
        "update task set result = %s where id = %s", [tx.sealer.seal(result, f"task.result:{task_id}"), task_id]
    )


async def keep_life(tx: Transaction, task_id: str, life: Life) -> None:
    """Store what the lifecycle decided; leaving a held state gives the lease up (a higher epoch)."""
    held = life.state.held
    now = tx.clock.now()
    await tx.run(
        "update task set state = %(state)s, state_reason = %(reason)s, run_no = %(run_no)s, segment_no = %(segment_no)s,"
        " crashes = %(crashes)s, cancel_requested = %(cancel)s, rung = %(rung)s, parked = %(parked)s, changed_at = %(now)s,"
        " epoch = epoch + case when %(held)s then 0 else 1 end,"
        " working_since = case when %(held)s then working_since end,"
        " executor_id = case when %(held)s then executor_id end,"
        " finished_at = case when %(final)s then %(now)s else finished_at end where id = %(id)s",
        {
            "id": task_id,
            "state": life.state,
            "reason": tx.sealer.seal(life.reason[:REASON_CHARS], f"task.state_reason:{task_id}"),
            "run_no": life.run_no,
            "segment_no": life.segment_no,
            "crashes": life.crashes,
            "cancel": life.cancel_requested,
            "rung": life.rung,
            "parked": life.parked,
            "held": held,
            "final": life.state.final,
            "now": now,
        },
    )


async def take_lease(tx: Transaction, task: Task, executor_id: str) -> Lease:
    """Give a locked task to a worker under a new epoch."""
    row = await tx.row(
        "update task set epoch = epoch + 1, executor_id = %s, started_at = coalesce(started_at, %s), working_since = now()"
        " where id = %s"
        " returning epoch, run_no, segment_no",
        [executor_id, tx.clock.now(), task.id],
    )
    assert row is not None
    return Lease(task.id, row["run_no"], row["segment_no"], row["epoch"], executor_id)


async def bind(tx: Transaction, task_id: str, host: str) -> None:
    """From now on a locked task runs on this machine only."""
    await tx.run("update task set host = %s where id = %s", [host, task_id])


async def add_worked(tx: Transaction, task_id: str, seconds: float) -> None:
    """Count working time."""
    await tx.run("update task set worked_s = worked_s + %s where id = %s", [seconds, task_id])


async def count_lost(tx: Transaction, task_id: str, beat_s: float) -> None:
    """Count the working time of a worker that died: from when it took the task to its last sign of life.

    Signs are its heartbeats, and what it wrote of the task. It lived for up to `beat_s` longer than its last sign, and
    that is counted as well, unless it is later than now: a limit is kept rather than stretched.
    """
    await tx.run(
        "update task t set working_since = null, worked_s = worked_s + greatest(0, extract(epoch from"
        " least(now(), make_interval(secs => %(beat)s) + greatest(t.working_since,"
        " (select e.heartbeat_at from executor e where e.executor_id = t.executor_id),"
        " (select max(n.at) from turn n where n.task_id = t.id),"
        " (select max(greatest(c.started_at, c.ended_at)) from call c where c.task_id = t.id))) - t.working_since))"
        " where t.id = %(task)s and t.working_since is not null",
        {"task": task_id, "beat": beat_s},
    )


async def over_among(tx: Transaction, task_ids: list[str]) -> set[str]:
    """Those of some tasks of which nothing may be under way: they are final, or stopped by a halt; or forgotten."""
    rows = await tx.rows(
        "select i.id from unnest(%s::uuid[]) as i(id) left join task t on t.id = i.id"
        " where t.id is null or t.state in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected')"
        " or t.parked = 'halt' and exists (select 1 from halt h"
        " where h.stops and h.scope = any(array['all', 'agent:' || t.agent] || t.above))",
        [task_ids],
    )
    return {str(row["id"]) for row in rows}


async def mark_tainted(tx: Transaction, task_id: str) -> None:
    """The task has read something untrusted."""
    await tx.run("update task set tainted = true where id = %s and not tainted", [task_id])


@dataclass(frozen=True)
class StopSignal:
    """What a task in hand is to do.

    Attributes:
        epoch: of the lease; another one than that of the holder, and it has lost the run.
        cancelled: it is to end.
        halted: by whom and why it is to stop until that is over.
    """

    epoch: int
    cancelled: bool
    halted: str | None


async def stop_signals(tx: Transaction, executor_id: str) -> dict[str, StopSignal]:
    """What each task that this executor holds is to do; by its id."""
    rows = await tx.rows(
        "select t.id, t.epoch, t.cancel_requested, (select h.by || ': ' || h.reason from halt h"
        " where h.stops and h.scope = any(array['all', 'agent:' || t.agent] || t.above) order by h.scope limit 1) as halted"
        " from task t where t.executor_id = %s and t.state in ('running', 'verifying')",
        [executor_id],
    )
    return {str(row["id"]): StopSignal(row["epoch"], row["cancel_requested"], row["halted"]) for row in rows}


async def left_outside(tx: Transaction, idle_s: float, limit: int = 20) -> list[tuple[str, bool]]:
    """Tasks of agents outside that no living server holds and that need one; shape `(task_id, idle)`.

    They need one because a call was under way when theirs died, or because (`idle`) nothing came for so long and
    nobody is asked, so that they are over.
    """
    rows = await tx.rows(
        "select * from (select t.id,"
        " exists (select 1 from call c where c.task_id = t.id and c.state = 'started') as started,"
        " t.changed_at < %(before)s"
        " and not exists (select 1 from call c where c.task_id = t.id and c.created_at >= %(before)s)"
        " and not exists (select 1 from approval a where a.task_id = t.id and a.state = 'pending') as idle"
        " from task t where t.kind = 'outside' and t.state in ('queued', 'running')"
        " and not exists (select 1 from executor e where e.executor_id = t.executor_id)) found"
        " where started or idle order by id limit %(limit)s",
        {"before": tx.clock.now() - datetime.timedelta(seconds=idle_s), "limit": limit},
    )
    return [(str(row["id"]), row["idle"] and not row["started"]) for row in rows]


async def state_counts(tx: Transaction) -> dict[str, int]:
    """How many tasks are in each state that is not final."""
    rows = await tx.rows(
        "select state, count(*) as n from task where state not in"
        " ('completed', 'failed', 'cancelled', 'timed_out', 'rejected') group by state"
    )
    return {row["state"]: row["n"] for row in rows}


async def completed_since(tx: Transaction, at: datetime.datetime) -> tuple[int, datetime.datetime | None]:
    """How many tasks were completed at a moment or later, and when the last of them was."""
    row = await tx.row(
        "select count(*) as n, max(changed_at) as last from task where state = 'completed' and changed_at >= %s", [at]
    )
    assert row is not None
    return int(row["n"]), row["last"]


def life_of(task: Task) -> Life:
    """The part of a task that the lifecycle reads."""
    return Life(
        task.state,
        task.state_reason,
        task.run_no,
        task.segment_no,
        task.crashes,
        task.cancel_requested,
        task.limits,
        task.rung,
        task.parked,
    )


def task_of(tx: Transaction, row: Row) -> Task:
    """A row as the noun."""
    plain = {
        name: row[name]
        for name in (
            "agent", "priority", "run_no", "segment_no", "epoch", "crashes", "worked_s",
            "cancel_requested", "config_sha256", "submitted_by", "created_at", "changed_at", "started_at",
            "finished_at", "not_before", "dedupe_key", "executor_id", "tainted", "virtual_deadline", "rung", "parked",
            "host",
        )
    }  # fmt: skip
    return Task(
        id=str(row["id"]),
        kind=TaskKind(row["kind"]),
        state=TaskState(row["state"]),
        state_reason=str(tx.sealer.open(row["state_reason"], f"task.state_reason:{row['id']}")),
        limits=TaskLimits(**row["limits"]),
        retry_of=None if row["retry_of"] is None else str(uuid.UUID(str(row["retry_of"]))),
        parent_id=None if row["parent_id"] is None else str(row["parent_id"]),
        parent_call=None if row["parent_call"] is None else str(row["parent_call"]),
        lineage=tuple(Ancestor(**above) for above in row["lineage"]),
        **plain,
    )
