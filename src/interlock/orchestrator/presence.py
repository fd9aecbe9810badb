"""The presence of a process that holds tasks of agents outside: others can tell whether it lives.

A worker joins when it starts; a server only when the first agent outside calls, for most servers never have one.
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field

from interlock.audit import record
from interlock.guardrails import Pulse
from interlock.model import AuditEntry, Unavailable
from interlock.orchestrator.worker import Host
from interlock.store import Database, SessionLock, executor_rows

log = logging.getLogger("interlock.gateway")
BEAT_EVERY_S = 5.0


@dataclass
class Presence:
    """One server among those that hold tasks.

    Attributes:
        executor_id: its name among them.
        config_sha256: the version of the configuration that it has.
    """

    database: Database
    lock: SessionLock
    host: Host
    pulse: Pulse
    executor_id: str
    config_sha256: str
    joined: bool = False
    _joining: asyncio.Lock = field(default_factory=asyncio.Lock)
    _next_beat_s: float = 0.0

    async def ensure(self) -> None:
        """Join, unless that was done.

        Raises:
            DatabaseUnavailable: Postgres does not answer.
        """
        async with self._joining:
            if self.joined:
                return
            await self.lock.release()
            await self.lock.take()
            at_s = time.monotonic()
            async with self.database.transaction() as tx:
                await executor_rows.register(tx, self.executor_id, self.host.place, self.host.pid, self.config_sha256)
                await record(tx, AuditEntry("gateway.joined", self._actor, {"executor": self.executor_id}))
            self.pulse.beat(at_s)
            self._next_beat_s = at_s + BEAT_EVERY_S
            self.joined = True

    async def beat(self) -> bool:
        """Say that this process lives, when it is time to; False when others have given it up meanwhile.

        Raises:
            DatabaseUnavailable: Postgres does not answer.
        """
        if not self.joined or time.monotonic() < self._next_beat_s:
            return True
        at_s = time.monotonic()
        self._next_beat_s = at_s + BEAT_EVERY_S
        if not await self.lock.alive():
            await self.lock.release()
            await self.lock.take()
        async with self.database.transaction() as tx:
            self.joined = await executor_rows.beat(tx, self.executor_id)
        if self.joined:
            self.pulse.beat(at_s)
        else:
            log.error("gateway.declared_dead executor=%s", self.executor_id)
        return self.joined

    async def leave(self) -> None:
        """Say that this process ends."""
        if self.joined:
            self.joined = False
            with contextlib.suppress(Unavailable):
                async with self.database.transaction() as tx:
                    await executor_rows.remove(tx, self.executor_id)
                    await record(tx, AuditEntry("gateway.left", self._actor, {"executor": self.executor_id}))
        await self.lock.release()

    @property
    def _actor(self) -> str:
        return f"gateway:{self.executor_id}"
