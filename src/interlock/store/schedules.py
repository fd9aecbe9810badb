"""One row for each schedule: what of it is carried out."""

import datetime
from dataclasses import dataclass

from interlock.store.database import Row, Transaction


@dataclass(frozen=True)
class ScheduleRow:
    """What is known of a schedule.

    Attributes:
        timing: hash of when it is due.
        paused_by: who paused it, if it is paused.
        seen_at: ticks up to here are carried out, or will never be.
        last_tick, last_task: what was submitted last.
        waiting: ticks that wait for the last task to be done.
        fired, skipped: how many ticks became a task, and how many did not.
        note: what happened last that is worth a look.
    """

    name: str
    timing: str
    seen_at: datetime.datetime
    paused_by: str | None = None
    last_tick: datetime.datetime | None = None
    last_task: str | None = None
    waiting: tuple[datetime.datetime, ...] = ()
    fired: int = 0
    skipped: int = 0
    note: str = ""


async def listing(tx: Transaction) -> dict[str, ScheduleRow]:
    """All rows by name; schedules that are not configured any more among them."""
    return {row["name"]: _row(row) for row in await tx.rows("select * from schedule order by name")}


async def add(tx: Transaction, name: str, timing: str) -> None:
    """Begin with a schedule: what is due from now on counts; nothing to do if there is a row."""
    now = tx.clock.now()
    await tx.run(
        "insert into schedule (name, timing, seen_at, changed_at) values (%s, %s, %s, %s) on conflict do nothing",
        [name, timing, now, now],
    )


async def take(tx: Transaction, name: str, *, wait: bool = False) -> ScheduleRow | None:
    """The row, locked; None if there is none, or, unless `wait`, if somebody else has it."""
    if wait:
        row = await tx.row("select * from schedule where name = %s for update", [name])
    else:
        row = await tx.row("select * from schedule where name = %s for update skip locked", [name])
    return None if row is None else _row(row)


async def keep(tx: Transaction, row: ScheduleRow) -> None:
    """Store everything of a row that is locked."""
    await tx.run(
        "update schedule set timing = %(timing)s, paused_by = %(paused_by)s, seen_at = %(seen_at)s,"
        " last_tick = %(last_tick)s, last_task = %(last_task)s, waiting = %(waiting)s, fired = %(fired)s,"
        " skipped = %(skipped)s, note = %(note)s, changed_at = %(now)s where name = %(name)s",
        {
            "name": row.name,
            "timing": row.timing,
            "paused_by": row.paused_by,
            "seen_at": row.seen_at,
            "last_tick": row.last_tick,
            "last_task": row.last_task,
            "waiting": list(row.waiting),
            "fired": row.fired,
            "skipped": row.skipped,
            "note": row.note,
            "now": tx.clock.now(),
        },
    )


def _row(row: Row) -> ScheduleRow:
    return ScheduleRow(
        name=row["name"],
        timing=row["timing"],
        seen_at=row["seen_at"],
        paused_by=row["paused_by"],
        last_tick=row["last_tick"],
        last_task=None if row["last_task"] is None else str(row["last_task"]),
        waiting=tuple(row["waiting"]),
        fired=row["fired"],
        skipped=row["skipped"],
        note=row["note"],
    )
