"""Schedules as lines."""

import datetime
from typing import Any

from interlock.cli.output import Paint, table
from interlock.cli.words import age, moment, one_line, span

_NOTE_CHARS = 200


def schedules_table(items: list[dict[str, Any]], now: datetime.datetime, paint: Paint, width: int | None) -> list[str]:
    """When each comes next, and what became of the last one."""
    if not items:
        return ["no schedule is configured; see `schedules:` in docs/schedules.md"]
    rows = [[item["name"], item["agent"], _timing(item), _next(item), _last(item, now)] for item in items]
    lines = table(["schedule", "agent", "when", "next", "last"], rows, paint, width)
    notes = [f"{item['name']}: {one_line(item['note'], _NOTE_CHARS)}" for item in items if item["note"]]
    return [*lines, *([""] if notes else []), *notes]


def _timing(item: dict[str, Any]) -> str:
    if item["cron"] is None:
        return f"every {span(float(item['every_s']))}"
    return f"{item['cron']} {item['timezone']}"


def _next(item: dict[str, Any]) -> str:
    if item["paused_by"]:
        return f"paused by {item['paused_by']}"
    return moment(item["next"][0]) if item["next"] else "never"


def _last(item: dict[str, Any], now: datetime.datetime) -> str:
    if item["last_tick"] is None:
        return "none"
    waiting = f", {item['waiting']} wait" if item["waiting"] else ""
    return f"{item['last_state'] or 'deleted'} {age(item['last_tick'], now)} ago{waiting}"
