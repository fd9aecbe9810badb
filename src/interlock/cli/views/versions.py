"""Configuration versions as lines."""

from typing import Any

from interlock.cli.output import Paint, table
from interlock.cli.words import clean, compact, count, moment, one_line

MAX_LINES = 60
_VALUE_CHARS = 120
_SHORT_SHA = 12


def applied_lines(applied: dict[str, Any], taken: dict[str, Any] | None) -> list[str]:
    """What was applied, what that changed, and who works by it already."""
    name = f"version {applied['number']} ({applied['sha256'][:_SHORT_SHA]})"
    if not applied["created"]:
        return [f"{name} is active already; nothing has changed", *_taken(taken)]
    back = f", with what version {applied['content_of']} says" if applied["content_of"] is not None else ""
    return [f"{name} is active now{back}", *_changes(applied["changes"]), *_taken(taken)]


def _taken(taken: dict[str, Any] | None) -> list[str]:
    if taken is None:
        return []
    lines = [
        f"{'the server' if taken['server'] else 'not the server'} and {count(taken['workers'], 'worker')} work by it"
    ]
    return [*lines, *(f"! a worker takes no tasks: {one_line(why, 300)}" for why in taken["idle"])]


def versions_table(items: list[dict[str, Any]], paint: Paint) -> list[str]:
    """The versions, newest first."""
    if not items:
        return ["no configuration was applied yet: interlock config apply"]
    rows = [
        [
            str(item["number"]),
            item["sha256"][:_SHORT_SHA],
            moment(item["applied_at"]),
            clean(item["applied_by"]),
            _word(item),
        ]
        for item in items
    ]
    return table(["version", "hash", "applied", "by", ""], rows, paint)


def _word(item: dict[str, Any]) -> str:
    words = ["active"] if item["active"] else []
    if item["content_of"] is not None:
        words.append(f"what version {item['content_of']} says")
    return ", ".join(words)


def diff_lines(found: dict[str, Any]) -> list[str]:
    """What makes the second one another than the first."""
    second = "this folder" if found["to"] is None else f"version {found['to']['number']}"
    if not found["changes"]:
        return [f"version {found['from']['number']} and {second} are the same"]
    return [f"from version {found['from']['number']} to {second}:", *_changes(found["changes"])]


def _changes(changes: list[dict[str, Any]]) -> list[str]:
    lines = [_change(change) for change in changes[:MAX_LINES]]
    if len(changes) > MAX_LINES:
        lines.append(f"  … {count(len(changes) - MAX_LINES, 'more change')}; --json shows all")
    return lines


def _change(change: dict[str, Any]) -> str:
    path = clean(change["path"])
    if change["kind"] == "added":
        return f"  + {path}: {compact(change['after'], _VALUE_CHARS)}"
    if change["kind"] == "removed":
        return f"  - {path}: {compact(change['before'], _VALUE_CHARS)}"
    if change["before"] is None and change["after"] is None:
        return f"  ~ {path}"
    return f"  ~ {path}: {compact(change['before'], _VALUE_CHARS)} -> {compact(change['after'], _VALUE_CHARS)}"
