"""The schedules of a project as people see and steer them."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

from interlock import orchestrator
from interlock.app.views import task_view, when
from interlock.config import Project
from interlock.store import Database, schedule_rows, task_rows

_SHOWN_TICKS = 3


@dataclass(frozen=True)
class Schedules:
    """The schedules that are configured, with what became of them."""

    database: Database
    project: Project

    async def listing(self) -> list[dict[str, Any]]:
        """All of them, in the order of the configuration.

        Shape `{name, agent, text, cron, every_s, timezone, jitter_s, misfire, overlap, state, paused_by, next, last_tick,
        last_task, last_state, waiting, fired, skipped, note}`; `next` are moments, jitter included.
        """
        async with self.database.transaction() as tx:
            rows = await schedule_rows.listing(tx)
            now = tx.clock.now()
            last = {
                name: await task_rows.get(tx, row.last_task) for name, row in rows.items() if row.last_task is not None
            }
        found = []
        for name, config in self.project.config.schedules.items():
            row, timing = rows.get(name), config.timing(name)
            paused = row.paused_by if row is not None else None
            ticks = [] if paused else [when(timing.fires_at(tick)) for tick in islice(timing.after(now), _SHOWN_TICKS)]
            known = {
                "last_tick": when(row.last_tick) if row is not None and row.last_tick is not None else None,
                "last_task": row.last_task if row is not None else None,
                "last_state": last[name].state if name in last else None,
                "waiting": len(row.waiting) if row is not None else 0,
                "fired": row.fired if row is not None else 0,
                "skipped": row.skipped if row is not None else 0,
                "note": row.note if row is not None else "",
            }
            found.append(
                {
                    "name": name,
                    "agent": config.agent,
                    "text": config.text,
                    "cron": config.cron,
                    "every_s": config.every,
                    "timezone": config.timezone,
                    "jitter_s": config.jitter,
                    "misfire": config.misfire,
                    "overlap": config.overlap,
                    "state": "paused" if paused else "on",
                    "paused_by": paused,
                    "next": ticks,
                    **known,
                }
            )
        return found

    async def pause(self, name: str, by: str, *, paused: bool) -> dict[str, Any]:
        """Pause one, or let it go on; shape `{name, paused, changed}`.

        Raises:
            NotFound: no schedule has that name.
        """
        changed = await orchestrator.set_pause(self.database, self.project, name, by, paused=paused)
        return {"name": name, "paused": paused, "changed": changed}

    async def trigger(self, name: str, by: str) -> dict[str, Any]:
        """Submit the task of one now; the task.

        Raises:
            NotFound: no schedule has that name.
            Conflict: its last task is not done.
            BacklogFull: too many tasks of its agent wait.
        """
        return task_view(await orchestrator.trigger(self.database, self.project, name, by))
