"""Tasks that are submitted again and again: each tick once, however many processes look.

A tick, the task that it becomes and the note that it is done are one commit, made by whoever has the schedule's row.
"""

import asyncio
import datetime
import logging
from dataclasses import dataclass, field, replace

from interlock.audit import record
from interlock.config import Project, ScheduleConfig, new_id
from interlock.model import (
    AuditEntry,
    BacklogFull,
    CancelAsked,
    Conflict,
    NotFound,
    Task,
    TaskRequest,
    Unavailable,
    canonical_sha256,
)
from interlock.orchestrator.events import handle
from interlock.orchestrator.submit import admit, limits_of
from interlock.orchestrator.ticks import due_ticks
from interlock.store import Database, ScheduleRow, Transaction, schedule_rows, task_rows, version_rows

log = logging.getLogger("interlock.schedules")
LOOK_EVERY_S = 1.0
MAX_WAITING = 100
HINT = "interlock schedules list"


async def keep_schedules(database: Database, project: Project) -> None:
    """Carry out what is due, second by second, until cancelled."""
    while True:
        try:
            await fire_due(database, project)
        except Unavailable as error:
            log.warning("schedules.delayed error=%s", error.message)
        await asyncio.sleep(LOOK_EVERY_S)


async def fire_due(database: Database, project: Project) -> int:
    """Carry out all that is due now; how many tasks were submitted.

    Only for the configuration that was applied last: one with an older one leaves it to others.
    """
    if not project.config.schedules:
        return 0
    async with database.transaction() as tx:
        if (await version_rows.standing(tx)).sha256 != project.sha256:
            return 0
        rows = await schedule_rows.listing(tx)
    now, fired = database.clock.now(), 0
    for name, config in project.config.schedules.items():
        row = rows.get(name)
        if row is None:
            async with database.transaction() as tx:
                await schedule_rows.add(tx, name, timing_sha256(name, config))
        elif _has_work(row, name, config, now):
            fired += await _fire_one(database, project, name)
    return fired


def timing_sha256(name: str, config: ScheduleConfig) -> str:
    """Hash of when a schedule is due: when that changes, it begins anew."""
    timing = config.timing(name)
    return canonical_sha256([timing.cron, timing.every_s, timing.timezone, timing.jitter_s])


def _has_work(row: ScheduleRow, name: str, config: ScheduleConfig, now: datetime.datetime) -> bool:
    if row.timing != timing_sha256(name, config):
        return True
    if row.paused_by is not None:
        return False
    timing = config.timing(name)
    following = next(timing.after(row.seen_at), None)
    return bool(row.waiting) or (following is not None and timing.fires_at(following) <= now)


async def _fire_one(database: Database, project: Project, name: str) -> int:
    config = project.config.schedules[name]
    async with database.transaction() as tx:
        row = await schedule_rows.take(tx, name)
        now, sha256 = tx.clock.now(), timing_sha256(name, config)
        if row is None:
            return 0
        if row.timing != sha256:
            await schedule_rows.keep(tx, replace(row, timing=sha256, seen_at=now, waiting=()))
            return 0
        if row.paused_by is not None:
            return 0
        turn = _Turn(tx, project, config, row)
        await turn.take(now)
        if turn.row != row:
            await schedule_rows.keep(tx, turn.row)
        return turn.row.fired - row.fired


