"""Machines: when a worker of one was last heard of, and the tasks that wait for one that is lost."""

from interlock.store.database import Row, Transaction


async def seen(tx: Transaction, name: str) -> None:
    """A worker of this machine lives, and takes tasks."""
    await tx.run(
        "insert into worker_host (name, seen_at) values (%s, now()) on conflict (name) do update"
        " set seen_at = excluded.seen_at",
        [name],
    )


async def stranded(tx: Transaction, after_s: float, limit: int = 100) -> list[Row]:
    """Tasks that can only run on a machine of which no worker was heard for a while; shape `{id, host, silent_s}`.

    The while begins anew with each change of a task, so that a person who lets it go on has time to bring the machine
    back; `silent_s` is None for a machine that never had a worker.
    """
    return await tx.rows(
        "select t.id, t.host, extract(epoch from now() - h.seen_at)::float8 as silent_s from task t"
        " left join worker_host h on h.name = t.host"
        " where t.host is not null and t.host <> 'first' and t.parked is null and t.kind <> 'outside'"
        " and t.state in ('queued', 'delayed', 'waiting_retry')"
        " and greatest(h.seen_at, t.changed_at, t.not_before) < now() - make_interval(secs => %s)"
        " order by t.changed_at limit %s",
        [after_s, limit],
    )
