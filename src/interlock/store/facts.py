"""What a Postgres server is: version, role, clock, and whether it can search vectors."""

from interlock.store.database import Row, Transaction


async def database_facts(tx: Transaction) -> Row:
    """Facts about the server and the session; shape `{version, role, mighty, vector, now}`.

    `mighty` is whether the role is a superuser or passes row security; `vector` the version of pgvector that could be
    used, or None; `now` the server's clock at this moment.
    """
    row = await tx.row(
        "select current_setting('server_version') as version, current_user as role,"
        " (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as mighty,"
        " (select default_version from pg_available_extensions where name = 'vector') as vector,"
        " clock_timestamp() as now"
    )
    assert row is not None
    return row


async def database_bytes(tx: Transaction) -> int:
    """What this database takes on disk."""
    row = await tx.row("select pg_database_size(current_database()) as bytes")
    assert row is not None
    return int(row["bytes"])


async def transactions(tx: Transaction) -> int:
    """How many transactions this database has ended, as far as its sessions have said so: each does within a second."""
    row = await tx.row(
        "select xact_commit + xact_rollback as n from pg_stat_database where datname = current_database()"
    )
    assert row is not None
    return int(row["n"])
