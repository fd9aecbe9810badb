"""Writing the record, and giving records their place in the chain.

A record is written in the transaction of the fact it tells: if it can't be written, the fact does not happen. The
sequencer links records in batches under one advisory lock, so recording never waits for the chain. Until it has,
a record is *waiting*: at most `SEQUENCE_EVERY_S` in a healthy system, and `verify` counts such records.
"""

import asyncio
import datetime
from contextlib import suppress

from interlock.config import new_id
from interlock.model import GENESIS, AuditEntry, Unavailable, leaf_hash, link_hash, record_body
from interlock.store import AuditRow, Database, Row, Transaction, audit_rows

TENANT = "default"
BATCH = 500
SEQUENCE_EVERY_S = 0.5


def compose(entry: AuditEntry, at: datetime.datetime) -> AuditRow:
    """A record that is to be written with the fact it tells, by a statement that does both."""
    record_id = new_id()
    return AuditRow(record_id, TENANT, entry.event, record_body(entry, record_id, at, TENANT))


async def record(tx: Transaction, entry: AuditEntry) -> str:
    """Write one record into the open transaction; its id."""
    at = tx.clock.now()
    made = compose(entry, at)
    row: Row = {
        "id": made.id,
        "tenant": made.tenant,
        "at": at,
        "event": made.event,
        "task_id": entry.subject.get("task"),
        "body": made.body,
    }
    await audit_rows.add(tx, row)
    return made.id


async def sequence(database: Database) -> int:
    """Link the records that wait; how many were linked. Does nothing while another sequencer is at work."""
    async with database.transaction() as tx:
        if not await audit_rows.claim_sequencer(tx):
            return 0
        waiting = await audit_rows.waiting(tx, TENANT, BATCH)
        if not waiting:
            return 0
        head = await audit_rows.head(tx, TENANT)
        seq, link = (head["seq"], bytes(head["link"])) if head else (0, GENESIS)
        links: list[Row] = []
        for row in waiting:
            seq += 1
            leaf = leaf_hash(bytes(row["body"]))
            link = link_hash(seq, link, leaf)
            links.append(
                {"tenant": TENANT, "seq": seq, "record_id": row["id"], "leaf": leaf, "link": link, "at": tx.clock.now()}
            )
        await audit_rows.add_links(tx, links)
        return len(links)


async def keep_sequencing(database: Database) -> None:
    """Link records for as long as it runs; a database that is away for a while is waited for."""
    while True:
        linked = 0
        with suppress(Unavailable):
            linked = await sequence(database)
        if linked < BATCH:
            await asyncio.sleep(SEQUENCE_EVERY_S)
