"""A SQLite database for one call: opened for reading or for writing, and watched by an authorizer all the time."""

import itertools
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from interlock.model import Unavailable, UserError
from interlock.servers.sql import sqlite_catalog as catalog
from interlock.servers.sql.limits import COUNTED_ROWS, HASHED_ROWS, LOCK_WAIT_S, SQLITE_VALUE_BYTES
from interlock.servers.sql.refusals import FILES
from interlock.servers.sql.results import Page
from interlock.servers.sql.session import Changed, CommitUnknown, FunctionFacts, Keep, Ran, TableFacts, with_name
from interlock.servers.sql.values import RowSet

READING = {sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_FUNCTION}
NEVER = {
    sqlite3.SQLITE_ATTACH,
    sqlite3.SQLITE_DETACH,
    sqlite3.SQLITE_PRAGMA,
    sqlite3.SQLITE_TRANSACTION,
    sqlite3.SQLITE_SAVEPOINT,
}
ROWS_CHANGED = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
MODULES = {"fts4", "fts5", "rtree"}
STEPS = 20_000  # of the virtual machine between two looks at the clock
# After these the database says itself that the transaction is still open, or was rolled back as a whole.
DECIDED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_INTERRUPT}


class SqliteSession:
    """One file; a connection is made for each transaction. See `Session`."""

    dialect = "sqlite"
    warning: str | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._conn: sqlite3.Connection | None = None
        self._free = False  # our own statements are not watched
        self._write = False
        self._deadline = 0.0
        self._changes = 0
        self._touched: dict[str, None] = {}
        self._own_table: str | None = None
        self.usable = True

    def begin(self, timeout_s: float, *, write: bool, steady: bool = False, key: str | None = None) -> None:
        """Open the file and start a transaction; a writing one keeps all others from writing, whatever its key."""
        del steady, key
        self._write, self._touched, self._own_table = write, {}, None
        self._deadline = time.monotonic() + timeout_s
        try:
            conn = self._opened(write)
            with self._own():
                conn.execute("begin immediate" if write else "begin")
                conn.execute("select count(*) from sqlite_master").fetchone()
        except sqlite3.Error as error:
            self.rollback()
            raise Unavailable(f"The database file {self._path.name} can't be used: {error}.") from error
        self._changes = conn.total_changes

    def _opened(self, write: bool) -> sqlite3.Connection:
        conn = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={'rw' if write else 'ro'}",
            uri=True,
            timeout=LOCK_WAIT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=0,  # a statement from a cache would not pass the authorizer
        )
        self._conn = conn
        conn.text_factory = _text
        conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, SQLITE_VALUE_BYTES)
        conn.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for setting in ("trusted_schema = off", "foreign_keys = on", f"query_only = {'off' if write else 'on'}"):
            conn.execute(f"pragma {setting}")
        conn.set_authorizer(self._judge)
        conn.set_progress_handler(self._late, STEPS)
        return conn

    def _late(self) -> int:
        return int(time.monotonic() > self._deadline)

    def _judge(self, action: int, first: str | None, second: str | None, _: str | None, __: str | None) -> int:
        if self._free:
            return sqlite3.SQLITE_OK
        if action in NEVER or (not self._write and action not in READING):
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_FUNCTION and FILES["sqlite"].fullmatch((second or "").lower()):
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_CREATE_VTABLE and (second or "").lower() not in MODULES:
            return sqlite3.SQLITE_DENY
        if action in ROWS_CHANGED and first and not first.startswith("sqlite_"):
            self._touched[first] = None
        return sqlite3.SQLITE_OK

    @contextmanager
    def _own(self) -> Iterator[None]:
        self._free = True
        try:
            yield
        finally:
            self._free = False

    @property
    def _open(self) -> sqlite3.Connection:
        if self._conn is None:
            raise Unavailable("The database file is not open.")
        return self._conn

    def run(self, text: str, params: Sequence[Any] | Mapping[str, Any], keep: Keep | None = None) -> Ran:
        """Do exactly one statement; the module refuses a second one."""
        try:
            cursor = self._open.execute(text, _bound(params))
            names = [str(column[0]) for column in cursor.description or ()]
            types: list[str] = [""] * len(names)
            counted = itertools.count()
            for row in cursor:
                next(counted)
                types = [known or _type(value) for known, value in zip(types, row, strict=True)]
                if keep is not None:
                    keep(names, row)
            rows = cursor.rowcount if cursor.rowcount >= 0 else next(counted)
        except (sqlite3.Error, OverflowError, ValueError) as error:
            raise UserError(f"{_reason(error)}.") from error
        described = [{"name": name, "type": kind or "null"} for name, kind in zip(names, types, strict=True)]
        return Ran("", rows, tuple(described))

    def read(self, text: str, params: Sequence[Any], page: Page, skip: int) -> int | None:
        """Fill a page; rows beyond it are counted up to a bound."""
        seen = 0

        def keep(names: Sequence[str], row: tuple[Any, ...]) -> None:
            nonlocal seen
            seen += 1
            if seen <= skip:
                return
            if page.full and seen > skip + len(page.rows) + COUNTED_ROWS:
                raise _Enough
            page.take(row)
            if not page.columns:
                page.columns = [{"name": name, "type": "null"} for name in names]
            for column, value in zip(page.columns, row, strict=True):
                column["type"] = column["type"] if column["type"] != "null" else _type(value) or "null"

        try:
            ran = self.run(text, params, keep)
        except _Enough:
            return None
        page.columns = page.columns or list(ran.columns)
        return seen

    def explain(self, text: str, params: Sequence[Any], *, reads: bool) -> dict[str, Any]:
        """The query plan; SQLite has no estimate of rows."""
        del reads
        found: list[dict[str, Any]] = []
        with self._own():
            self.run(
                f"explain query plan\n{text}\n",
                params,
                lambda _, row: found.append({"id": row[0], "parent": row[1], "detail": row[3]}),
            )
        return {"plan": found, "rows_estimate": None, "cost": None}

    def schema(self, table: str | None) -> dict[str, Any]:
        """Tables and views of the file."""
        with self._own():
            return catalog.schema(self, table)

    def table(self, name: str) -> TableFacts | None:
        """Facts of a table."""
        with self._own():
            return catalog.table_facts(self, name)

    def functions(self, names: frozenset[str]) -> tuple[FunctionFacts, ...]:
        """Facts of functions; those of the list are all that are not a matter of their arguments alone."""
        return tuple(FunctionFacts(name, volatile=False, stable=False, own=True) for name in names & catalog.CLOCKS)

    def rows(self, text: str, *params: Any) -> list[tuple[Any, ...]]:
        """All rows of a small query of our own."""
        found: list[tuple[Any, ...]] = []
        self.run(text, params, lambda _, row: found.append(row))
        return found

    @contextmanager
    def trial(self) -> Iterator[None]:
        """A savepoint."""
        self._savepoint("savepoint interlock_trial")
        try:
            yield
        except UserError:
            self._savepoint("rollback to interlock_trial")
            self._savepoint("release interlock_trial")
            raise
        self._savepoint("release interlock_trial")

    def _savepoint(self, text: str) -> None:
        with self._own():
            self.run(text, ())

    def content(self, name: str) -> tuple[int, str | None]:
        """Rows of a table and an order-free digest over them."""
        table = catalog.quoted_name(name)
        with self._own():
            rows = int(self.rows(with_name(catalog.COUNT, table))[0][0])
            if rows > HASHED_ROWS:
                return rows, None
            found = RowSet()
            self.run(with_name(catalog.CONTENT, table), (), found.take)
        return rows, found.digest

    def lost(self, kind: str, name: str, *, cascade: bool) -> tuple[str, ...]:
        """Tables that lose all rows: the table itself."""
        del kind, cascade
        facts = self.table(name)
        return (facts.name,) if facts is not None else ()

    def changed(self) -> Changed:
        """Tables from the authorizer, rows from the database's own counter, triggers and cascades included."""
        tables = [name for name in self._touched if name != self._own_table]
        return Changed(dict.fromkeys(sorted(tables)), self._open.total_changes - self._changes)

    def settle(self) -> None:
        """Nothing: a key that is only checked at the commit makes the commit fail, and that is said."""

    def recall(self, table: str, key: str, request_sha256: str) -> dict[str, Any] | None:
        """Take a key, or give back what was done under it."""
        self._own_table = table
        with self._own():
            recorded = catalog.recall(self, table, key, request_sha256)
        self._changes = self._open.total_changes
        return recorded

    def record(self, table: str, key: str, result: dict[str, Any]) -> None:
        """Keep a result."""
        with self._own():
            catalog.record(self, table, key, result)

    def commit(self) -> None:
        """Commit; after an error of the disk only the next reader finds out which way it went."""
        conn = self._open
        try:
            with self._own():
                conn.execute("commit")
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code not in DECIDED:
                raise CommitUnknown(str(error)) from error
            raise UserError(f"{_reason(error)}. Nothing was kept.") from error
        self._shut()

    def rollback(self) -> None:
        """Roll back and close the file."""
        conn = self._conn
        if conn is not None:
            with suppress(sqlite3.Error), self._own():
                if conn.in_transaction:
                    conn.execute("rollback")
            self._shut()

    def _shut(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(sqlite3.Error):
                conn.close()

    def renew(self) -> None:
        """Nothing remains of a call."""

    def interrupt(self) -> None:
        """Stop the statement."""
        conn = self._conn
        if conn is not None:
            with suppress(sqlite3.Error):
                conn.interrupt()

    def abort(self) -> None:
        """There is no connection to cut."""
        self.interrupt()

    def close(self) -> None:
        """Close the file."""
        self.usable = False
        self.rollback()


class _Enough(Exception):
    """Rows were counted far enough."""


def _bound(params: Sequence[Any] | Mapping[str, Any]) -> Any:
    def one(value: Any) -> Any:
        return json.dumps(value) if isinstance(value, dict | list) else value

    if isinstance(params, Mapping):
        return {name: one(value) for name, value in params.items()}
    return [one(value) for value in params]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _type(value: Any) -> str:
    names = {int: "integer", float: "real", str: "text", bytes: "blob"}
    return names.get(type(value), "")


def _reason(error: Exception) -> str:
    text = str(error).rstrip(".")
    if text == "not authorized" or text.startswith("not authorized to use function"):
        return "The database refuses it: it would do more than this call may"
    return "It took too long and was stopped" if text == "interrupted" else text
