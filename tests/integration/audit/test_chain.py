"""The record: only ever added to, chained, and every kind of tampering is seen."""

import asyncio
import json
from collections.abc import Callable

import psycopg
import pytest

from interlock import audit
from interlock.model import AuditEntry, UserError
from interlock.store import Database
from interlock.testing.postgres import TestPostgres, open_database


async def fill(database: Database, records: int) -> None:
    for number in range(records):
        async with database.transaction() as tx:
            await audit.record(tx, AuditEntry("test.event", "person:ann", {"n": number}, {"x": "é" * number}))
    while await audit.sequence(database):
        pass


async def export(database: Database) -> list[str]:
    return [json.dumps(line) async for line in audit.export(database)]


async def test_a_chain_verifies_and_its_head_can_be_noted(interlock_database: Database) -> None:
    await fill(interlock_database, 5)
    verdict = await audit.verify(interlock_database)
    assert (verdict.ok, verdict.records, verdict.waiting, verdict.problems) == (True, 5, 0, ())
    noted = (verdict.records, verdict.head)
    await fill(interlock_database, 3)
    assert (await audit.verify(interlock_database, noted)).ok
    assert audit.verify_export(await export(interlock_database), noted).ok


async def test_records_that_wait_for_their_place_are_counted(interlock_database: Database) -> None:
    async with interlock_database.transaction() as tx:
        await audit.record(tx, AuditEntry("test.event", "person:ann", {}))
    verdict = await audit.verify(interlock_database)
    assert (verdict.ok, verdict.records, verdict.waiting) == (True, 0, 1)


async def test_what_is_rolled_back_was_never_recorded(interlock_database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with interlock_database.transaction() as tx:
            await audit.record(tx, AuditEntry("test.event", "person:ann", {}))
            raise RuntimeError("the fact did not happen")
    assert await audit.sequence(interlock_database) == 0


async def test_sequencers_side_by_side_leave_no_gap_and_no_double(interlock_database: Database) -> None:
    async def write() -> None:
        for _ in range(20):
            async with interlock_database.transaction() as tx:
                await audit.record(tx, AuditEntry("test.event", "person:ann", {}))
            await audit.sequence(interlock_database)

    await asyncio.gather(write(), write(), write())
    while await audit.sequence(interlock_database):
        pass
    verdict = await audit.verify(interlock_database)
    assert (verdict.ok, verdict.records, verdict.waiting) == (True, 60, 0)


TAMPERINGS: dict[str, Callable[[list[dict[str, object]]], object]] = {
    "altered": lambda rows: rows[3].update(body=str(rows[3]["body"]).replace("ann", "bob")),
    "deleted": lambda rows: rows.pop(3),
    "emptied": lambda rows: rows[3].update(body=None),
    "reordered": lambda rows: rows.insert(2, rows.pop(3)),
    "doubled": lambda rows: rows.insert(3, dict(rows[3])),
    "first one cut": lambda rows: rows.pop(0),
    "tail cut": lambda rows: rows.pop(),
    "other event in the column": lambda rows: rows[3].update(event="task.submitted"),
    "altered, with a leaf to fit": lambda rows: rows[3].update(
        body=str(rows[3]["body"]).replace("ann", "bob"), leaf="00" * 32
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_every_tampering_is_seen(interlock_database: Database, name: str) -> None:
    await fill(interlock_database, 8)
    head = await audit.verify(interlock_database)
    rows = [json.loads(line) for line in await export(interlock_database)]
    TAMPERINGS[name](rows)
    verdict = audit.verify_export([json.dumps(row) for row in rows], (head.records, head.head))
    assert not verdict.ok
    assert verdict.problems


async def test_a_file_that_is_no_export_is_refused_with_its_line() -> None:
    with pytest.raises(UserError, match="line 2"):
        audit.verify_export(["", "{}"])


@pytest.mark.parametrize(
    "statement",
    [
        "update interlock.audit_record set event = 'x'",
        "delete from interlock.audit_record",
        "truncate interlock.audit_record cascade",
        "update interlock.audit_link set seq = seq + 1",
        "delete from interlock.audit_link",
        "alter table interlock.audit_record add column x int",
        "drop table interlock.audit_link",
        (
            "create trigger t before update on interlock.audit_record for each row"
            " execute function pg_catalog.suppress_redundant_updates_trigger()"
        ),
        "update interlock.schema_migration set sha256 = 'x'",
        "create table interlock.mine (id int)",
        "copy (select 1) to program 'true'",
        "select lo_import('/etc/passwd')",
        "set role interlock_owner",
        "set session_replication_role = replica",
    ],
)
async def test_the_applications_role_can_not_alter_the_record(interlock_postgres: TestPostgres, statement: str) -> None:
    conninfo, _ = interlock_postgres.fresh()
    async with open_database(conninfo) as database:
        await fill(database, 2)
    with psycopg.connect(conninfo, autocommit=True) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


async def test_a_record_taken_from_the_waiting_list_is_missed(interlock_postgres: TestPostgres) -> None:
    conninfo, _ = interlock_postgres.fresh()
    async with open_database(conninfo) as database:
        async with database.transaction() as tx:
            await audit.record(tx, AuditEntry("test.event", "person:ann", {}))
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("delete from interlock.audit_waiting")
        verdict = await audit.verify(database)
    assert not verdict.ok
    assert "kept out of the chain" in verdict.problems[0]
