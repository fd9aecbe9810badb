"""What a segment costs in the database: one look at all that it begins with, and a statement for each thing that it does.

Each statement is a commit of its own, and checks what it relies on: the lease, or the state that was seen. One that
finds something else writes nothing and says so; then the slower way, which locks first, finds out what it is.
"""

import datetime
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from interlock.model import Conflict, Fenced, Lease, Life, ModelTurn, NotFound, Task, Turn
from interlock.store.call_path import AuditRow
from interlock.store.catalog import Count
from interlock.store.database import Transaction
from interlock.store.runs import sealed_turn, turn_of
from interlock.store.tasks import REASON_CHARS, task_of

# The turns of the present run, inherited ones first, each column in an array of its own.
_LOOK: LiteralString = """
with recursive t as (
  select * from task where id = %(task)s
), line as (
  select r.run_no, r.clean from t join run r on r.task_id = t.id and r.run_no = t.run_no
  union all
  select r.run_no, r.clean from line l join run r on r.task_id = %(task)s and r.run_no = l.run_no - 1 where not l.clean
)
select t.*, h.* from t cross join (
  select array_agg(n.kind order by n.run_no, n.seq) as kinds, array_agg(n.body order by n.run_no, n.seq) as bodies,
    array_agg(n.run_no order by n.run_no, n.seq) as runs, array_agg(n.seq order by n.run_no, n.seq) as seqs
  from turn n join line using (run_no) where n.task_id = %(task)s
) h
"""
_MOVE: LiteralString = """
with t as (
  update task set state = %(state)s, state_reason = %(reason)s, changed_at = %(now)s,
      epoch = epoch + case when %(held)s and %(taker)s::text is null then 0 else 1 end,
      executor_id = case when %(held)s then coalesce(%(taker)s::text, executor_id) end,
      started_at = case when %(taker)s::text is null then started_at else coalesce(started_at, %(now)s) end,
      finished_at = case when %(final)s then %(now)s else finished_at end,
      working_since = case when %(held)s then case when %(taker)s::text is null then working_since else now() end end,
      worked_s = worked_s + %(worked_s)s, result = coalesce(%(result)s, result)
    where id = %(task)s and epoch = %(epoch)s and state = %(from)s and segment_no = %(segment)s and not cancel_requested
      and not (%(final)s and exists (select 1 from call c where c.task_id = %(task)s
        and c.state in ('held', 'approved', 'started', 'in_doubt')))
      and not exists (select 1 from halt h where h.scope = any(%(unless)s))
      and (%(config)s::text is null
        or coalesce((select sha256 from config_applied order by number desc limit 1), %(config)s) = %(config)s)
    returning id, epoch
), closed as (
  update run r set outcome = %(outcome)s, ended_at = %(now)s from t
    where %(outcome)s::text is not null and r.task_id = t.id and r.run_no = %(run)s and r.outcome is null
), counted as (
  insert into metric_counter as m (name, labels, shard, value)
    select c.name, c.labels, pg_backend_pid() %% 8, c.value
      from t, jsonb_to_recordset(%(counts)s) as c(name text, labels jsonb, value double precision)
      order by c.name, c.labels
    on conflict (name, labels, shard) do update set value = m.value + excluded.value
), recorded as (
  insert into audit_record (id, tenant, at, event, task_id, body)
    select %(record)s, %(tenant)s, %(now)s, %(event)s, t.id, %(body)s from t
), unchained as (
  insert into audit_waiting (record_id, tenant) select %(record)s, %(tenant)s from t
)
select epoch from t
"""
_RECORD: LiteralString = """
with t as (
  select id from task where id = %(task)s and epoch = %(epoch)s
    and not exists (select 1 from halt h where h.scope = any(%(unless)s)) for update
), recorded as (
  insert into audit_record (id, tenant, at, event, task_id, body)
    select %(record)s, %(tenant)s, %(now)s, %(event)s, t.id, %(body)s from t
), unchained as (
  insert into audit_waiting (record_id, tenant) select %(record)s, %(tenant)s from t
)
select 1 from t
"""
_ANSWER: LiteralString = """
with t as (
  select id from task where id = %(task)s and epoch = %(epoch)s for update
), recorded as (
  insert into audit_record (id, tenant, at, event, task_id, body)
    select %(record)s::uuid, %(tenant)s, %(now)s, %(event)s, t.id, %(body)s from t where %(record)s::uuid is not null
), unchained as (
  insert into audit_waiting (record_id, tenant)
    select %(record)s::uuid, %(tenant)s from t where %(record)s::uuid is not null
)
insert into turn (task_id, run_no, seq, kind, body, at)
  select t.id, %(run)s, %(seq)s, 'model', %(turn)s, %(now)s from t
"""


