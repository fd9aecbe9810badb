"""From whatever is there to a server that answers and has its roles and its database.

Call it with the start lock held. Every step can be repeated after a crash.
"""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

from interlock.config import fault_point
from interlock.model import DatabaseUnavailable, DatabaseUnfit
from interlock.store.binaries import PostgresBinaries
from interlock.store.database import APP_ROLE
from interlock.store.dsn import plain_error
from interlock.store.embedded_server import BOOTSTRAP_ROLE, OWNER_ROLE, PORT, Server

if TYPE_CHECKING:
    import psycopg

DATABASE = "interlock"
READY_S = 300.0
LEFTOVERS_S = 30.0
SHARED_MEMORY_S = 10.0
LAUNCHES = 3
SOCKET_GONE_S = 5.0
_RELAUNCH_PAUSE_S = 0.5
_SAY_AFTER_S = 2.0
_CONNECT_TIMEOUT_S = 5
_SHARED_MEMORY = "shared memory block"
# A line of the server itself; those of its sessions name user and database before the severity.
_LAST_WORDS = re.compile(r"\] (FATAL|PANIC):")
_FINAL = re.compile(
    r'authentication failed|no pg_hba\.conf entry|(role|database) "\w+" does not exist|Permission denied'
)
_RIGHTS = "login nosuperuser nobypassrls nocreatedb nocreaterole noreplication"


class Arrival:
    """One wait for the server."""

    def __init__(
        self, server: Server, binaries: PostgresBinaries, report: Callable[[str], None], pause: Callable[[], None]
    ) -> None:
        """Nothing happens yet.

        Args:
            server: The server to wait for.
            binaries: Programs that its user may run.
            report: Gets a sentence when the wait is longer than two seconds, and when its reason changes.
            pause: Called between two looks; sleeps a little, and may raise to give up.
        """
        self._server = server
        self._binaries = binaries
        self._report = report
        self._pause = pause
        self._began = time.monotonic()
        self._launched_at: float | None = None
        self._launches = 0
        self._since: dict[str, float] = {}
        self._said = ""

    def wait(self) -> Path:
        """Start the server if none lives, and wait until it answers; the folder of its socket.

        Raises:
            DatabaseUnavailable: It does not start or not answer in time, or runs in another container.
            DatabaseUnfit: It refuses us.
        """
        while time.monotonic() < self._began + READY_S:
            lock = self._server.take_lock()
            if lock is not None:
                self._launch(lock)
            found = self._look()
            if found is not None:
                return found
            self._pause()
        raise DatabaseUnavailable(f"Postgres does not answer after {READY_S:.0f} s; {self._server.log_tail()}")

    def _launch(self, lock: int) -> None:
        try:
            if self._launched_at is None:
                self._launched_at = time.monotonic()
            else:
                self._after_early_end(self._launched_at)
            self._launches += 1
            self._server.start(self._binaries, lock)
        finally:
            # Closed, not unlocked: the server has inherited the lock.
            os.close(lock)

    def _after_early_end(self, launched_at: float) -> None:
        """The server that we started has ended; raise unless another try can help."""
        said = self._server.log_since_start()
        leftovers = _SHARED_MEMORY in said and time.monotonic() < launched_at + SHARED_MEMORY_S
        # Without a word of its own it was killed from outside, by an out-of-memory killer for one.
        killed = not _LAST_WORDS.search(said) and self._launches < LAUNCHES
        if not (leftovers or killed):
            raise DatabaseUnavailable(f"Postgres ended while it was starting; {self._server.log_tail()}")
        self._say(
            "processes of a killed server still hold its memory" if leftovers else "it was killed; starting it again"
        )
        time.sleep(_RELAUNCH_PAUSE_S)

    def _look(self) -> Path | None:
        """The socket's folder if the server answers; None if it is worth to look again."""
        import psycopg

        running = self._server.postmaster()
        if running is None:
            self._nobody_there()
            return None
        self._since.pop("nobody", None)
        if running.socket_dir is None:
            return None
        try:
            furnish(running.socket_dir)
        except psycopg.OperationalError as error:
            self._judge(error, running.socket_dir)
            return None
        except psycopg.Error as error:
            raise DatabaseUnfit(
                f"the embedded Postgres can't be prepared: {plain_error(error)}; {self._server.log_tail()}"
            ) from error
        return running.socket_dir

    def _nobody_there(self) -> None:
        """The lock is held, but there is no server process in sight: it starts, it ended, or is elsewhere."""
        foreign = self._server.foreign_holder()
        if foreign is not None:
            raise DatabaseUnavailable(
                f"a Postgres on another machine or in another container ({foreign}) uses {self._server.places.data_root}",
                hint="stop it there; several machines or containers share an external Postgres (INTERLOCK_DATABASE_URL)",
            )
        if self._lasts("nobody", LEFTOVERS_S):
            raise DatabaseUnavailable(
                f"processes of a killed server still hold {self._server.places.server_lock}; {self._server.log_tail()}"
            )

    def _judge(self, error: "psycopg.OperationalError", socket_dir: Path) -> None:
        """Raise if waiting can't help."""
        if _FINAL.search(str(error)):
            raise DatabaseUnfit(
                f"the embedded Postgres refuses us: {plain_error(error)}; {self._server.log_tail()}"
            ) from error
        gone = not (socket_dir / f".s.PGSQL.{PORT}").exists()
        if gone and self._lasts("gone", SOCKET_GONE_S):
            raise DatabaseUnavailable(
                f"Postgres runs, but its socket in {socket_dir} was removed",
                hint="stop the other interlock processes, then run this again",
            ) from error
        if time.monotonic() > self._began + _SAY_AFTER_S:
            self._say(plain_error(error).rpartition("FATAL:")[2].strip())

    def _lasts(self, what: str, limit_s: float) -> bool:
        """Whether the condition `what`, noted now, is older than `limit_s`."""
        return time.monotonic() > self._since.setdefault(what, time.monotonic()) + limit_s

    def _say(self, why: str) -> None:
        if why != self._said:
            self._said = why
            self._report(f"waiting for Postgres: {why}")


