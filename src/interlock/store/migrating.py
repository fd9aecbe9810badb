"""Numbered migrations under an advisory lock, with checksums; run by the owner's role only, forward only."""

import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from interlock.model import DatabaseUnavailable, DatabaseUnfit
from interlock.store.database import APP_ROLE, SCHEMA, plain_error

if TYPE_CHECKING:
    import psycopg

_LOCK = 7440_0001
_TABLE = """
create table if not exists interlock.schema_migration (
  number     integer primary key,
  name       text not null,
  sha256     text not null,
  applied_at timestamptz not null default now()
)"""


def migrations() -> tuple[tuple[int, str, str], ...]:
    """All migrations in order; shape `(number, name, sql)`."""
    folder = resources.files("interlock.store").joinpath("migrations")
    found = [
        (int(entry.name[:4]), entry.name, entry.read_text())
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return tuple(sorted(found))


def migrate(owner_conninfo: str) -> tuple[str, ...]:
    """Bring the schema up to date; the names of the migrations that were applied now.

    Raises:
        DatabaseUnavailable: Postgres does not answer.
        DatabaseUnfit: it is too old, the role may not create the schema, or an applied migration was changed.
    """
    import psycopg

    try:
        with psycopg.connect(owner_conninfo, connect_timeout=10, autocommit=True) as connection:
            return _migrate(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseUnfit(
            f"the owner's role may not do this: {plain_error(error)}",
            hint="let database.owner_url name a role that owns the database and may create roles",
        ) from error
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"Postgres does not answer: {plain_error(error)}") from error


def _migrate(connection: "psycopg.Connection[tuple[object, ...]]") -> tuple[str, ...]:
    if connection.info.server_version < 150_000:
        raise DatabaseUnfit("Postgres 15 or newer is needed", hint="upgrade Postgres, or leave database.url out")
    connection.execute("select pg_advisory_lock(%s)", [_LOCK])
    _ensure_app_role(connection)
    connection.execute(f"create schema if not exists {SCHEMA}")
    connection.execute(_TABLE)
    applied = {int(str(number)): str(sha) for number, sha in _applied(connection)}
    done: list[str] = []
    for number, name, sql in migrations():
        checksum = hashlib.sha256(sql.encode()).hexdigest()
        if number in applied:
            if applied[number] != checksum:
                raise DatabaseUnfit(f"migration {name} was changed after it was applied to this database")
            continue
        with connection.transaction():
            connection.execute(f"set local search_path = {SCHEMA}, public")
            connection.execute(sql.encode())
            connection.execute(
                "insert into interlock.schema_migration (number, name, sha256) values (%s, %s, %s)",
                [number, name, checksum],
            )
        done.append(name)
    if set(applied) - {number for number, _, _ in migrations()}:
        raise DatabaseUnfit("the database was migrated by a newer interlock", hint="upgrade interlock on this machine")
    return tuple(done)


def _applied(connection: "psycopg.Connection[tuple[object, ...]]") -> list[tuple[object, ...]]:
    return connection.execute("select number, sha256 from interlock.schema_migration").fetchall()


def _ensure_app_role(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Make the application's role, and let the owner act as it."""
    found = connection.execute(
        "select rolsuper or rolbypassrls from pg_roles where rolname = %s", [APP_ROLE]
    ).fetchone()
    if found is None:
        connection.execute(f"create role {APP_ROLE} nologin nosuperuser nobypassrls nocreatedb nocreaterole")
        connection.execute(f"grant {APP_ROLE} to current_user")
    elif found[0]:
        raise DatabaseUnfit(f"the role {APP_ROLE} is a superuser; it must be an ordinary one")


def prepared(owner_conninfo: str, part: str) -> str | None:
    """Which version of a part (as the dispatcher's schema) this database was prepared for."""
    import psycopg

    with psycopg.connect(owner_conninfo, connect_timeout=10) as connection:
        row = connection.execute("select version from interlock.prepared_part where name = %s", [part]).fetchone()
    return None if row is None else str(row[0])


def mark_prepared(owner_conninfo: str, part: str, version: str) -> None:
    """Note the version of a part."""
    import psycopg

    with psycopg.connect(owner_conninfo, connect_timeout=10) as connection:
        connection.execute(
            "insert into interlock.prepared_part (name, version) values (%s, %s)"
            " on conflict (name) do update set version = excluded.version",
            [part, version],
        )


def copy_database(superuser_conninfo: str, name: str) -> None:
    """Make a database that is a copy of `interlock`; nobody may be connected to that one. For tests."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(superuser_conninfo, connect_timeout=10, autocommit=True) as connection:
        statement = sql.SQL("create database {} template interlock owner interlock_owner")
        connection.execute(statement.format(sql.Identifier(name)))
