"""Rows of the audit: records are only added, and get their place in the chain in batches."""

from interlock.store.database import Row, Transaction

_SEQUENCER_LOCK = 7440_0002


async def add(tx: Transaction, record: Row) -> None:
    """Add a record; shape `{id, tenant, at, event, task_id, body}`."""
    await tx.run(
        "with recorded as (insert into audit_record (id, tenant, at, event, task_id, body)"
        " values (%(id)s, %(tenant)s, %(at)s, %(event)s, %(task_id)s, %(body)s))"
        " insert into audit_waiting (record_id, tenant) values (%(id)s, %(tenant)s)",
        record,
    )


async def claim_sequencer(tx: Transaction) -> bool:
    """Become the one sequencer until the transaction ends; False when another one is at work."""
    row = await tx.row("select pg_try_advisory_xact_lock(%s) as mine", [_SEQUENCER_LOCK])
    return bool(row and row["mine"])


async def waiting(tx: Transaction, tenant: str, limit: int) -> list[Row]:
    """Records without a place; shape `{id, body}`, in the order they were made."""
    return await tx.rows(
        "select r.id, r.body from audit_waiting w join audit_record r on r.id = w.record_id where w.tenant = %s"
        " order by r.at, r.id limit %s",
        [tenant, limit],
    )


async def head(tx: Transaction, tenant: str) -> Row | None:
    """The last link; shape `{seq, link, at}`."""
    return await tx.row("select seq, link, at from audit_link where tenant = %s order by seq desc limit 1", [tenant])


async def add_links(tx: Transaction, links: list[Row]) -> None:
    """Add links; shape of each `{tenant, seq, record_id, leaf, link, at}`."""
    await tx.many(
        "insert into audit_link (tenant, seq, record_id, leaf, link, at)"
        " values (%(tenant)s, %(seq)s, %(record_id)s, %(leaf)s, %(link)s, %(at)s)",
        links,
    )
    await tx.run("delete from audit_waiting where record_id = any(%s)", [[link["record_id"] for link in links]])


async def chain(tx: Transaction, tenant: str, after: int, limit: int) -> list[Row]:
    """Links with their records; shape `{seq, record_id, leaf, link, body, event, record_tenant, task_id}`."""
    return await tx.rows(
        "select l.seq, l.record_id, l.leaf, l.link, r.body, r.event, r.tenant as record_tenant, r.task_id"
        " from audit_link l left join audit_record r on r.id = l.record_id"
        " where l.tenant = %s and l.seq > %s order by l.seq limit %s",
        [tenant, after, limit],
    )


async def unlinked(tx: Transaction, tenant: str) -> list[Row]:
    """Records with no link; shape `{id, at, waiting}`: one that does not wait was kept out of the chain."""
    return await tx.rows(
        "select r.id, r.at, w.record_id is not null as waiting from audit_record r"
        " left join audit_link l on l.record_id = r.id left join audit_waiting w on w.record_id = r.id"
        " where r.tenant = %s and l.record_id is null order by r.at limit 1000",
        [tenant],
    )


async def listing(tx: Transaction, task_id: str | None, limit: int) -> list[Row]:
    """Records with their number, newest first; shape `{seq, body}`."""
    return await tx.rows(
        "select l.seq, r.body from audit_record r left join audit_link l on l.record_id = r.id"
        " where %(task)s::uuid is null or r.task_id = %(task)s::uuid order by r.at desc, r.id desc limit %(limit)s",
        {"task": task_id, "limit": limit},
    )


async def of_task(tx: Transaction, task_id: str, events: list[str], limit: int) -> list[Row]:
    """Records of a task that tell one of these events, oldest first; shape `{at, body}`."""
    return await tx.rows(
        "select at, body from audit_record where task_id = %s and event = any(%s) order by at, id limit %s",
        [task_id, events, limit],
    )
