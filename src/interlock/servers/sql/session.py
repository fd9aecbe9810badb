"""What both kinds of database can do for one call. Everything here blocks and runs in a thread."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from interlock.model import UserError
from interlock.servers.sql.results import Page
from interlock.servers.sql.values import Row

Keep = Callable[[Sequence[str], Row], None]


def with_name(text: str, quoted: str) -> str:
    """A statement of our own, with the quoted name of a table in the place of `{table}`."""
    return text.replace("{table}", quoted)


def about_form(error: UserError) -> bool:
    """Whether a database refused how a statement is written, not what it met when it ran."""
    state = getattr(error.__cause__, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in ("0A", "42")
    return getattr(error.__cause__, "sqlite_errorcode", None) in (None, sqlite3.SQLITE_ERROR)


class CommitUnknown(Exception):
    """The connection was lost during the commit: whether it took effect can't be known here."""


class Unstageable(Exception):
    """What a statement does can't be tried and taken back; the message is a sentence."""


@dataclass(frozen=True)
class Ran:
    """What became of one statement.

    Attributes:
        word: what the database says it did, such as `update`; empty when it does not say.
        rows: how many it changed or returned; -1 when the database does not say.
        columns: `{name, type}` of returned rows.
    """

    word: str
    rows: int
    columns: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class TableFacts:
    """What must be known of a table to foresee what its rows will look like.

    Attributes:
        name: as the database shows it, with its schema where there is one.
        columns: in their order.
        key: the columns of the primary key.
        later: columns whose value is decided by the database when a row is made: sequences, clocks, chance.
        computed: generated columns.
        rewritten: triggers may change rows before they are stored.
        triggers: their names.
        unsafe: why a change of this table can't be tried and taken back; None when it can.
    """

    name: str
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    later: frozenset[str] = frozenset()
    computed: frozenset[str] = frozenset()
    rewritten: bool = False
    triggers: tuple[str, ...] = ()
    unsafe: str | None = None


@dataclass(frozen=True)
class FunctionFacts:
    """What the database says of the functions that go by a name.

    Attributes:
        volatile: may do more than compute its result.
        stable: always gives the same result in the same state of the database.
        own: comes with the database itself.
    """

    name: str
    volatile: bool
    stable: bool
    own: bool


@dataclass(frozen=True)
class Changed:
    """Rows that a transaction changed so far, those by triggers and cascades too.

    Attributes:
        tables: rows by table; None where the database does not count them apart.
        rows: in all.
    """

    tables: Mapping[str, int | None]
    rows: int


class Session(Protocol):
    """One connection during one call."""

    dialect: str

    def begin(self, timeout_s: float, *, write: bool, steady: bool = False, key: str | None = None) -> None:
        """Start a transaction.

        Args:
            timeout_s: for each statement.
            write: it may change something.
            steady: all of it sees one state of the database.
            key: nobody else who gives the same one runs at the same time.

        Raises:
            Unavailable: the database can't be reached, or is locked.
        """

    def run(self, text: str, params: Sequence[Any] | Mapping[str, Any], keep: Keep | None = None) -> Ran:
        """Do exactly one statement; its rows pass through `keep`, one at a time, and are not held.

        Raises:
            UserError: the database refuses it, and why.
            Unavailable: the connection is lost, and with it the transaction.
        """

    def read(self, text: str, params: Sequence[Any], page: Page, skip: int) -> int | None:
        """Fill a page with the rows of a statement that only reads; how many there are in all if that is cheap."""

    def explain(self, text: str, params: Sequence[Any], *, reads: bool) -> dict[str, Any]:
        """The plan of a statement without running it; shape `{plan, rows_estimate, cost}`."""

    def schema(self, table: str | None) -> dict[str, Any]:
        """Tables with columns, keys, indexes; shape `{tables: [...], truncated}`."""

    def trial(self) -> AbstractContextManager[None]:
        """What fails in here is taken back and the transaction goes on; the error is raised."""

    def table(self, name: str) -> TableFacts | None:
        """Facts of a table that is named as in a statement; None when there is none."""

    def functions(self, names: frozenset[str]) -> tuple[FunctionFacts, ...]:
        """Facts of those names that are functions."""

    def content(self, name: str) -> tuple[int, str | None]:
        """How many rows a table has, and a digest over them unless there are very many."""

    def lost(self, kind: str, name: str, *, cascade: bool) -> tuple[str, ...]:
        """Tables that lose all rows when `truncate`, `drop table` or `drop schema` is done to a name."""

    def changed(self) -> Changed:
        """What the transaction changed so far."""

    def settle(self) -> None:
        """Check now what would be checked at the commit."""

    def recall(self, table: str, key: str, request_sha256: str) -> dict[str, Any] | None:
        """Take a key in this transaction; what was recorded under it when it was used before."""

    def record(self, table: str, key: str, result: dict[str, Any]) -> None:
        """Keep a result under a key that this transaction took."""

    def commit(self) -> None:
        """Keep what was done.

        Raises:
            CommitUnknown: the answer was lost.
        """

    def rollback(self) -> None:
        """Take back what was done; never fails, a lost connection has done it already."""

    def interrupt(self) -> None:
        """From another thread: stop the statement that runs now."""

    def abort(self) -> None:
        """From another thread: cut the connection."""

    def renew(self) -> None:
        """Forget what a call left in the session."""

    def close(self) -> None:
        """End the connection."""

    @property
    def usable(self) -> bool:
        """Whether another call may have it."""

    @property
    def warning(self) -> str | None:
        """What an operator should know of the rights that it has."""
