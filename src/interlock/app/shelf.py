"""Where logins to remote tool servers are kept: sealed, in the database, which is only opened when one is needed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from interlock.app.ground import foundation
from interlock.audit import record
from interlock.config import Project, Settings
from interlock.model import AuditEntry
from interlock.store import Transaction, credential_rows

ADMIN = "person:admin"  # whoever can use the state folder
Present = Callable[[str], None]
Paste = Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class DatabaseShelf:
    """The shelf of the tool servers of a project.

    Tokens are read when a remote server starts, and written when they are renewed, some times an hour at most. So
    nothing is held open in between, and a project without remote servers never opens a database for this.
    """

    settings: Settings
    project: Project
    env: Mapping[str, str] = field(repr=False)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def load(self, server: str) -> dict[str, Any] | None:
        """What was kept last, or None.

        Raises:
            InterlockError: the database can't be used, or its keys are others.
        """
        async with self._open() as tx:
            return await credential_rows.get(tx, server)

    async def save(self, server: str, data: dict[str, Any]) -> None:
        """Keep it, instead of what was there.

        Raises:
            InterlockError: the database can't be used.
        """
        async with self._open() as tx:
            await credential_rows.put(tx, server, data)

    async def note_login(self, server: str, by: str) -> None:
        """Record that a person logged in."""
        async with self._open() as tx:
            await record(tx, AuditEntry("tools.login", by, {"server": server}))

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Transaction]:
        async with (
            self._one,
            foundation(self.settings, self.project, self.env, pool=1) as ground,
            ground.database.transaction() as tx,
        ):
            yield tx
