"""What happened to a task when, a line each: how long it took, and what it cost."""

from typing import Any

from interlock.cli.output import Paint, table
from interlock.cli.views.tasks import task_line
from interlock.cli.words import moment, one_line, span

_TEXT_CHARS = 300
_LONG = frozenset({"run", "wait", "model", "approval", "call"})  # what goes on for a while


def timeline_page(task: dict[str, Any], paint: Paint, width: int | None) -> list[str]:
    """The task in a line, its timeline, and the sum of what its runs cost."""
    entries = task.get("timeline") or []
    rows = [
        [
            moment(entry["at"]),
            "" if entry["run"] is None else str(entry["run"]),
            entry["kind"],
            _took(entry),
            _cost(entry["cost_usd"]),
            one_line(entry["text"], _TEXT_CHARS),
        ]
        for entry in entries
    ]
    lines = [task_line(task, paint), ""]
    lines += table(["at", "run", "what", "took", "usd", "which"], rows, paint, width)
    total = sum(run.get("cost_usd") or 0.0 for run in task.get("runs") or [])
    return [*lines, "", f"models cost {total:.4f} USD"] if total else lines


def _took(entry: dict[str, Any]) -> str:
    if entry["duration_s"] is None:
        return "…" if entry["kind"] in _LONG else ""
    return span(entry["duration_s"])


def _cost(amount_usd: float | None) -> str:
    return f"{amount_usd:.4f}" if amount_usd else ""
