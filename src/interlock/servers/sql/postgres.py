"""A Postgres connection for one call: one statement at a time in the extended protocol, rows as they come."""

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import generators, pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.json import Json
from psycopg.types.string import TextLoader

from interlock.model import Unavailable, UserError
from interlock.servers.sql import postgres_catalog as catalog
from interlock.servers.sql.limits import BATCH_BYTES, BATCH_ROWS, CONNECT_S, COUNTED_ROWS, HASHED_ROWS, LOCK_WAIT_S
from interlock.servers.sql.results import Page
from interlock.servers.sql.session import Changed, CommitUnknown, FunctionFacts, Keep, Ran, TableFacts, with_name

KEPT = {"bool", "int2", "int4", "int8", "oid", "float4", "float8", "json", "jsonb", "bytea"}
READER = "pg_read_all_data"
MANNERS = (
    "set local standard_conforming_strings = on; set local backslash_quote = safe_encoding;"
    "set local idle_in_transaction_session_timeout = '11min'"
)
SETTINGS: dict[str, Any] = {
    "connect_timeout": CONNECT_S,
    "application_name": "interlock-sql",
    "client_encoding": "utf8",
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
CHUNK_ROWS = 50
CURSOR = "interlock_rows"
LOCK_SPACE = 7_105_117  # of our advisory locks


def check_conninfo(conninfo: str) -> None:
    """Check a URL without ever repeating it.

    Raises:
        UserError: it can't be read.
    """
    try:
        psycopg.conninfo.conninfo_to_dict(conninfo)
    except psycopg.Error as error:
        raise UserError("The Postgres URL can't be read; expected postgresql://USER@HOST/DATABASE.") from error


def hidden(conninfo: str) -> tuple[str, ...]:
    """What no message may show of a connection: the URL and its secrets."""
    try:
        parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    except psycopg.Error:
        return (conninfo,)
    return (conninfo, *(str(parts[name]) for name in ("password", "sslpassword") if parts.get(name)))


class PostgresSession:
    """One connection; see `Session`."""

    dialect = "postgres"

    def __init__(self, conninfo: str) -> None:
        """Connect.

        Raises:
            Unavailable: the database does not answer, or does not let us in.
        """
        try:
            self._conn = psycopg.connect(conninfo, autocommit=True, **SETTINGS)
        except psycopg.Error as error:
            raise Unavailable(f"The database can't be reached: {_reason(error, hidden(conninfo))}.") from error
        for info in self._conn.adapters.types:
            if info.name not in KEPT:
                self._conn.adapters.register_loader(info.oid, TextLoader)
        self._hidden = hidden(conninfo)
        self._before: dict[str, int] = {}
        self._own_table: str | None = None
        self.usable = True
        self._strong = bool(self._one(catalog.STRONG))

    @property
    def warning(self) -> str | None:
        """Said when the role is a superuser, or one that reaches files and programs."""
        if not self._strong:
            return None
        return (
            "the database role can reach files and programs of its machine; use one that has only the rights it needs"
        )

    def begin(self, timeout_s: float, *, write: bool, steady: bool = False, key: str | None = None) -> None:
        """Start a transaction."""
        self._own_table = None
        if key is not None:  # before the transaction, so that it sees what the last holder of the key did
            self.run(f"set lock_timeout = {int(LOCK_WAIT_S * 1000)}", ())
            self.run("select pg_advisory_lock($1::int4, hashtext($2))", (LOCK_SPACE, key))
        level = "repeatable read" if steady else "read committed"
        self._own(
            f"begin isolation level {level} {'read write' if write else 'read only'};"
            f"set local statement_timeout = {max(1, int(timeout_s * 1000))};"
            f"set local lock_timeout = {int(LOCK_WAIT_S * 1000)};{MANNERS}"
        )
        if write:
            self._before = self._counts()

    def read(self, text: str, params: Sequence[Any], page: Page, skip: int) -> int | None:
        """Fill a page through a cursor of the database, which takes nothing but a query."""
        self._lower()
        self.run(f"declare {CURSOR} no scroll cursor for\n{text}\n", params)
        skipped = self.run(f"move forward {skip} from {CURSOR}", ()).rows if skip else 0
        batch, read = 1, 0
        while not page.full:
            ran = self.run(f"fetch forward {batch} from {CURSOR}", (), lambda _, row: _taken(page, row))
            page.columns = page.columns or list(ran.columns)
            read += ran.rows
            if ran.rows < batch:
                return skipped + read
            average = max(1, page.size // max(1, len(page.rows)))
            batch = max(1, min(BATCH_ROWS, BATCH_BYTES // average, page.max_rows + 1 - len(page.rows)))
        more = self.run(f"move forward {COUNTED_ROWS} from {CURSOR}", ()).rows
        return skipped + read + more if more < COUNTED_ROWS else None

    def _lower(self) -> None:
        """Without the rights of a superuser a query can't reach files or programs, however it is written."""
        if self._strong:
            with suppress(UserError), self.trial():
                self.run(f"set local role {READER}", ())
            self.run("set local row_security = off", ())  # say so instead of leaving rows out

    def run(self, text: str, params: Sequence[Any] | Mapping[str, Any], keep: Keep | None = None) -> Ran:
        """Do exactly one statement; the protocol refuses a second one.

        Raises:
            UserError: the database refuses it, and why.
            Unavailable: the connection is lost, and with it the transaction.
        """
        try:
            return self._run(text, [*params], keep)
        except psycopg.Error as error:
            if self._broken:
                self.usable = False
                said = _reason(error, self._hidden)
                raise Unavailable(f"The connection to the database was lost: {said}. Nothing was kept.") from error
            raise UserError(f"{_reason(error, self._hidden)}.") from error
        except (ValueError, RecursionError) as error:  # a value that can't be sent, or not be taken in
            if self._conn.info.transaction_status == pq.TransactionStatus.ACTIVE:
                self.close()
            raise UserError("A value can't be read here: it is nested too deeply, or no valid text.") from error

    def _own(self, text: str) -> None:
        """Statements of our own, several at once."""
        try:
            self._conn.execute(text.encode())
        except psycopg.Error as error:
            self.usable = not self._broken
            raise Unavailable(f"The database can't be used: {_reason(error, self._hidden)}.") from error

    def _run(self, text: str, params: list[Any], keep: Keep | None) -> Ran:
        conn = self._conn.pgconn
        tx = Transformer(self._conn)
        values = tx.dump_sequence([_parameter(value) for value in params], [PyFormat.AUTO] * len(params))
        conn.send_query_params(text.encode(), values, param_types=tx.types, param_formats=tx.formats)
        if psycopg.capabilities.has_stream_chunked():
            conn.set_chunked_rows_mode(CHUNK_ROWS)
        else:
            conn.set_single_row_mode()
        self._conn.wait(generators.send(conn))
        word, rows, described, failure = "", 0, (), None
        while (result := self._conn.wait(generators.fetch(conn))) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                failure = failure or psycopg.errors.error_from_result(result)
            elif result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH):
                self.abort()
                raise UserError("COPY is not taken here.")
            elif failure is None:
                word, rows, described = self._taken_in(tx, result, keep, (word, rows, described))
        if failure is not None:
            raise failure
        return Ran(word, rows, described)

    def _taken_in(
        self, tx: Any, result: Any, keep: Keep | None, so_far: tuple[str, int, tuple[Any, ...]]
    ) -> tuple[str, int, tuple[Any, ...]]:
        word, rows, described = so_far
        if result.nfields and not described:
            described = tuple(self._column(result, number) for number in range(result.nfields))
        if result.ntuples and keep is not None:
            tx.set_pgresult(result)
            names = [str(column["name"]) for column in described]
            for row in tx.load_rows(0, result.ntuples, tuple):
                keep(names, row)
        tag = (result.command_status or b"").decode()
        if tag:
            word = tag.rstrip("0123456789 ").lower()
            rows = result.command_tuples if result.command_tuples is not None else -1
        return word, rows, described

    def _column(self, result: Any, number: int) -> dict[str, Any]:
        oid = result.ftype(number)
        info = self._conn.adapters.types.get(oid)
        name = "?" if info is None else info.name if info.oid == oid else f"{info.name}[]"
        return {"name": (result.fname(number) or b"").decode("utf-8", "replace"), "type": name}

    def explain(self, text: str, params: Sequence[Any], *, reads: bool) -> dict[str, Any]:
        """The plan; the form with brackets can't be turned into `explain analyze`."""
        if reads:  # to estimate rows, the planner calls functions that are declared stable
            self._lower()
        found: list[Any] = []
        self.run(f"explain (format json)\n{text}\n", params, lambda _, row: found.append(row[0]))
        plan = (found[0] if isinstance(found[0], list) else json.loads(found[0]))[0]["Plan"]
        return {"plan": plan, "rows_estimate": plan.get("Plan Rows"), "cost": plan.get("Total Cost")}

    def schema(self, table: str | None) -> dict[str, Any]:
        """Tables and views that this role may see."""
        return catalog.schema(self, table)

    def table(self, name: str) -> TableFacts | None:
        """Facts of a table."""
        return catalog.table_facts(self, name)

    def functions(self, names: frozenset[str]) -> tuple[FunctionFacts, ...]:
        """Facts of functions."""
        return catalog.function_facts(self, names)

    def rows(self, text: str, *params: Any) -> list[tuple[Any, ...]]:
        """All rows of a small query of our own."""
        found: list[tuple[Any, ...]] = []
        self.run(text, params, lambda _, row: found.append(row))
        return found

    def _one(self, text: str, *params: Any) -> Any:
        found = self.rows(text, *params)
        return found[0][0] if found else None

    @contextmanager
    def trial(self) -> Iterator[None]:
        """A savepoint."""
        self.run("savepoint interlock_trial", ())
        try:
            yield
        except UserError:
            self.run("rollback to savepoint interlock_trial", ())
            raise
        self.run("release savepoint interlock_trial", ())

    def content(self, name: str) -> tuple[int, str | None]:
        """Rows of a table and an order-free digest over them."""
        rows = int(self._one(with_name(catalog.COUNT, name)))
        return rows, None if rows > HASHED_ROWS else str(self._one(with_name(catalog.DIGEST, name)))

    def lost(self, kind: str, name: str, *, cascade: bool) -> tuple[str, ...]:
        """Tables that lose all rows."""
        if kind == "drop schema":
            return tuple(str(row[0]) for row in self.rows(catalog.IN_SCHEMA, name))
        found = self.rows(catalog.REFERRING if kind == "truncate" and cascade else catalog.ITSELF, name)
        return tuple(str(row[0]) for row in found)

    def changed(self) -> Changed:
        """What the database itself counted in this transaction, triggers and cascades included."""
        now = self._counts()
        found = {table: rows - self._before.get(table, 0) for table, rows in now.items() if table != self._own_table}
        tables = {table: rows for table, rows in found.items() if rows}
        return Changed(tables, sum(tables.values()))

    def settle(self) -> None:
        """Check deferred constraints."""
        self.run("set constraints all immediate", ())

    def _counts(self) -> dict[str, int]:
        return {str(name): int(rows) for name, rows in self.rows(catalog.COUNTS)}

    def recall(self, table: str, key: str, request_sha256: str) -> dict[str, Any] | None:
        """Take a key, or give back what was done under it."""
        self._own_table, recorded = catalog.recall(self, table, key, request_sha256)
        return recorded

    def record(self, table: str, key: str, result: dict[str, Any]) -> None:
        """Keep a result."""
        catalog.record(self, table, key, result)

    def commit(self) -> None:
        """Commit; a database that answers has decided, one that does not leaves it open."""
        try:
            ran = self._run("commit", [], None)
        except psycopg.Error as error:
            if self._broken:
                self.usable = False
                raise CommitUnknown(_reason(error, self._hidden)) from error
            raise UserError(f"{_reason(error, self._hidden)}. Nothing was kept.") from error
        if ran.word != "commit":
            raise UserError("The database rolled the transaction back. Nothing was kept.")

    def rollback(self) -> None:
        """Roll back, and make the session as new."""
        with suppress(psycopg.Error, Unavailable, OSError):
            if not self._broken and self._conn.info.transaction_status != pq.TransactionStatus.IDLE:
                self._run("rollback", [], None)

    def renew(self) -> None:
        """Forget what a call left in the session."""
        try:
            self._run("discard all", [], None)
        except psycopg.Error:
            self.usable = False

    @property
    def _broken(self) -> bool:
        return self._conn.closed or self._conn.pgconn.status == pq.ConnStatus.BAD

    def interrupt(self) -> None:
        """Ask the database to stop the statement."""
        with suppress(psycopg.Error):
            self._conn.cancel_safe(timeout=5.0)

    def abort(self) -> None:
        """Cut the connection below the protocol, so that whoever waits on it wakes up."""
        self.usable = False
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._conn.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self.usable = False
        with suppress(psycopg.Error):
            self._conn.close()


def _taken(page: Page, row: tuple[Any, ...]) -> None:
    page.take(row)


def _parameter(value: Any) -> Any:
    return Json(value) if isinstance(value, dict) else value


def _reason(error: psycopg.Error, secrets: Sequence[str]) -> str:
    diagnosis = error.diag
    text = diagnosis.message_primary or str(error).strip().split("\n")[0] or type(error).__name__
    if diagnosis.message_detail:
        text += f" ({diagnosis.message_detail})"
    if diagnosis.message_hint:
        text += f"; {diagnosis.message_hint}"
    for secret in secrets:
        text = text.replace(secret, "***")
    state = f" [{error.sqlstate}]" if error.sqlstate else ""
    return f"{text.rstrip('.')}{state}"