@dataclass
class _Turn:
    """One look at a schedule whose row is ours."""

    tx: Transaction
    project: Project
    config: ScheduleConfig
    row: ScheduleRow
    actor: str = field(init=False)

    def __post_init__(self) -> None:
        self.actor = f"schedule:{self.row.name}"

    async def take(self, now: datetime.datetime) -> None:
        """Carry out what waited, and then what is due."""
        config, row = self.config, self.row
        found = due_ticks(config.timing(row.name), row.seen_at, now, misfire=config.misfire, grace_s=config.grace)
        self.row = replace(row, seen_at=found.seen_at, waiting=())
        if found.missed:
            await self._skip(
                found.missed, f"{found.missed} were missed: nobody was there to submit them", found.seen_at
            )
        for tick in (*row.waiting, *found.fire):
            await self._one(tick)

    async def _one(self, tick: datetime.datetime) -> None:
        last = await self.unfinished()
        if self.row.waiting or (last is not None and self.config.overlap == "queue"):
            if len(self.row.waiting) >= MAX_WAITING:
                await self._skip(1, f"{MAX_WAITING} wait for task {_short(last)} already", tick)
            else:
                self.row = replace(self.row, waiting=(*self.row.waiting, tick))
            return
        if last is not None and self.config.overlap == "skip":
            await self._skip(1, f"task {_short(last)}, the one before, is {last.state}", tick)
            return
        try:
            async with self.tx.part():  # the one before is only cancelled if this one is taken in
                if last is not None:
                    await handle(self.tx, last.id, CancelAsked(self.actor), self.actor)
                await self.submit(tick, f"schedule {self.row.name} {tick.isoformat()}", self.actor)
        except BacklogFull as error:
            await self._skip(1, error.message, tick)

    async def submit(self, tick: datetime.datetime, key: str, by: str) -> Task:
        """Make a task of a tick.

        Raises:
            BacklogFull: too many tasks of the agent wait.
        """
        config, name = self.config, self.row.name
        request = TaskRequest(
            agent=config.agent,
            text=config.text,
            inputs={**config.inputs, "tick": tick.isoformat()},
            priority=config.priority,
            dedupe_key=key,
        )
        limits = limits_of(self.project.config.agents[config.agent], config.max_duration)
        task = (await admit(self.tx, self.project, request, limits, by)).task
        self.row = replace(self.row, last_tick=tick, last_task=task.id, fired=self.row.fired + 1, note="")
        detail = {"schedule": name, "tick": tick.isoformat()}
        await record(self.tx, AuditEntry("schedule.fired", by, {"task": task.id}, detail))
        return task

    async def unfinished(self) -> Task | None:
        """The task of the tick before, unless it is done."""
        if self.row.last_task is None:
            return None
        task = await task_rows.get(self.tx, self.row.last_task)
        return None if task.state.final else task

    async def _skip(self, count: int, why: str, tick: datetime.datetime) -> None:
        note = f"{tick:%Y-%m-%d %H:%M:%S} UTC: {why}"
        self.row = replace(self.row, skipped=self.row.skipped + count, note=note)
        detail = {"schedule": self.row.name, "tick": tick.isoformat(), "count": count, "why": why}
        await record(self.tx, AuditEntry("schedule.skipped", self.actor, {}, detail))


def _short(task: Task | None) -> str:
    return task.id[-8:] if task is not None else "of before"


# ---- what people do --------------------


async def set_pause(database: Database, project: Project, name: str, by: str, *, paused: bool) -> bool:
    """Pause a schedule, or let it go on from now, without what was due meanwhile; whether that changed anything.

    Raises:
        NotFound: no schedule has that name.
    """
    async with database.transaction() as tx:
        row = await _taken(tx, project, name)
        if (row.paused_by is not None) == paused:
            return False
        going_on = replace(row, paused_by=None, seen_at=tx.clock.now(), waiting=())
        await schedule_rows.keep(tx, replace(row, paused_by=by) if paused else going_on)
        event = "schedule.paused" if paused else "schedule.resumed"
        await record(tx, AuditEntry(event, by, {}, {"schedule": name}))
        return True


async def trigger(database: Database, project: Project, name: str, by: str) -> Task:
    """Submit a schedule's task now, also when it is paused; its ticks stay as they are.

    Raises:
        NotFound: no schedule has that name.
        Conflict: its last task is not done, and it is not to be cancelled for the next one.
        BacklogFull: too many tasks of its agent wait.
    """
    async with database.transaction() as tx:
        row = await _taken(tx, project, name)
        turn = _Turn(tx, project, project.config.schedules[name], row)
        last = await turn.unfinished()
        if last is not None and turn.config.overlap != "cancel_old":
            raise Conflict(
                f"task {_short(last)} of the schedule '{name}' is {last.state}, and two must not run at a time",
                hint=f"interlock tasks show {last.id}",
            )
        if last is not None:
            await handle(tx, last.id, CancelAsked(by), by)
        task = await turn.submit(tx.clock.now(), f"schedule {name} {new_id()}", by)
        await schedule_rows.keep(tx, turn.row)
        return task


async def _taken(tx: Transaction, project: Project, name: str) -> ScheduleRow:
    config = project.config.schedules.get(name)
    if config is None:
        known = ", ".join(sorted(project.config.schedules)) or "none"
        raise NotFound(f"there is no schedule '{name[:100]}'; configured are: {known}", hint=HINT)
    await schedule_rows.add(tx, name, timing_sha256(name, config))
    row = await schedule_rows.take(tx, name, wait=True)
    if row is None:
        raise NotFound(f"the schedule '{name}' has just gone", hint=HINT)
    return row
