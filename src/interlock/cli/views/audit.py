"""The record as lines."""

from typing import Any

from interlock.cli.output import Paint, table
from interlock.cli.words import count, moment, one_line, short


def records_table(items: list[dict[str, Any]], paint: Paint, width: int | None) -> list[str]:
    """Records, newest first."""
    if not items:
        return ["nothing is recorded yet"]
    rows = [
        [
            str(item.get("seq") or "-"),
            moment(item["at"]),
            item["event"],
            one_line(item["actor"], 30),
            short((item.get("subject") or {}).get("task")),
            detail_words(item),
        ]
        for item in items
    ]
    return table(["no", "at", "event", "who", "task", "what"], rows, paint, width)


def detail_words(item: dict[str, Any]) -> str:
    """What a record says, in a line: names first, hashes left out, of mappings only the keys."""
    server = (item.get("subject") or {}).get("server")
    detail = {**({"server": server} if server else {}), **(item.get("detail") or {})}
    words = [
        f"{name}={one_line(', '.join(value) if isinstance(value, dict) else value, 120)}"
        for name, value in detail.items()
        if value not in (None, "", [], {}) and not name.endswith("sha256")
    ]
    return " ".join(words)


def verdict_lines(verdict: dict[str, Any], paint: Paint) -> list[str]:
    """Whether the chain holds, and its head to note."""
    head = f"{verdict['records']}:{verdict['head']}"
    waiting = f", {verdict['waiting']} not yet linked" if verdict.get("waiting") else ""
    if verdict["ok"]:
        lines = [f"{paint('the record is whole', 'green')}: {count(verdict['records'], 'record')}{waiting}"]
    else:
        lines = [paint("the record was altered:", "red"), *[f"  {one_line(said, 300)}" for said in verdict["problems"]]]
    return [*lines, f"head  {head}"]
