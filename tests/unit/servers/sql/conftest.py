"""A SQLite file with a few tables, and calls on it."""

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from interlock.config import ManualClock
from interlock.servers.shared.calls import CallNotes, Outcome
from interlock.servers.shared.journal import Journal
from interlock.servers.sql.database import Database
from interlock.servers.sql.operations import Rules, Sql, Stop

SHARED_MEMORY = Path("/dev/shm")
TABLES = """
create table customer (id integer primary key, name text not null, city text);
create table bill (
    id integer primary key, customer_id integer references customer on delete cascade, cents integer not null,
    made text default current_timestamp);
create table note (key text primary key, body text);
create index bill_customer on bill (customer_id);
insert into customer values (1, 'Ada', 'London'), (2, 'Grace', 'New York'), (3, 'Edsger', 'Austin');
insert into bill (customer_id, cents, made) values (1, 100, '2026'), (1, 250, '2026'), (2, 75, '2026');
"""


class Died(Exception):
    """Stands for the end of the process."""


def die(why: str) -> NoReturn:
    raise Died(why)


class Bench:
    """One file and a server's calls on it."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        self.file = folder / "shop.db"
        if not self.file.exists():
            with sqlite3.connect(self.file) as conn:
                conn.executescript(TABLES)
            conn.close()
        database = Database.parse(f"sqlite:{self.file}")
        self.log = folder / "effects.jsonl"
        self.sql = Sql(database.connect, "sqlite", Rules(**rules), Journal(self.log, ManualClock()), die)

    def call(self, tool: str, notes: CallNotes | None = None, /, **args: Any) -> Outcome:
        return self.sql.call(tool, args, notes or CallNotes(), Stop())

    def good(self, tool: str, notes: CallNotes | None = None, /, **args: Any) -> dict[str, Any]:
        outcome = self.call(tool, notes, **args)
        assert not outcome.failed, outcome.text
        assert outcome.structured is not None
        return outcome.structured

    def bad(self, tool: str, notes: CallNotes | None = None, /, **args: Any) -> str:
        outcome = self.call(tool, notes, **args)
        assert outcome.failed, outcome.text
        assert outcome.text.endswith((".", ")"))
        assert "Traceback" not in outcome.text
        return outcome.text

    def preview(self, statement: str, **more: Any) -> dict[str, Any]:
        return self.good("preview", tool="execute", args={"statement": statement, **more})

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the file holds, read without the code under test."""
        conn = sqlite3.connect(self.file)
        try:
            return conn.execute(statement).fetchall()
        finally:
            conn.close()

    def dump(self) -> list[str]:
        conn = sqlite3.connect(self.file)
        try:
            return list(conn.iterdump())
        finally:
            conn.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory, where flushing to the disk costs nothing."""
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as path:
        yield Path(path)


@pytest.fixture
def bench(folder: Path) -> Iterator[Bench]:
    made = Bench(folder)
    yield made
    made.sql.close()


@pytest.fixture
def new_bench() -> Any:
    return Bench
