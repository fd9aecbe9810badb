"""Tools and their servers as lines."""

from typing import Any

from interlock.cli.output import Paint, fields, table
from interlock.cli.words import block, clean, compact, one_line


def tools_table(tools: list[dict[str, Any]], paint: Paint, width: int | None) -> list[str]:
    """Tools with class and pin."""
    if not tools:
        return ["no tools; interlock status shows the health of the servers"]
    rows = [
        [
            tool["tool"],
            str(tool.get("class") or "?") + ("" if tool.get("declared") else " ?"),
            tool["pin"],
            one_line(tool.get("description") or tool.get("title") or "", 300),
        ]
        for tool in tools
    ]
    lines = table(["tool", "class", "pin", "what it does"], rows, paint, width)
    if any(not tool.get("declared") for tool in tools):
        lines += ["", "class ?: nobody declared it, so it counts as destructive until interlock.yaml says otherwise"]
    unpinned = [tool["tool"] for tool in tools if tool["pin"] != "accepted"]
    if unpinned:
        lines += ["", f"next: interlock tools show {unpinned[0]}, then: interlock tools pin {unpinned[0]}"]
    return lines


def tool_page(found: dict[str, Any], paint: Paint) -> list[str]:
    """One tool, or one server with its health and its tools."""
    return _tool_lines(found, paint) if "tool" in found else _server_lines(found, paint)


def _tool_lines(tool: dict[str, Any], paint: Paint) -> list[str]:
    said = "declared" if tool.get("declared") else "nobody declared it, so it counts as destructive"
    hints = {name: value for name, value in (tool.get("annotations") or {}).items() if value is not None}
    pairs: list[tuple[str, str | None]] = [
        ("title", one_line(tool.get("title") or "", 200)),
        ("class", f"{tool.get('class')} ({said})"),
        ("pin", f"{paint.state(tool['pin'])}  {tool['pin_sha256']}"),
        ("hints", compact(hints, 300) if hints else None),
        ("internal", "only the gate uses it" if tool.get("internal") else None),
    ]
    lines = [f"tool {paint(clean(tool['tool']), 'bold')}", *fields(pairs, paint)]
    lines += [f"  {paint('description', 'dim')}", *block(tool.get("description") or "none", 4, 200)]
    lines += [f"  {paint('arguments', 'dim')}", *_schema_lines(tool.get("input_schema") or {})]
    return lines if tool["pin"] == "accepted" else [*lines, f"next: interlock tools pin {tool['tool']}"]


def _schema_lines(schema: dict[str, Any]) -> list[str]:
    properties = schema.get("properties") or {}
    required = set(schema.get("required") or [])
    if not properties:
        return ["    none"]
    lines = []
    for name, about in properties.items():
        kind = about.get("type") if isinstance(about, dict) else None
        words = one_line(about.get("description") or "", 160) if isinstance(about, dict) else ""
        lines.append(
            f"    {clean(name)}{'' if name in required else '?'}  {compact(kind or 'any', 60)}  {words}".rstrip()
        )
    return lines


def _server_lines(server: dict[str, Any], paint: Paint) -> list[str]:
    pairs = [("state", paint.state(server["state"])), ("why", one_line(server.get("reason") or "", 400))]
    pairs += [("sandbox", one_line(server["sandbox"], 400))] if server.get("sandbox") else []
    lines = [f"tool server {paint(server['server'], 'bold')}", *fields(pairs, paint)]
    if server.get("stderr_tail"):
        lines += [f"  {paint('it said last', 'dim')}", *block("\n".join(server["stderr_tail"]), 4)]
    return [*lines, "", *tools_table(server.get("tools") or [], paint, None)]
