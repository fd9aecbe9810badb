"""A Postgres database of its own for each test, and calls on it."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import psycopg
import pytest
from psycopg import conninfo

from interlock.config import ManualClock
from interlock.servers.shared.calls import CallNotes, Outcome
from interlock.servers.shared.journal import Journal
from interlock.servers.sql.database import Database
from interlock.servers.sql.operations import Rules, Sql, Stop

OWNER, SUPERUSER = "interlock_owner", "postgres"
NUMBERS = itertools.count()
TABLES = """
create table customer (id int primary key, name text not null, city text);
create table bill (
    id serial primary key, customer_id int references customer on delete cascade, cents int not null,
    made timestamptz not null default now());
create table note (key text primary key, body text);
insert into customer values (1, 'Ada', 'London'), (2, 'Grace', 'New York'), (3, 'Edsger', 'Austin');
insert into bill (customer_id, cents) values (1, 100), (1, 250), (2, 75);
"""


class Died(Exception):
    """Stands for the end of the process."""


def die(why: str) -> NoReturn:
    raise Died(why)


def url_of(dsn: str, **instead: str) -> str:
    """A DSN as the URL that the server takes."""
    parts = {**conninfo.conninfo_to_dict(dsn), **instead}
    return f"postgresql:///{parts['dbname']}?" + "&".join(
        f"{name}={quote(str(parts[name]), safe='')}" for name in ("host", "port", "user")
    )


class Bench:
    """One database and a server's calls on it."""

    def __init__(self, superuser: str, log: Path) -> None:
        self.name = f"sql_{os.getpid()}_{next(NUMBERS)}"
        self.superuser = superuser
        self.dsn = conninfo.make_conninfo(superuser, dbname=self.name)
        with psycopg.connect(superuser, autocommit=True) as conn:
            conn.execute(f"create database {self.name} owner {OWNER}")
        with psycopg.connect(self.dsn) as conn:
            conn.execute(f"alter schema public owner to {OWNER}")
            conn.execute(f"set role {OWNER}")
            conn.execute(TABLES)
        self.log = log
        self.made: list[Sql] = []
        self.sql = self.server()

    def url(self, user: str = OWNER, **instead: str) -> str:
        return url_of(self.dsn, user=user, **instead)

    def server(self, user: str = OWNER, url: str | None = None, **rules: Any) -> Sql:
        database = Database.parse(url or self.url(user))
        made = Sql(database.connect, "postgres", Rules(**rules), Journal(self.log, ManualClock()), die)
        self.made.append(made)
        return made

    def call(self, tool: str, notes: CallNotes | None = None, /, sql: Sql | None = None, **args: Any) -> Outcome:
        return (sql or self.sql).call(tool, args, notes or CallNotes(), Stop())

    def good(self, tool: str, notes: CallNotes | None = None, /, **args: Any) -> dict[str, Any]:
        outcome = self.call(tool, notes, **args)
        assert not outcome.failed, outcome.text
        assert outcome.structured is not None
        return outcome.structured

    def bad(self, tool: str, notes: CallNotes | None = None, /, **args: Any) -> str:
        outcome = self.call(tool, notes, **args)
        assert outcome.failed, outcome.text
        assert "Traceback" not in outcome.text
        return outcome.text

    def preview(self, statement: str, **more: Any) -> dict[str, Any]:
        return self.good("preview", tool="execute", args={"statement": statement, **more})

    def do(self, *statements: str) -> list[tuple[Any, ...]]:
        """As the superuser, without the code under test; the rows of the last statement."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            for statement in statements:
                found = conn.execute(statement)
            return found.fetchall() if found.description else []

    def picture(self) -> list[Any]:
        """All rows of all tables."""
        tables = self.do(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname !~ '^(pg_|info)'"
        )
        return [
            (name, self.do("select t::text from {table} t order by 1".replace("{table}", name)))
            for (name,) in sorted(tables)
        ]

    def close(self) -> None:
        for made in self.made:
            made.close()
        with suppress(psycopg.Error), psycopg.connect(self.superuser, autocommit=True) as conn:
            conn.execute(f"drop database {self.name} with (force)")


@pytest.fixture
def new_bench(interlock_postgres: Any, tmp_path: Path) -> Iterator[Callable[[], Bench]]:
    made: list[Bench] = []

    def make() -> Bench:
        made.append(Bench(interlock_postgres.attached.superuser_conninfo, tmp_path / "effects.jsonl"))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(new_bench: Callable[[], Bench]) -> Bench:
    return new_bench()
