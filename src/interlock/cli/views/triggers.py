"""Triggers as lines."""

import datetime
from collections.abc import Mapping
from typing import Any

from interlock.cli.output import Paint, table
from interlock.cli.words import age, one_line, short


def triggers_lines(items: list[dict[str, Any]], now: datetime.datetime, paint: Paint, width: int | None) -> list[str]:
    """Where each is, and what became of what it was sent."""
    if not items:
        return ["no trigger is configured; see `triggers:` in docs/triggers.md"]
    rows = [
        [item["name"], item["kind"], item["agent"], item["path"], _last(item, now), _counts(item["counts"])]
        for item in items
    ]
    lines = table(["trigger", "kind", "agent", "path", "last", "became of it"], rows, paint, width)
    problems = [
        f"{item['name']} lets nothing in: {one_line(item['problem'], 200)}" for item in items if item["problem"]
    ]
    return [*lines, *([""] if problems else []), *problems]


def delivered_lines(found: Mapping[str, Any]) -> list[str]:
    """What a delivery started."""
    if not found["tasks"]:
        return [f"{found['outcome']}: the trigger does not care for such a delivery"]
    lines = [
        f"task {task['id']}" + ("" if task["created"] else f" (was there before: {task['state']})")
        for task in found["tasks"]
    ]
    return [*lines, f"next: interlock tasks watch {short(found['tasks'][0]['id'])}"]


def _last(item: dict[str, Any], now: datetime.datetime) -> str:
    if item["last_fired"] is None:
        return "never"
    return f"{item['last_state'] or 'deleted'} {age(item['last_fired'], now)} ago"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {outcome.replace('_', ' ')}" for outcome, number in counts.items() if number) or "-"
