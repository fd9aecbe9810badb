"""Questions to people as lines: everything that an approval would let happen."""

import datetime
from typing import Any

from interlock.cli.output import Paint, fields, table
from interlock.cli.views.effects import argument_lines, effect_lines, effect_summary
from interlock.cli.words import age, block, clean, moment, one_line, short, span

ACCEPT = "interlock.accept_result"


def approvals_table(items: list[dict[str, Any]], now: datetime.datetime, paint: Paint, width: int | None) -> list[str]:
    """Questions, oldest first."""
    if not items:
        return ["nothing waits for you"]
    rows = [
        [
            short(item["id"]),
            item["state"],
            short(item["task"]),
            one_line(item["shown"].get("agent", ""), 24),
            one_line(item["shown"].get("tool", ""), 40),
            age(item["requested_at"], now),
            effect_summary(item["shown"].get("effect")),
        ]
        for item in items
    ]
    lines = table(["id", "state", "task", "agent", "tool", "asked", "effect"], rows, paint, width)
    waiting = [item for item in items if item["state"] == "pending"]
    if waiting:
        lines += ["", f"next: interlock approvals show {short(waiting[0]['id'])}"]
    return lines


def approval_page(item: dict[str, Any], now: datetime.datetime, paint: Paint) -> list[str]:
    """One question: who wants to do what to what, why it is asked, and what it would change."""
    shown = item["shown"]
    traits = [shown.get("class") or "unclassified"]
    traits += ["sends data out"] if shown.get("egress") else []
    result = shown.get("tool") == ACCEPT  # a result that waits for a person, no call that changes anything
    traits += [] if result else ["can be taken back" if shown.get("reversible") else "can NOT be taken back"]
    if shown.get("tainted"):
        traits.append("the task has read untrusted content")
    pairs: list[tuple[str, str | None]] = [
        ("task", short(item["task"])),
        ("agent", clean(str(shown.get("agent", "")))),
        ("request", clean(str(shown.get("request", "")))),
        ("tool", paint("a result, to be accepted" if result else clean(str(shown.get("tool", ""))), "bold")),
        ("class", None if result else ", ".join(traits)),
        ("asked because", "\n".join(_why(shown))),
        ("agent says", one_line(shown.get("agent_reason") or "", 400)),
        ("plan entry", shown.get("plan_entry")),
        ("asked", moment(item["requested_at"])),
        ("expires", _expiry(item, now)),
        ("decided", _decision(item)),
    ]
    lines = [f"approval {paint(short(item['id']), 'bold')}  {paint.state(item['state'])}", *fields(pairs, paint)]
    lines += [f"  {paint('arguments', 'dim')}", *argument_lines(shown.get("args") or {}, 4)]
    lines += effect_lines(shown.get("effect"), paint)
    if not shown.get("effect") and not result:
        lines.append(f"  {paint('effect', 'dim')}  can't be shown beforehand")
    return [*lines, f"  {paint('bound to', 'dim')}  {item['binding_sha256']}"]


def _why(shown: dict[str, Any]) -> list[str]:
    return [clean(str(reason)) for reason in shown.get("reasons") or []] or list(shown.get("rules") or [])


def _expiry(item: dict[str, Any], now: datetime.datetime) -> str | None:
    if item["state"] != "pending" or not item.get("expires_at"):
        return None
    left_s = (datetime.datetime.fromisoformat(item["expires_at"]) - now).total_seconds()
    return f"{moment(item['expires_at'])} (in {span(max(0.0, left_s))})"


def _decision(item: dict[str, Any]) -> str | None:
    if not item.get("decided_by"):
        return None
    reason = f": {one_line(item['reason'], 300)}" if item.get("reason") else ""
    return f"{item['state']} by {clean(item['decided_by'])} at {moment(item.get('decided_at'))}{reason}"


def _elsewhere(step: dict[str, Any], plan: dict[str, Any]) -> str:
    """Of a task that the one in question gave away."""
    task = step.get("task")
    return f" of task {short(task)}" if task and task != plan.get("of", task) else ""


def undo_lines(plan: dict[str, Any], paint: Paint) -> list[str]:
    """What an undo does, or would do: the steps in order, and what can't be taken back."""
    lines = [
        f"  {number}. call #{step['call_no']} {clean(step['tool'])}{_elsewhere(step, plan)}:"
        f" {effect_summary(step.get('effect'))}"
        for number, step in enumerate(plan.get("steps") or [], 1)
    ]
    for call in plan.get("impossible") or []:
        why = paint("can't be undone", "red")
        which = f"call #{call['call_no']} {clean(call['tool'])}{_elsewhere(call, plan)}"
        lines += [f"  {which} {why}:", *block(str(call["why"]), 4)]
    return lines
