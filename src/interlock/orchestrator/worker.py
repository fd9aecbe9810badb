"""A worker: registers, takes segments, watches for cancels and lost leases, drains, and leaves."""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass

from interlock.audit import keep_sequencing, record
from interlock.guardrails import Pulse, tidy
from interlock.model import AuditEntry, StopCause, Unavailable
from interlock.orchestrator.decisions import expire_approvals
from interlock.orchestrator.engine import Engine
from interlock.orchestrator.reaper import reap
from interlock.orchestrator.segment import Segments
from interlock.store import Database, SessionLock, dispatch_rows, executor_rows, task_rows

log = logging.getLogger("interlock.worker")
WATCH_EVERY_S = 0.5
BEAT_EVERY_S = 5.0
KEEP_EVERY_S = 1.0
DRAIN_S = 20.0
FORGET_AFTER_S = 3 * 86_400.0


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


async def housekeeping(database: Database, host: Host) -> None:
    """What any process of the fleet does for all: take over from the dead, expire questions, forget old segments."""
    rounds = 0
    while True:
        try:
            await reap(database, host.place)
            await expire_approvals(database)
            if rounds % 600 == 0:
                async with database.transaction() as tx:
                    await dispatch_rows.purge(tx, FORGET_AFTER_S)
                await tidy(database)
        except Unavailable as error:
            log.warning("housekeeping.delayed error=%s", error.message)
        rounds += 1
        await asyncio.sleep(KEEP_EVERY_S)


@dataclass
class Worker:
    """One process of the fleet."""

    database: Database
    engine: Engine
    segments: Segments
    lock: SessionLock
    host: Host
    pulse: Pulse
    concurrency: int

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop, then drain: let segments end for a while, then hand the rest over.

        Raises:
            DatabaseUnavailable: the database stayed away, so that this worker no longer counts as alive.
        """
        await self._join()
        chores = [
            asyncio.create_task(self._watch(stop), name="watch"),
            asyncio.create_task(housekeeping(self.database, self.host), name="housekeeping"),
            asyncio.create_task(keep_sequencing(self.database), name="sequencer"),
        ]
        try:
            await self.engine.start(self.segments.run, self.concurrency)
            log.info("worker.ready executor=%s", self.segments.executor_id)
            waiting = asyncio.create_task(stop.wait())
            await asyncio.wait({waiting, *chores}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            for chore in chores:
                if chore.done() and not chore.cancelled():
                    chore.result()
        finally:
            await self._leave(chores)

    async def _join(self) -> None:
        await self.lock.take()
        executor_id = self.segments.executor_id
        self.pulse.beat(time.monotonic())
        async with self.database.transaction() as tx:
            await executor_rows.register(tx, executor_id, self.host.place, self.host.pid, self.segments.project.sha256)
            await record(tx, AuditEntry("worker.joined", f"worker:{executor_id}", {"executor": executor_id}))

    async def _watch(self, stop: asyncio.Event) -> None:
        """Stop what was cancelled or taken away; leave when this process no longer counts as alive."""
        next_beat_s = time.monotonic() + BEAT_EVERY_S
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                await self._stop_unwanted()
                if time.monotonic() >= next_beat_s:  # by the clock: also at once after this process was stopped
                    next_beat_s = time.monotonic() + BEAT_EVERY_S
                    if not await self._beat():
                        log.error("worker.declared_dead executor=%s", self.segments.executor_id)
                        self._stop_all(fenced=True)
                        stop.set()
                        return
            except Unavailable as error:
                log.warning("watch.delayed error=%s", error.message)

    async def _beat(self) -> bool:
        if not await self.lock.alive():
            await self.lock.release()
            await self.lock.take()
        at_s = time.monotonic()
        async with self.database.transaction() as tx:
            alive = await executor_rows.beat(tx, self.segments.executor_id)
        if alive:
            self.pulse.beat(at_s)
        return alive

    async def _stop_unwanted(self) -> None:
        in_hand = dict(self.segments.active)  # those that begin during the query are not in its answer
        if not in_hand:
            return
        async with self.database.transaction() as tx:
            wanted = await task_rows.stop_signals(tx, self.segments.executor_id)
        for task_id, active in in_hand.items():
            epoch, cancelled = wanted.get(task_id, (None, False))
            if epoch != active.lease.epoch:
                active.fenced = True
                self.segments.gate.abandon(active.lease)
                active.work.cancel("another worker has the run")
            elif cancelled and active.cause is None:
                active.cause = StopCause.CANCELLED
                active.work.cancel("cancelled")

    def _stop_all(self, *, fenced: bool) -> None:
        for active in self.segments.active.values():
            active.fenced = active.fenced or fenced
            if active.cause is None:
                active.cause = StopCause.DRAINED
            self.segments.gate.abandon(active.lease)
            active.work.cancel("the worker is shut down")

    async def _leave(self, chores: list["asyncio.Task[None]"]) -> None:
        """Segments in hand may end by themselves for a while; then they are stopped and go on elsewhere."""
        late = asyncio.get_running_loop().call_later(DRAIN_S, lambda: self._stop_all(fenced=False))
        with contextlib.suppress(TimeoutError):
            await self.engine.stop(DRAIN_S + 10.0)
        late.cancel()
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        with contextlib.suppress(Unavailable):
            async with self.database.transaction() as tx:
                await executor_rows.remove(tx, self.segments.executor_id)
                actor = f"worker:{self.segments.executor_id}"
                await record(tx, AuditEntry("worker.left", actor, {"executor": self.segments.executor_id}))
        await self.lock.release()
