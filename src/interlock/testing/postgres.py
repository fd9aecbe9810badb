"""A real Postgres for tests: started once in a temporary folder, a fresh and migrated database for each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from interlock.app import prepare
from interlock.config import Clock, SystemClock
from interlock.store import Attached, Database, EmbeddedPostgres, PostgresBinaries, Sealer, copy_database

TEST_KEY = b"interlock-testing-key-32-bytes!!"


@dataclass
class TestPostgres:
    """A running server whose database `interlock` is the template of all others."""

    __test__ = False

    attached: Attached
    numbers: Iterator[int]

    def fresh(self) -> tuple[str, str]:
        """Copy the template; the application's DSN and the dispatcher's URL of the copy."""
        name = f"test_{next(self.numbers)}"
        copy_database(self.attached.superuser_conninfo, name)
        return self.attached.conninfo("interlock_app", name), self.attached.sqlalchemy_url("interlock_app").replace(
            "@/interlock?", f"@/{name}?"
        )


@contextmanager
def running_postgres(root: Path, env: Mapping[str, str]) -> Iterator[TestPostgres]:
    """Start a server below `root` and migrate its template; stopped and deleted at the end."""
    server = EmbeddedPostgres(root, PostgresBinaries.find(env), clock=SystemClock())
    try:
        attached = server.attach()
        prepare(attached.owner_conninfo, attached.sqlalchemy_url("interlock_owner"))
        yield TestPostgres(attached, count(1))
    finally:
        server.destroy()


@asynccontextmanager
async def open_database(conninfo: str, clock: Clock | None = None) -> AsyncIterator[Database]:
    """A pool on a database of `TestPostgres.fresh`."""
    database = Database(conninfo, Sealer([TEST_KEY]), clock or SystemClock(), size=10)
    await database.open()
    try:
        yield database
    finally:
        await asyncio.wait_for(database.close(), 10.0)
