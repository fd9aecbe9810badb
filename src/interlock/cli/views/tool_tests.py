"""What became of trying tool servers, as a table."""

from typing import Any

from interlock.cli.output import Paint, table
from interlock.cli.words import clean, count, one_line, span


def tests_lines(items: list[dict[str, Any]], paint: Paint, width: int | None) -> list[str]:
    """A line for each server, then what failed."""
    if not items:
        return ["no tool servers are configured"]
    rows = [
        [
            item["server"],
            item["kind"],
            item["state"],
            span(item["start_s"]),
            str(item["tools"]),
            pins_words(item),
            _sandbox_words(item["sandbox"]),
            _call_words(item),
            one_line(item["reason"], 300),
        ]
        for item in items
    ]
    head = ["server", "kind", "state", "start", "tools", "pins", "sandbox", "call", "why"]
    lines = table(head, rows, paint, width)
    failed = [item for item in items if not item["passed"]]
    needed = [item["server"] for item in failed if item["required"]]
    spare = [item["server"] for item in failed if not item["required"]]
    said = [f"{count(len(needed), 'required server')} failed: {', '.join(needed)}"] if needed else []
    said += [f"{count(len(spare), 'server')} that runs do without failed: {', '.join(spare)}"] if spare else []
    lines += ["", *(said or ["every server passed"])]
    return [*lines, *_next(failed)]


def _next(failed: list[dict[str, Any]]) -> list[str]:
    """What to type next; what a server says of itself is in its page, if it runs under `up`."""
    if not failed:
        return []
    first = failed[0]
    if first["pins"] and any(first["pins"].values()):
        return [f"next: interlock tools show {first['server']}, then: interlock tools pin {first['server']}"]
    return ["next: interlock doctor"]


def pins_words(item: dict[str, Any]) -> str:
    """`ok`, `first seen`, `1 new, 2 changed`, or `?` without anything to compare with."""
    if item["pins"] is None:
        return "?"
    if item["first_seen"]:
        return "first seen"
    return ", ".join(f"{number} {kind}" for kind, number in item["pins"].items() if number) or "ok"


def _sandbox_words(text: str) -> str:
    """By what it is confined; why not better is in the page of the server."""
    return clean(text).partition(" (")[0].rpartition(": ")[2][:20] or "-"


def _call_words(item: dict[str, Any]) -> str:
    if item["tool"] is None:
        return str(item["call"])
    took = f" {item['call_ms']:.0f} ms" if item["call_ms"] is not None else ""
    return f"{item['call']} {clean(item['tool'].partition('.')[2])[:40]}{took}"
