"""Small pieces of text: short ids, moments, spans, sizes, and texts of others made safe to show."""

import datetime
import json
from typing import Any

SHORT_ID = 8


def short(full_id: str | None) -> str:
    """The last characters of an id: the first ones are its time, and neighbours share them."""
    return (full_id or "-")[-SHORT_ID:]


def clean(text: str) -> str:
    """A text of an agent, a tool or a file, safe for a terminal: no control or direction characters but newlines."""
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def one_line(text: Any, limit: int = 100) -> str:
    """A text on one line, at most `limit` characters of it."""
    return cut(" ".join(clean(str(text)).split()), limit)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of a text; one that was cut ends in an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def block(text: str, indent: int, max_lines: int = 40) -> list[str]:
    """A text as indented lines, at most `max_lines` of them."""
    lines = clean(text).splitlines()
    shown = [f"{'':{indent}}{line}" for line in lines[:max_lines]]
    if len(lines) > max_lines:
        shown.append(f"{'':{indent}}… {count(len(lines) - max_lines, 'more line')}; --json shows all")
    return shown


def compact(value: Any, limit: int = 100) -> str:
    """A JSON value on one line, every character of it visible, at most `limit` of them."""
    return cut(clean(json.dumps(value, ensure_ascii=False)), limit)


def exact(text: str, limit: int = 400) -> str:
    """A name such as a path on one line, with its own spaces and with line breaks spelt out."""
    return cut(clean(text).replace("\n", "\\n").replace("\t", "\\t"), limit)


def moment(text: str | None) -> str:
    """A moment of the API as `2026-12-24 18:00:00Z`."""
    return "-" if text is None else f"{_utc(text):%Y-%m-%d %H:%M:%SZ}"


def time_of_day(text: str | None) -> str:
    """The time of a moment of the API as `18:00:00Z`."""
    return "-" if text is None else f"{_utc(text):%H:%M:%SZ}"


def age(text: str | None, now: datetime.datetime) -> str:
    """How long ago a moment of the API was."""
    return "-" if text is None else span(max(0.0, (now - _utc(text)).total_seconds()))


def _utc(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)


def span(seconds: float) -> str:
    """A span of time as `0.4 s`, `12 s`, `3 min 5 s`, `2 h 5 min` or `3 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, next_unit, next_size in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // next_size
            return f"{whole // size} {unit}" + (f" {rest} {next_unit}" if rest else "")
    return f"{whole} s"


def size(bytes_count: float) -> str:
    """A number of bytes as `512 B`, `1.2 kB` or `3.4 GB`."""
    for unit in ("B", "kB", "MB"):
        if abs(bytes_count) < 1000:
            return f"{bytes_count:.0f} B" if unit == "B" else f"{bytes_count:.1f} {unit}"
        bytes_count /= 1000
    return f"{bytes_count:.1f} GB"


def count(number: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
