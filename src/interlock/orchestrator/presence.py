"""The presence of a process that holds tasks: others can tell whether it lives.

A worker joins when it starts; a server only when the first agent outside calls, for most servers never have one.
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import Literal

from interlock.audit import record
from interlock.guardrails import Pulse
from interlock.model import AuditEntry, Unavailable
from interlock.store import Arrival, Database, SessionLock, Transaction, executor_rows, host_rows

BEAT_EVERY_S = 5.0
BUSY_BEAT_S = 1.0  # with tasks in hand: were it to die, this is how far off their working time could be


@dataclass(frozen=True)
class Host:
    """Where this process runs.

    Attributes:
        name: the host's name, for people.
        pid: the process id, which means something only within `place`.
        place: the name with what tells apart hosts and containers of one name: boot and process namespace.
    """

    name: str
    pid: int
    place: str


@dataclass
class Presence:
    """One process among those that hold tasks.

    Attributes:
        kind: what it is; names its records and its log.
        lock: held under its name among them, for as long as it lives.
        config_sha256: the version of the configuration that it has.
        idle_because: why it takes no tasks, if it does not.
    """

    kind: Literal["worker", "gateway"]
    database: Database
    lock: SessionLock
    host: Host
    pulse: Pulse
    config_sha256: str
    idle_because: str | None = None
    joined: bool = False
    _joining: asyncio.Lock = field(default_factory=asyncio.Lock)
    _last_beat_s: float = 0.0

    @property
    def executor_id(self) -> str:
        """Its name among those that hold tasks."""
        return self.lock.executor_id

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
                await executor_rows.register(tx, self._arrival)
                await self._show_host(tx)
                await record(tx, self._entry("joined"))
            self.pulse.beat(at_s)
            self._last_beat_s = at_s
            self.joined = True

    async def beat(self, *, busy: bool = False) -> bool:
        """Say that this process lives, when it is time to; False when others have given it up meanwhile.

        Args:
            busy: it has tasks in hand, so it says so more often.

        Raises:
            DatabaseUnavailable: Postgres does not answer.
        """
        every_s = BUSY_BEAT_S if busy else BEAT_EVERY_S
        if not self.joined or time.monotonic() < self._last_beat_s + every_s:  # by the clock: at once after a stop
            return True
        self._last_beat_s = time.monotonic()
        if not await self.lock.alive():
            await self.lock.release()
            await self.lock.take()
        at_s = time.monotonic()
        async with self.database.transaction() as tx:
            self.joined = await executor_rows.beat(tx, self.executor_id)
            await self._show_host(tx)
        if self.joined:
            self.pulse.beat(at_s)
        else:
            log = logging.getLogger(f"interlock.{self.kind}")
            log.error("%s.declared_dead executor=%s", self.kind, self.executor_id)
        return self.joined

    async def idle(self, because: str) -> None:
        """Say why this process takes no tasks; it counts as alive all the same.

        Raises:
            DatabaseUnavailable: Postgres does not answer.
        """
        before, self.idle_because = self.idle_because, because
        await self.ensure()
        if before != because:
            async with self.database.transaction() as tx:
                await executor_rows.say_idle(tx, self.executor_id, because)

    async def leave(self) -> None:
        """Say that this process ends."""
        if self.joined:
            self.joined = False
            with contextlib.suppress(Unavailable):
                async with self.database.transaction() as tx:
                    await executor_rows.remove(tx, self.executor_id)
                    await record(tx, self._entry("left"))
        await self.lock.release()

    async def _show_host(self, tx: Transaction) -> None:
        if self.kind == "worker" and self.idle_because is None:
            await host_rows.seen(tx, self.host.name)

    @property
    def _arrival(self) -> Arrival:
        return Arrival(self.executor_id, self.host.place, self.host.pid, self.config_sha256, self.idle_because)

    def _entry(self, what: str) -> AuditEntry:
        return AuditEntry(f"{self.kind}.{what}", f"{self.kind}:{self.executor_id}", {"executor": self.executor_id})
