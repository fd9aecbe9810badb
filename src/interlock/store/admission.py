"""Taking a task in: all that it begins with is one statement, and so one round trip and one commit.

The task, its first run and turn, its first segment in the dispatcher's queue, and the record of it: either all of them
are there, or none.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import LiteralString

from psycopg.types.json import Jsonb

from interlock.model import RequestTurn, Task, canonical_sha256
from interlock.store import dispatch
from interlock.store.call_path import AuditRow
from interlock.store.database import Params, Transaction
from interlock.store.runs import turn_place
from interlock.store.tasks import NewTask, request_json, task_of, virtual_deadline

_ADMIT: LiteralString = """
with made as (
  insert into task (id, agent, kind, request, request_sha256, state, state_reason, priority, virtual_deadline,
      dedupe_key, limits, config_sha256, submitted_by, retry_of, not_before, tainted, parent_id, parent_call, lineage,
      above, host, created_at, changed_at)
    select %(id)s, %(agent)s, %(kind)s, %(request)s, %(request_sha256)s, %(state)s, %(reason)s, %(priority)s,
      %(deadline)s, %(dedupe_key)s, %(limits)s, %(config)s, %(by)s, %(retry_of)s, %(not_before)s, %(tainted)s,
      %(parent)s, %(parent_call)s, %(lineage)s, %(above)s, %(host)s,
      %(now)s, %(now)s
    where %(backlog)s::bigint is null or %(backlog)s::bigint > (
      select coalesce(sum(b.waiting), 0) from backlog b where b.tenant = 'default' and b.agent = %(agent)s)
    on conflict (tenant, dedupe_key) where dedupe_key is not null and state not in
      ('completed', 'failed', 'cancelled', 'timed_out', 'rejected') do nothing
    returning *
), first_run as (
  insert into run (task_id, run_no, clean, note, started_at) select made.id, 1, true, %(note)s, %(now)s from made
), first_turn as (
  insert into turn (task_id, run_no, seq, kind, body, at) select made.id, 1, 1, 'request', %(turn)s, %(now)s from made
), recorded as (
  insert into audit_record (id, tenant, at, event, task_id, body)
    select %(record)s, %(record_tenant)s, %(now)s, %(event)s, made.id, %(body)s from made
), unchained as (
  insert into audit_waiting (record_id, tenant) select %(record)s, %(record_tenant)s from made
)
select made.*, case when %(dispatched)s then dbos.enqueue_workflow(%(workflow)s, %(queue)s,
    array[to_json(made.id::text), to_json(made.segment_no)]::json[], workflow_id => made.id::text || ':' || made.segment_no,
    app_version => %(version)s, priority => %(deadline)s, timeout_ms => %(timeout)s, delay_until_epoch_ms => %(delay)s,
    application_name => %(application)s) end
  from made
"""


@dataclass(frozen=True)
class Admission:
    """A task that shall be taken in, with all that it begins with.

    Attributes:
        new: the task.
        record: that it was submitted.
        backlog: so many tasks of the agent may wait, this one included; None: as many as there are.
        timeout_s: a backstop for its first segment; None: it has none, for no worker runs the task.
        delay_s: until its first segment is due.
    """

    new: NewTask
    record: AuditRow
    backlog: int | None
    timeout_s: float | None
    delay_s: float = 0.0


async def admit(tx: Transaction, admission: Admission) -> Task | None:
    """Take a task in; None when an equal one is not final yet, or too many wait."""
    row = await tx.row(_ADMIT, _params(tx, admission))
    return None if row is None else task_of(tx, row)


async def admit_many(tx: Transaction, admissions: Sequence[Admission]) -> None:
    """The same for many at once, without a word about each."""
    await tx.many(_ADMIT, [_params(tx, admission) for admission in admissions])


def _params(tx: Transaction, admission: Admission) -> Params:
    new, record, now = admission.new, admission.record, tx.clock.now()
    request = new.request
    starts_at = max(now, request.not_before) if request.not_before else now
    body, seal = request_json(request), tx.sealer.seal
    origin = new.origin
    delayed, timeout_s = admission.delay_s > 0, admission.timeout_s
    return {
        "id": new.id,
        "agent": request.agent,
        "kind": request.kind,
        "request": seal(body, f"task.request:{new.id}"),
        "request_sha256": canonical_sha256(body),
        "state": new.state,
        "reason": seal(new.reason, f"task.state_reason:{new.id}"),
        "priority": request.priority,
        "deadline": virtual_deadline(request.priority, starts_at),
        "dedupe_key": new.dedupe_key,
        "limits": Jsonb(asdict(new.limits)),
        "config": new.config_sha256,
        "by": new.submitted_by,
        "retry_of": origin.retry_of,
        "not_before": request.not_before,
        "tainted": request.tainted,
        "parent": origin.parent_id,
        "parent_call": origin.call_id,
        "lineage": Jsonb([asdict(above) for above in origin.lineage]),
        "above": [scope for above in origin.lineage for scope in (above.scope, f"agent:{above.agent}")],
        "host": new.host,
        "now": now,
        "backlog": admission.backlog,
        "note": seal("", f"run.note:{new.id}:1"),
        "turn": seal(asdict(RequestTurn(request.text, request.inputs)), turn_place(new.id, 1, 1)),
        "record": record.id,
        "record_tenant": record.tenant,
        "event": record.event,
        "body": record.body,
        "dispatched": timeout_s is not None,
        "timeout": None if timeout_s is None else int(timeout_s * 1000),
        "delay": int((now.timestamp() + admission.delay_s) * 1000) if delayed else None,
        "workflow": dispatch.WORKFLOW,
        "queue": dispatch.queue_of(new.host),
        "version": dispatch.PROTOCOL_VERSION,
        "application": dispatch.APPLICATION,
    }
