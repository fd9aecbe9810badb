"""A worker: registers, takes segments, watches for cancels and lost leases, drains, and leaves."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass

from interlock.audit import keep_sequencing
from interlock.config import Project
from interlock.guardrails import tidy
from interlock.model import StopCause, Unavailable
from interlock.orchestrator.decisions import expire_approvals
from interlock.orchestrator.engine import Engine
from interlock.orchestrator.families import tend
from interlock.orchestrator.parking import release_parked
from interlock.orchestrator.presence import Host, Presence
from interlock.orchestrator.reaper import give_up_stranded, reap
from interlock.orchestrator.segment import Segments
from interlock.store import Database, dispatch_rows, task_rows, version_rows

log = logging.getLogger("interlock.worker")
WATCH_EVERY_S = 0.5
KEEP_EVERY_S = 1.0
FOLLOW_EVERY_S = 1.0
DRAIN_S = 20.0
FORGET_AFTER_S = 3 * 86_400.0


async def housekeeping(database: Database, host: Host, project: Project) -> None:
    """What any process of the fleet does for all.

    Take over from the dead, expire questions, let those go on that were set aside or waited for other tasks, give up those
    whose machine is lost, forget old segments.
    """
    rounds = 0
    while True:
        try:
            await reap(database, host.place)
            await expire_approvals(database)
            await release_parked(database, project.config)
            await tend(database)
            await give_up_stranded(database, project.config.server.lost_host_after)
            if rounds % 600 == 0:
                async with database.transaction() as tx:
                    await dispatch_rows.purge(tx, FORGET_AFTER_S)
                await tidy(database)
        except Unavailable as error:
            log.warning("housekeeping.delayed error=%s", error.message)
        rounds += 1
        await asyncio.sleep(KEEP_EVERY_S)


async def moved_on(database: Database, config_sha256: str) -> None:
    """Wait until another version of the configuration than this one is the active one."""
    while True:
        await asyncio.sleep(FOLLOW_EVERY_S)
        try:
            async with database.at_once() as tx:
                standing = await version_rows.standing(tx)
        except Unavailable as error:
            log.warning("version.unknown error=%s", error.message)
            continue
        if standing.sha256 not in (None, config_sha256):
            log.info("version.moves to=%d", standing.number)
            return


@dataclass
class Worker:
    """One process of the fleet."""

    database: Database
    engine: Engine
    segments: Segments
    presence: Presence
    concurrency: int

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop, then drain: let segments end for a while, then hand the rest over.

        It leaves as well when another version of the configuration was applied.

        Raises:
            DatabaseUnavailable: the database stayed away, so that this worker no longer counts as alive.
        """
        await asyncio.to_thread(self.engine.load)  # before others count on its heartbeats
        await self.presence.ensure()
        chores = [
            asyncio.create_task(self._watch(stop), name="watch"),
            asyncio.create_task(
                housekeeping(self.database, self.presence.host, self.segments.project), name="housekeeping"
            ),
            asyncio.create_task(self._stop_left_behind(), name="left behind"),
            asyncio.create_task(keep_sequencing(self.database), name="sequencer"),
        ]
        try:
            await self.engine.start(self.segments.run, self.concurrency)
            log.info("worker.ready executor=%s", self.presence.executor_id)
            waiting = asyncio.create_task(stop.wait())
            moving = asyncio.create_task(moved_on(self.database, self.presence.config_sha256), name="version")
            await asyncio.wait({waiting, moving, *chores}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            moving.cancel()
            for chore in chores:
                if chore.done() and not chore.cancelled():
                    chore.result()
        finally:
            await self._leave(chores)

    async def _watch(self, stop: asyncio.Event) -> None:
        """Stop what was cancelled or taken away; leave when this process no longer counts as alive."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                await self._stop_unwanted()
                if not await self.presence.beat(busy=bool(self.segments.active)):
                    self._stop_all(fenced=True)
                    stop.set()
                    return
            except Unavailable as error:
                log.warning("watch.delayed error=%s", error.message)

    async def _stop_left_behind(self) -> None:
        """Stop calls of this host that a dead worker sent for a task that is over by now."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                await self.segments.stop_left_behind()
            except Unavailable as error:
                log.warning("left_behind.delayed error=%s", error.message)

    async def _stop_unwanted(self) -> None:
        in_hand = dict(self.segments.active)  # those that begin during the query are not in its answer
        if not in_hand:
            return
        async with self.database.transaction() as tx:
            wanted = await task_rows.stop_signals(tx, self.presence.executor_id)
        for task_id, active in in_hand.items():
            signal = wanted.get(task_id)
            if signal is None or signal.epoch != active.lease.epoch:
                self.segments.gate.abandon(active.lease)
                active.fence()
            elif signal.cancelled and active.cause is None:
                active.stop(StopCause.CANCELLED)
            elif signal.halted is not None and active.cause is None:
                active.stop(StopCause.HALTED, f"halted by {signal.halted}")

    def _stop_all(self, *, fenced: bool) -> None:
        for active in self.segments.active.values():
            self.segments.gate.abandon(active.lease)
            if fenced:
                active.fence()
            else:
                active.stop(StopCause.DRAINED)

    async def _leave(self, chores: list["asyncio.Task[None]"]) -> None:
        """Segments in hand may end by themselves for a while; then they are stopped and go on elsewhere."""
        late = asyncio.get_running_loop().call_later(DRAIN_S, lambda: self._stop_all(fenced=False))
        with contextlib.suppress(TimeoutError):
            await self.engine.stop(DRAIN_S + 10.0)
        late.cancel()
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await self.presence.leave()
