"""Tools and their servers as lines."""

from typing import Any

from interlock.cli.output import Paint, fields, table
from interlock.cli.words import block, clean, compact, count, moment, one_line, span

_UNDECLARED = (
    "class ?: nobody declared it; it is read off the definition, and a contract in interlock.yaml overrules it"
)
_MAX_DIFF_LINES = 60
_MAX_ADVICE = 20


def tools_table(tools: list[dict[str, Any]], paint: Paint, width: int | None) -> list[str]:
    """Tools with class and pin; those that are not the accepted ones are marked, as no agent can call them."""
    if not tools:
        return ["no tools; interlock status shows the health of the servers"]
    rows = [
        [
            clean(tool["tool"]),
            str(tool.get("class") or "?") + ("" if tool.get("declared") else " ?"),
            tool["pin"],
            one_line(tool.get("description") or tool.get("title") or "", 300),
        ]
        for tool in tools
    ]
    lines = table(["tool", "class", "pin", "what it does"], rows, paint, width)
    if any(not tool.get("declared") for tool in tools):
        lines += ["", _UNDECLARED]
    quarantined = [clean(tool["tool"]) for tool in tools if tool["pin"] != "accepted"]
    if quarantined:
        said = f"{count(len(quarantined), 'tool')} in quarantine, refused until accepted"
        lines += [
            "",
            f"{paint(said, 'red')}: {one_line(', '.join(quarantined), 300)}",
            f"next: interlock tools show {quarantined[0]}, then: interlock tools pin {quarantined[0]}",
        ]
    return lines


def tool_page(found: dict[str, Any], paint: Paint) -> list[str]:
    """One tool, or one server with its health and its tools."""
    return _tool_lines(found, paint) if "tool" in found else _server_lines(found, paint)


def _tool_lines(tool: dict[str, Any], paint: Paint) -> list[str]:
    contract, hints = dict(tool.get("contract") or {}), tool.get("annotations") or {}
    hints = {name: value for name, value in hints.items() if value is not None}
    fallbacks = contract.pop("fallbacks", [])
    rate = contract.pop("rate", None)
    declared = {name: value for name, value in contract.items() if name not in ("class", "egress")}
    pairs: list[tuple[str, str | None]] = [
        ("title", one_line(tool.get("title") or "", 200)),
        ("class", _class_words(tool)),
        ("proposed", _proposed_words(tool.get("proposed"))),
        ("egress", _egress_words(tool)),
        ("pin", f"{paint.state(tool['pin'])}  {tool['pin_sha256']}"),
        ("hints", compact(hints, 300) if hints else None),
        ("contract", compact(declared, 400) if declared else None),
        ("rate", rate),
        ("fallbacks", ", ".join(clean(str(one["tool"])) for one in fallbacks)),
        ("breaker", _breaker_words(tool.get("breaker"), paint)),
        ("internal", "only the gate uses it" if tool.get("internal") else None),
    ]
    lines = [f"tool {paint(clean(tool['tool']), 'bold')}", *fields(pairs, paint)]
    lines += [f"  {paint('description', 'dim')}", *block(tool.get("description") or "none", 4, 200)]
    lines += [f"  {paint('arguments', 'dim')}", *_schema_lines(tool.get("input_schema") or {})]
    lines += _sighting_lines(tool["sighting"], paint) if tool.get("sighting") else []
    lines += _advice_lines(tool.get("advice") or [], paint)
    return lines if tool["pin"] == "accepted" else [*lines, f"next: interlock tools pin {clean(tool['tool'])}"]


def _class_words(tool: dict[str, Any]) -> str | None:
    if tool.get("class") is None:
        return None
    return f"{tool['class']} ({'declared' if tool.get('declared') else 'nobody declared it; read off the definition'})"


def _proposed_words(proposed: dict[str, Any] | None) -> str | None:
    """What the definition alone tells; a reason for each line, the most important first."""
    if not proposed:
        return None
    leaves = ", sends data out" if proposed.get("egress") else ""
    depends = ", milder for some arguments" if proposed.get("arg_dependent") else ""
    reasons = [f"- {one_line(reason, 200)}" for reason in proposed.get("reasons") or []]
    return "\n".join([f"{proposed['class']}{leaves}{depends}", *reasons])


def _egress_words(tool: dict[str, Any]) -> str | None:
    declared = tool.get("egress")
    if declared is None:
        return None
    return "yes, data can leave by it (declared)" if declared else "no (declared)"


def _breaker_words(breaker: dict[str, Any] | None, paint: Paint) -> str | None:
    if not breaker:
        return None
    failures = f"{count(int(breaker['failures']), 'failure')} in a row: {one_line(breaker.get('reason') or '', 200)}"
    phase = str(breaker["phase"]).replace("_", " ")
    if phase == "closed":
        return f"closed, {failures}"
    wait = (
        f"; next try in {span(breaker['retry_after_s'])}" if breaker.get("retry_after_s") else "; the next call tries"
    )
    return f"{paint(phase, 'red')} after {failures}{wait}"