@dataclass(frozen=True)
class Known:
    """A task as it was at one moment, with all that a segment begins with.

    Attributes:
        request: shape `{text, inputs, undo_of}`.
        turns: that its run knows, inherited ones first.
        last_seq: number of the last turn of this run, 0 if it has none of its own.
    """

    task: Task
    request: dict[str, Any]
    turns: tuple[Turn, ...]
    last_seq: int


@dataclass(frozen=True)
class Move:
    """What an event makes of a task that has the life that it was seen with, and asks for no other segment.

    Attributes:
        at: when.
        life: what it becomes.
        record: that it did.
        taker: the executor that takes the lease with it, if one does.
        unless: a halt of one of these scopes is in the way.
        worked_s: working time that is counted.
        result: what came out, if something did; shape `{text}`.
        outcome: how its run ends, if it does.
        counts: metrics that it counts in.
        config_sha256: that another version of the configuration is active is in the way.
    """

    at: datetime.datetime
    life: Life
    record: AuditRow
    taker: str | None = None
    unless: tuple[str, ...] = ()
    worked_s: float = 0.0
    result: dict[str, Any] | None = None
    outcome: str | None = None
    counts: list[Count] = field(default_factory=list)
    config_sha256: str | None = None


async def look(tx: Transaction, task_id: str) -> Known:
    """Everything that a segment of a task begins with.

    Raises:
        NotFound: there is no such task.
    """
    row = await tx.row(_LOOK, {"task": task_id})
    if row is None:
        raise NotFound(f"there is no task {task_id}")
    task = task_of(tx, row)
    turns = list(zip(row["kinds"] or (), row["bodies"] or (), row["runs"] or (), row["seqs"] or (), strict=True))
    return Known(
        task,
        dict(tx.sealer.open(row["request"], f"task.request:{task.id}")),
        tuple(turn_of(tx, kind, body, (task.id, run_no, seq)) for kind, body, run_no, seq in turns),
        max((seq for _, _, run_no, seq in turns if run_no == task.run_no), default=0),
    )


async def move(tx: Transaction, seen: Task, move: Move) -> int | None:
    """Let a task go on to another state; the epoch that it has then, or None when it is not as it was seen any more.

    It is not as it was seen either if its cancellation was asked for, or if it would be over with calls still open.
    """
    life, record = move.life, move.record
    row = await tx.row(
        _MOVE,
        {
            "task": seen.id,
            "epoch": seen.epoch,
            "from": seen.state,
            "segment": seen.segment_no,
            "run": seen.run_no,
            "state": life.state,
            "reason": tx.sealer.seal(life.reason[:REASON_CHARS], f"task.state_reason:{seen.id}"),
            "held": life.state.held,
            "final": life.state.final,
            "taker": move.taker,
            "unless": list(move.unless),
            "config": move.config_sha256,
            "worked_s": move.worked_s,
            "result": None if move.result is None else tx.sealer.seal(move.result, f"task.result:{seen.id}"),
            "outcome": move.outcome,
            "counts": Jsonb([{"name": name, "labels": labels, "value": by} for name, labels, by in move.counts]),
            "now": move.at,
            **_record(record),
        },
    )
    return None if row is None else int(row["epoch"])


async def record_held(tx: Transaction, lease: Lease, record: AuditRow, unless: list[str]) -> bool:
    """Write a record under a lease; False when the lease is gone, or one of these scopes is halted."""
    names = {"task": lease.task_id, "epoch": lease.epoch, "now": tx.clock.now(), "unless": unless}
    return await tx.row(_RECORD, {**names, **_record(record)}) is not None


async def append_answer(tx: Transaction, lease: Lease, turn: ModelTurn, seq: int, record: AuditRow | None) -> None:
    """Add a turn of the model that asks for no call, and a record, under a lease; `seq` is the number that comes next.

    Raises:
        Fenced: another worker has the run now.
        Conflict: there is a turn of that number.
    """
    import psycopg

    names = {"task": lease.task_id, "epoch": lease.epoch, "run": lease.run_no, "seq": seq, "now": tx.clock.now()}
    told = _record(record) if record else dict.fromkeys(("record", "tenant", "event", "body"))
    sealed = sealed_turn(tx, turn, (lease.task_id, lease.run_no, seq))
    try:
        added = await tx.run(_ANSWER, {**names, **told, "turn": sealed})
    except psycopg.errors.UniqueViolation as error:
        raise Conflict("the history was changed at the same time") from error
    if added != 1:
        raise Fenced(f"another worker has task {lease.task_id[:8]} now")


def _record(record: AuditRow) -> dict[str, Any]:
    return {"record": record.id, "tenant": record.tenant, "event": record.event, "body": record.body}