def furnish(socket_dir: Path) -> None:
    """Make the roles, the database and the vector extension, so far as they are missing.

    Raises:
        psycopg.Error: The server does not answer yet, or refuses.
    """
    with _connect(socket_dir, "postgres") as connection:
        for role in (OWNER_ROLE, APP_ROLE):
            _ensure_role(connection, role)
        # The owner acts as the app's role where objects must belong to it.
        _execute(connection, "grant {} to {}", APP_ROLE, OWNER_ROLE)
        fault_point("postgres_roles_made")
        if not connection.execute("select from pg_database where datname = %s", [DATABASE]).rowcount:
            _execute(connection, "create database {} owner {}", DATABASE, OWNER_ROLE)
    with _connect(socket_dir, DATABASE) as connection:
        if connection.execute("select from pg_available_extensions where name = 'vector'").rowcount:
            connection.execute("create extension if not exists vector")


def _connect(socket_dir: Path, database: str) -> "psycopg.Connection[tuple[object, ...]]":
    import psycopg
    from psycopg.rows import tuple_row

    return psycopg.Connection[tuple[object, ...]].connect(
        host=str(socket_dir),
        port=PORT,
        user=BOOTSTRAP_ROLE,
        dbname=database,
        connect_timeout=_CONNECT_TIMEOUT_S,
        options="-c client_min_messages=warning -c statement_timeout=120s",
        autocommit=True,
        row_factory=tuple_row,
    )


def _ensure_role(connection: "psycopg.Connection[tuple[object, ...]]", role: str) -> None:
    found = connection.execute(
        "select rolcanlogin and not (rolsuper or rolbypassrls or rolcreatedb or rolcreaterole or rolreplication)"
        " from pg_roles where rolname = %s",
        [role],
    ).fetchone()
    if found is None:
        _execute(connection, f"create role {{}} {_RIGHTS}", role)
    elif not found[0]:
        _execute(connection, f"alter role {{}} {_RIGHTS}", role)


def _execute(connection: "psycopg.Connection[tuple[object, ...]]", statement: LiteralString, *names: str) -> None:
    from psycopg import sql

    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
