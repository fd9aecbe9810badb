"""The seam to the dispatcher's tables: enqueue in our own transaction, see who holds what, close what is stale."""

from dataclasses import dataclass

from interlock.model import FIRST_HOST
from interlock.store.database import Row, Transaction

QUEUE = "run"
WORKFLOW = "segment"
APPLICATION = "interlock"
PROTOCOL_VERSION = "wf-1"  # never changes with a release, so an upgrade strands nothing


@dataclass(frozen=True)
class Segment:
    """One unit of dispatch: segment `segment_no` of a task."""

    task_id: str
    segment_no: int
    priority: int
    delay_s: float = 0.0
    timeout_s: float | None = None
    host: str | None = None

    @property
    def workflow_id(self) -> str:
        """The id under which it is dispatched; the same one twice is one run."""
        return f"{self.task_id}:{self.segment_no}"


def queue_of(host: str | None) -> str:
    """The queue that the workers of a machine, or all of them, take segments from."""
    return QUEUE if host in (None, FIRST_HOST) else f"{QUEUE}@{host}"


async def enqueue(tx: Transaction, segment: Segment) -> None:
    """Put a segment into the queue; it is there only if the transaction commits."""
    delay_until = None
    if segment.delay_s > 0:
        delay_until = int((tx.clock.now().timestamp() + segment.delay_s) * 1000)
    await tx.run(
        "select dbos.enqueue_workflow(%(workflow)s, %(queue)s, array[to_json(%(task)s::text), to_json(%(no)s::int)]::json[],"
        " workflow_id => %(id)s, app_version => %(version)s, priority => %(priority)s, timeout_ms => %(timeout)s,"
        " delay_until_epoch_ms => %(delay)s, application_name => %(application)s)",
        {
            "workflow": WORKFLOW,
            "queue": queue_of(segment.host),
            "task": segment.task_id,
            "no": segment.segment_no,
            "id": segment.workflow_id,
            "version": PROTOCOL_VERSION,
            "priority": segment.priority,
            "timeout": None if segment.timeout_s is None else int(segment.timeout_s * 1000),
            "delay": delay_until,
            "application": APPLICATION,
        },
    )


async def held_by(tx: Transaction) -> list[str]:
    """Ids of executors that have segments in hand."""
    rows = await tx.rows(
        "select distinct executor_id from dbos.workflow_status where status = 'PENDING' and name = %s"
        " and executor_id is not null",
        [WORKFLOW],
    )
    return [row["executor_id"] for row in rows]


async def segments_of(tx: Transaction, executor_id: str, limit: int = 500) -> list[tuple[str, int]]:
    """Segments that an executor has in hand; shape `(task_id, segment_no)`."""
    rows = await tx.rows(
        "select workflow_uuid from dbos.workflow_status where status = 'PENDING' and name = %s and executor_id = %s"
        " order by created_at limit %s",
        [WORKFLOW, executor_id, limit],
    )
    return [split_id(row["workflow_uuid"]) for row in rows]


async def close_stale(tx: Transaction, task_id: str, segment_no: int) -> None:
    """Close a segment that nobody works on any more, so that it is not dispatched again."""
    await tx.run(
        "update dbos.workflow_status set status = 'CANCELLED', queue_name = null, owner_xid = null, updated_at = %s"
        " where workflow_uuid = %s and status in ('PENDING', 'ENQUEUED', 'DELAYED')",
        [int(tx.clock.now().timestamp() * 1000), f"{task_id}:{segment_no}"],
    )


async def orphans(tx: Transaction, older_than_s: float, limit: int = 100) -> list[Row]:
    """Tasks that wait for a segment which the dispatcher has closed or does not know; shape `{id, segment_no, status}`."""
    return await tx.rows(
        "select t.id, t.segment_no, w.status from task t"
        " left join dbos.workflow_status w on w.workflow_uuid = t.id::text || ':' || t.segment_no::text"
        " where t.state in ('queued', 'delayed', 'waiting_retry', 'running', 'verifying') and t.kind <> 'outside'"
        " and t.parked is null"
        " and t.changed_at < %s::timestamptz - make_interval(secs => %s)"
        " and (w.status is null or w.status not in ('PENDING', 'ENQUEUED', 'DELAYED')) limit %s",
        [tx.clock.now(), older_than_s, limit],
    )


async def purge(tx: Transaction, older_than_s: float, limit: int = 1000) -> int:
    """Forget segments that ended long ago; our own rows keep the story."""
    before = int((tx.clock.now().timestamp() - older_than_s) * 1000)
    return await tx.run(
        "delete from dbos.workflow_status where workflow_uuid in (select workflow_uuid from dbos.workflow_status"
        " where name = %s and status in ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')"
        " and updated_at < %s limit %s)",
        [WORKFLOW, before, limit],
    )


def split_id(workflow_id: str) -> tuple[str, int]:
    """Task id and segment number of a workflow id."""
    task_id, _, number = workflow_id.rpartition(":")
    return task_id, int(number)
