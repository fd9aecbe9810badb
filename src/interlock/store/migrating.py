"""Numbered migrations under an advisory lock, with checksums; run by the owner's role only, forward only."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeAlias

from interlock.model import DatabaseUnavailable, DatabaseUnfit
from interlock.store.database import APP_ROLE, SCHEMA
from interlock.store.dsn import connection_error, plain_error
from interlock.store.login import OLDEST

if TYPE_CHECKING:
    import psycopg

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

LOCK_TIMEOUT_S = 60
TURN_S = 120.0
OWNER_HINT = "as the role that owns the database: INTERLOCK_DATABASE_URL=… interlock db migrate"
_LOCK = 7440_0001
_LOOK_EVERY_S = 0.1
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


@contextmanager
def _connected(conninfo: str) -> Iterator[Connection]:
    """A session, with the driver's errors as ours."""
    import psycopg

    try:
        with psycopg.connect(conninfo, connect_timeout=10, autocommit=True) as connection:
            connection.execute("select set_config('lock_timeout', %s, false)", [f"{LOCK_TIMEOUT_S}s"])
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseUnfit(
            f"this role may not bring the database up to date: {plain_error(error)}", hint=OWNER_HINT
        ) from error
    except psycopg.OperationalError as error:
        raise connection_error(error, conninfo) from error


def migrate(owner_conninfo: str) -> tuple[str, ...]:
    """Bring the schema up to date; the names of the migrations that were applied now.

    A database that is up to date needs no owner: workers elsewhere start with the application's login only.

    Raises:
        DatabaseUnavailable: Postgres does not answer.
        DatabaseUnfit: it is too old, the role may not create the schema, or an applied migration was changed.
    """
    with _connected(owner_conninfo) as connection:
        if connection.info.server_version < OLDEST:
            raise DatabaseUnfit("Postgres 15 or newer is needed", hint="upgrade Postgres, or leave database.url out")
        if not _missing(connection):
            return ()
        _take_turn(connection)
        _ensure_app_role(connection)
        connection.execute(f"create schema if not exists {SCHEMA}")
        connection.execute(_TABLE)
        return tuple(_apply(connection, *one) for one in _missing(connection))


def _take_turn(connection: Connection) -> None:
    """Be the only process that changes the schema, until the session ends.

    Asked again and again instead of waited for: whoever builds an index beside the running work waits for all
    statements of others to end, and that would be this one.
    """
    deadline = time.monotonic() + TURN_S
    while True:
        row = connection.execute("select pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
        if row is not None and row[0]:
            return
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(f"another process has been changing the schema for {TURN_S:.0f} s")
        time.sleep(_LOOK_EVERY_S)


def _missing(connection: Connection) -> list[tuple[int, str, str]]:
    """The migrations that are not applied yet, in order.

    Raises:
        DatabaseUnfit: an applied one was changed, or is not known here.
    """
    applied = _applied(connection)
    ours = migrations()
    for number, name, sql in ours:
        if number in applied and applied[number] != _checksum(sql):
            raise DatabaseUnfit(f"migration {name} was changed after it was applied to this database")
    if set(applied) - {number for number, _, _ in ours}:
        raise DatabaseUnfit("the database was migrated by a newer interlock", hint="upgrade interlock on this machine")
    return [one for one in ours if one[0] not in applied]


def _applied(connection: Connection) -> dict[int, str]:
    """Checksums by number; empty when there are none, or none that this role may see."""
    from psycopg.errors import InsufficientPrivilege, UndefinedTable

    try:
        rows = connection.execute("select number, sha256 from interlock.schema_migration").fetchall()
    except (UndefinedTable, InsufficientPrivilege):
        return {}
    return {int(str(number)): str(sha) for number, sha in rows}


def _apply(connection: Connection, number: int, name: str, sql: str) -> str:
    with connection.transaction():
        connection.execute(f"set local search_path = {SCHEMA}, public")
        connection.execute(sql.encode())
        connection.execute(
            "insert into interlock.schema_migration (number, name, sha256) values (%s, %s, %s)",
            [number, name, _checksum(sql)],
        )
    return name


def _checksum(sql: str) -> str:
    return hashlib.sha256(sql.encode()).hexdigest()


def _ensure_app_role(connection: Connection) -> None:
    """Make the application's role unless it is there, and let the owner act as it where the owner may say so."""
    from psycopg.errors import InsufficientPrivilege

    found = connection.execute(
        "select rolsuper or rolbypassrls, pg_has_role(current_user, oid, 'MEMBER') from pg_roles where rolname = %s",
        [APP_ROLE],
    ).fetchone()
    if found is None:
        try:
            connection.execute(f"create role {APP_ROLE} nologin nosuperuser nobypassrls nocreatedb nocreaterole")
        except InsufficientPrivilege as error:
            raise DatabaseUnfit(
                f"the role {APP_ROLE} is missing, and this role may not make it",
                hint=f"as a role that may create roles: create role {APP_ROLE} nologin; grant {APP_ROLE} to the login",
            ) from error
        connection.execute(f"grant {APP_ROLE} to current_user")
    elif found[0]:
        raise DatabaseUnfit(
            f"the role {APP_ROLE} is a superuser; it must be an ordinary one",
            hint=f"alter role {APP_ROLE} nosuperuser nobypassrls",
        )
    elif not found[1]:
        # An owner that only migrates can do without.
        with suppress(InsufficientPrivilege):
            connection.execute(f"grant {APP_ROLE} to current_user")


def prepared(conninfo: str, part: str) -> str | None:
    """Which version of a part (as the dispatcher's schema) this database was prepared for."""
    with _connected(conninfo) as connection:
        row = connection.execute("select version from interlock.prepared_part where name = %s", [part]).fetchone()
    return None if row is None else str(row[0])


@contextmanager
def preparing(owner_conninfo: str) -> Iterator[None]:
    """Be the only process that brings a part up to date.

    Raises:
        DatabaseUnfit: this role is not the schema's owner.
    """
    with _connected(owner_conninfo) as connection:
        owns = connection.execute(
            "select pg_has_role(current_user, nspowner, 'USAGE') from pg_namespace where nspname = %s", [SCHEMA]
        ).fetchone()
        if owns is None or not owns[0]:
            raise DatabaseUnfit(
                "only the owner of the schema may bring the dispatcher's part up to date", hint=OWNER_HINT
            )
        _take_turn(connection)
        yield


def mark_prepared(owner_conninfo: str, part: str, version: str) -> None:
    """Note the version of a part."""
    with _connected(owner_conninfo) as connection:
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
