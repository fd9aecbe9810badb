"""Calls as lines."""

from typing import Any

from interlock.cli.output import Paint, fields
from interlock.cli.views.effects import argument_lines, effect_lines, effect_summary
from interlock.cli.words import block, clean, compact, moment, one_line, short, size


def decision_words(call: dict[str, Any], paint: Paint) -> str:
    """Class, decision and the rules that led to it, as `write allow (default-write)`."""
    parts = [call.get("class") or "unclassified"]
    if call.get("egress"):
        parts.append("egress")
    if call.get("decision"):
        parts.append(paint.state(str(call["decision"])))
    rules = ", ".join(call.get("rules") or [])
    return " ".join(parts) + (f" ({rules})" if rules else "")


def call_lines(call: dict[str, Any], paint: Paint) -> list[str]:
    """One call in the story of a task: a line, and what it did."""
    head = f"#{call['call_no']} {clean(call['tool'])}  {paint.state(call['state'])}  {decision_words(call, paint)}"
    lines = [head, f"   {compact(call.get('args') or {}, 160)}"]
    if call.get("agent_reason"):
        lines.append(f"   because: {one_line(call['agent_reason'], 160)}")
    if call.get("decision") in ("ask", "deny") or call["state"] in ("denied", "expired"):
        lines += [f"   rule: {one_line(reason, 160)}" for reason in call.get("reasons") or []]
    if call.get("is_effect") and call.get("effect"):
        lines.append(f"   effect {short(call['id'])}: {effect_summary(call['effect'])}")
    if call.get("undo") not in (None, "none"):
        lines.append(f"   undo: {paint.state(call['undo'])}: {one_line(call.get('undo_note') or '', 160)}")
    if call["state"] == "in_doubt":
        lines.append(f"   whether it took effect is unknown: interlock calls show {short(call['id'])}")
    return lines


def call_page(call: dict[str, Any], paint: Paint) -> list[str]:
    """All of one call."""
    pairs: list[tuple[str, str | None]] = [
        ("task", f"{short(call['task'])}, run {call['run']}"),
        ("decision", decision_words(call, paint)),
        ("why", "\n".join(clean(reason) for reason in call.get("reasons") or [])),
        ("plan entry", call.get("plan_entry")),
        ("agent says", one_line(call.get("agent_reason") or "", 400)),
        ("approval", short(call["approval"]) if call.get("approval") else None),
        ("proposed", moment(call.get("created_at"))),
        ("started", moment(call["started_at"]) if call.get("started_at") else None),
        ("ended", moment(call["ended_at"]) if call.get("ended_at") else None),
    ]
    if call.get("undo") not in (None, "none"):
        pairs.append(("undo", f"{paint.state(call['undo'])}: {clean(call.get('undo_note') or '')}"))
    lines = [f"call {paint(short(call['id']), 'bold')}  {clean(call['tool'])}  {paint.state(call['state'])}"]
    lines += fields(pairs, paint)
    lines += [f"  {paint('arguments', 'dim')}", *argument_lines(call.get("args") or {}, 4)]
    lines += effect_lines(call.get("effect"), paint)
    result = call.get("result")
    if result:
        lines += [f"  {paint('result', 'dim')}", *block(str(result.get("text", "")), 4)]
        lines += _artifact_lines(result.get("artifacts") or [], paint)
    return [*lines, *next_step(call)]


def _artifact_lines(artifacts: list[dict[str, Any]], paint: Paint) -> list[str]:
    """What was answered beyond the text, and where to get it."""
    if not artifacts:
        return []
    rows = [
        f"    {found['sha256'][:12]}  {size(found['size_bytes'])}  {one_line(found['mime'], 60)}  {clean(found['name'])}"
        for found in artifacts
    ]
    return [f"  {paint('artifacts', 'dim')} (--artifact SHA)", *rows]


def next_step(call: dict[str, Any]) -> list[str]:
    """What to type next about a call."""
    name = short(call["id"])
    if call["state"] == "in_doubt":
        return [f"next: interlock calls resolve {name} --done|--not-done --reason TEXT"]
    if call["state"] == "held" and call.get("approval"):
        return [f"next: interlock approve {short(call['approval'])}"]
    if call.get("is_effect") and call.get("undo") == "none" and call["state"] == "done":
        return [f"next: interlock undo {name}"]
    return []
