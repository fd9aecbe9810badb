"""Connection strings: read into parts, and what a failed connection means, without ever repeating a secret."""

import re

from interlock.model import DatabaseUnavailable, DatabaseUnfit, UserError

WHERE = "INTERLOCK_DATABASE_URL, or database.url and database.owner_url in interlock.yaml"
_PORTS = re.compile(r"[0-9]*(,[0-9]*)*")
# What waiting can't cure, and what can; the server's and the driver's own words.
_REFUSED = (
    (
        re.compile(r"authentication failed|no password supplied|no pg_hba\.conf entry|not permitted to log in"),
        f"check user and password in {WHERE}; in a URL, special characters are written percent-encoded",
    ),
    (
        re.compile(r'database ".*" does not exist|permission denied for database'),
        f"check the name of the database in {WHERE}; or: create database NAME owner ROLE",
    ),
    (
        re.compile(r"SSL|sslmode|certificate|invalid .*option|invalid .*value"),
        f"check the options, such as sslmode, in {WHERE}",
    ),
)
_FULL = re.compile(r"too many (clients|connections)|remaining connection slots")


def parse_dsn(dsn: str) -> dict[str, str]:
    """A libpq connection string or URL as its parts.

    Raises:
        UserError: it can't be read. What it said is not repeated: it may hold a password, even in a wrong place.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.Error:
        raise _unreadable("") from None
    astray = "@" in parts.get("host", "") or ("://" in dsn and "@" in parts.get("dbname", ""))
    if astray or not _PORTS.fullmatch(parts.get("port", "")):
        raise _unreadable("; an @, : or / of the password must be written as %40, %3A or %2F")
    return parts


def _unreadable(more: str) -> UserError:
    return UserError(
        "the database URL can't be read: expected one such as postgresql://user:password@host:5432/name" + more,
        hint=f"check {WHERE}",
    )


def plain_error(error: BaseException) -> str:
    """The driver's first line; libpq puts no password in it."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def connection_error(error: BaseException, conninfo: str) -> DatabaseUnavailable | DatabaseUnfit:
    """What it means that a connection could not be made, with what to do about it."""
    said = plain_error(error).removeprefix("connection failed: ").removeprefix("connection is bad: ")
    for pattern, hint in _REFUSED:
        if pattern.search(said):
            return DatabaseUnfit(f"Postgres can't be used: {said}", hint=hint)
    if _FULL.search(said):
        return DatabaseUnavailable(
            f"Postgres takes no more connections: {said}",
            hint="raise its max_connections; docs/postgres.md says how many interlock needs",
        )
    embedded = parse_dsn(conninfo).get("host", "").startswith("/")
    hint = "interlock doctor" if embedded else f"start that Postgres, or correct {WHERE}"
    return DatabaseUnavailable(f"Postgres does not answer: {said}", hint=hint)
