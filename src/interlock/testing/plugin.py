"""The pytest plugin: `interlock_postgres` (one server for the session) and `interlock_database` (fresh for each test)."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from interlock.store import Database
    from interlock.testing.postgres import TestPostgres


@pytest.fixture(scope="session")
def interlock_postgres(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[TestPostgres]":
    """A real, migrated Postgres, started once."""
    from interlock.testing.postgres import running_postgres

    with running_postgres(tmp_path_factory.mktemp("interlock") / "postgres", os.environ) as server:
        yield server


@pytest.fixture
async def interlock_database(interlock_postgres: "TestPostgres") -> "AsyncIterator[Database]":
    """A database of its own for one test, open as the application's role."""
    from interlock.testing.postgres import open_database

    conninfo, _ = interlock_postgres.fresh()
    async with open_database(conninfo) as database:
        yield database
