"""Agents as lines."""

from typing import Any

from interlock.cli.output import Paint, fields, table
from interlock.cli.words import clean, compact, one_line, span


def agents_table(items: list[dict[str, Any]], paint: Paint, width: int | None) -> list[str]:
    """The configured agents."""
    if not items:
        return ["no agent is configured; interlock init writes two"]
    rows = [
        [item["name"], item.get("model") or "default", one_line(", ".join(item["tools"]) or "none", 400)]
        for item in items
    ]
    return table(["agent", "model", "tools"], rows, paint, width)


def agent_page(agent: dict[str, Any], paint: Paint) -> list[str]:
    """One agent."""
    limits = agent.get("limits") or {}
    times = {name: span(float(limits[name])) for name in ("max_duration", "retry_delay") if name in limits}
    pairs: list[tuple[str, str | None]] = [
        ("model", agent.get("model") or "models.default of interlock.yaml"),
        ("instructions", clean(agent.get("instructions") or "")),
        ("tools", "\n".join(agent.get("tools") or []) or "none"),
        ("plan", "\n".join(_plan_line(entry) for entry in agent.get("plan") or []) or "none"),
        ("verify", "\n".join(_check_line(check) for check in agent.get("verify") or []) or "no checks"),
        ("limits", "\n".join(f"{name} {times.get(name, value)}" for name, value in limits.items())),
        ("questions", f"stay open for {span(float(agent['approval_ttl']))}" if agent.get("approval_ttl") else None),
    ]
    return [f"agent {paint(agent['name'], 'bold')}", *fields(pairs, paint), _next(agent)]


def _plan_line(entry: dict[str, Any]) -> str:
    times = f" up to {entry['count']} times" if entry.get("count", 1) != 1 else ""
    return f"{entry['tool']} {compact(entry.get('args') or {}, 200)}{times}"


SUBJECTS = ("tool", "file", "command", "schema", "effect", "judge", "person")


def _check_line(check: dict[str, Any]) -> str:
    subject = next(name for name in SUBJECTS if check.get(name) is not None)
    value = check[subject]
    words = [subject, value if isinstance(value, str) else compact(value, 120)]
    words += [f"with {compact(check['args'], 120)}"] if check.get("args") else []
    words += [f"must hold {compact(check['expect'], 120)}"] if check.get("expect") else []
    return " ".join(words)


def _next(agent: dict[str, Any]) -> str:
    return f'next: interlock submit "TEXT" --agent {agent["name"]} --wait'