def _schema_lines(schema: dict[str, Any]) -> list[str]:
    properties = schema.get("properties") or {}
    required = set(schema.get("required") or [])
    if not isinstance(properties, dict) or not properties:
        return ["    none"]
    lines = []
    for name, about in properties.items():
        kind = about.get("type") if isinstance(about, dict) else None
        words = one_line(about.get("description") or "", 160) if isinstance(about, dict) else ""
        lines.append(
            f"    {clean(name)}{'' if name in required else '?'}  {compact(kind or 'any', 60)}  {words}".rstrip()
        )
    return lines


def _sighting_lines(sighting: dict[str, Any], paint: Paint) -> list[str]:
    """What became of a tool since it was accepted, and the difference."""
    name, since = clean(sighting["tool"]), moment(sighting.get("seen_at"))
    said = {
        "new": f"{name} is new since its server was accepted, first seen {since}",
        "changed": f"{name} was changed since it was accepted, first seen {since}",
        "missing": f"{name} was accepted and is not offered any more, since {since}",
    }[sighting["kind"]]
    lines = [f"  {paint(said, 'yellow')}"]
    if sighting.get("was"):
        lines.append(f"    it may be {clean(sighting['was'])} under another name; the difference from that:")
    diff = [clean(line) for line in sighting.get("diff") or []]
    lines += [f"    {_coloured(line, paint)}" for line in diff[:_MAX_DIFF_LINES]]
    if len(diff) > _MAX_DIFF_LINES:
        lines.append(f"    … {count(len(diff) - _MAX_DIFF_LINES, 'more line')}; --json shows all")
    return lines


def _coloured(line: str, paint: Paint) -> str:
    return paint(line, {"+": "green", "-": "red"}.get(line.lstrip()[:1]))


def _advice_lines(advice: list[dict[str, Any]], paint: Paint) -> list[str]:
    """What a person should look at before accepting; it decides nothing."""
    if not advice:
        return []
    lines = [f"  {paint('look at this before you accept it (advice only)', 'yellow')}"]
    for found in advice[:_MAX_ADVICE]:
        where = f"{clean(found['tool'])} " if found.get("tool") else ""
        quote = f": {one_line(found['quote'], 140)}" if found.get("quote") else ""
        lines.append(f"    {where}{one_line(found['where'], 100)}{quote}")
        lines.append(f"      {one_line(found['why'], 200)}")
    if len(advice) > _MAX_ADVICE:
        lines.append(f"    … and {len(advice) - _MAX_ADVICE} more; --json shows all")
    return lines


def _server_lines(server: dict[str, Any], paint: Paint) -> list[str]:
    since = f" since {moment(server['since'])}" if server.get("since") else ""
    restarts = server.get("restarts")
    required = server.get("required")
    pairs: list[tuple[str, str | None]] = [
        ("kind", server.get("kind")),
        ("state", f"{paint.state(server['state'])}{since}"),
        ("why", one_line(server.get("reason") or "", 400) if server["state"] != "ready" else None),
        ("required", None if required is None else "yes" if required else "no: runs do without it"),
        ("process", str(server["pid"]) if server.get("pid") else None),
        ("restarts", str(restarts) if restarts else None),
        ("sandbox", one_line(server.get("sandbox") or "", 400)),
    ]
    lines = [f"tool server {paint(server['server'], 'bold')}", *fields(pairs, paint)]
    if server.get("stderr_tail"):
        lines += [f"  {paint('it said last', 'dim')}", *block("\n".join(server["stderr_tail"]), 4)]
    for breaker in server.get("breakers") or []:
        lines.append(f"  breaker of {clean(breaker['tool'])}: {_breaker_words(breaker, paint)}")
    sightings = server.get("sightings") or []
    for sighting in sightings:
        lines += ["", *_sighting_lines(sighting, paint)]
    lines += [""] if server.get("advice") else []
    lines += [
        *_advice_lines(server.get("advice") or [], paint),
        "",
        *tools_table(server.get("tools") or [], paint, None),
    ]
    if any(sighting["kind"] == "missing" for sighting in sightings):
        lines.append(f"to forget what is not offered any more: interlock tools pin {server['server']}")
    if server["state"] in ("parked", "degraded"):
        lines.append(f"next: interlock tools restart {server['server']}")
    return lines


def pin_question(found: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """What accepting a tool or server would mean, in a sentence, and the hashes of all that it was shown of it."""
    if "tool" in found:
        seen = {found["tool"]: found["pin_sha256"]}
        what = {"missing": "forget it, as it is gone", "accepted": "accept it again, as it is"}
        return what.get(found["pin"], "accept it as it is now"), seen
    tools, gone = found.get("tools") or [], [one for one in found.get("sightings") or [] if one["kind"] == "missing"]
    seen = {tool["tool"]: tool["pin_sha256"] for tool in tools} | {one["tool"]: one["sha256"] for one in gone}
    counted = {pin: sum(tool["pin"] == pin for tool in tools) for pin in ("new", "changed", "accepted")}
    parts = [f"{number} {pin}" for pin, number in counted.items() if number and pin != "accepted"]
    parts += [f"{counted['accepted']} unchanged"] if counted["accepted"] else []
    parts += [f"forget {len(gone)} that are gone"] if gone else []
    return f"accept {count(len(tools), 'tool')} as they are now ({', '.join(parts) or 'none'})", seen
