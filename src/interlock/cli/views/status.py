"""The status screen and the lines that `up` prints."""

from typing import Any

from interlock.cli.output import Paint, fields
from interlock.cli.words import clean, count, one_line


def status_page(status: dict[str, Any], url: str, paint: Paint) -> list[str]:
    """One screen: healthy or not and why, then what there is."""
    healthy = paint("is healthy", "green") if status.get("healthy") else paint("needs a look", "yellow")
    states = status.get("tasks") or {}
    tasks = ", ".join(f"{number} {state}" for state, number in sorted(states.items()) if number)
    workers = status.get("workers") or []
    pending = int(status.get("approvals_pending") or 0)
    pairs = [
        ("server", url),
        ("version", str(status.get("version", ""))),
        ("workers", ", ".join(_worker_word(worker, paint) for worker in workers) or "none"),
        ("tasks", tasks or "none open"),
        ("approvals", f"{count(pending, 'question')} for you" if pending else "none wait"),
        ("tools", ", ".join(_tool_word(tool, paint) for tool in status.get("tools") or []) or "none"),
        ("halted", ", ".join(clean(halt["scope"]) for halt in status.get("halts") or [])),
        ("config", _config_word(status)),
    ]
    lines = [f"interlock {healthy}", *fields(pairs, paint)]
    lines += [f"  {paint('!', 'yellow')} {one_line(warning, 300)}" for warning in status.get("warnings") or []]
    if pending:
        lines += ["next: interlock approvals list"]
    return lines


def _worker_word(worker: dict[str, Any], paint: Paint) -> str:
    name = f"{worker['host']}:{worker['pid']}"
    return f"{name} {paint('idle', 'yellow')}" if worker.get("idle_because") else name


def _config_word(status: dict[str, Any]) -> str:
    number = status.get("config_version")
    sha256 = str(status.get("config_sha256") or "")[:12]
    return f"{sha256} (version {number})" if number else sha256


def _tool_word(tool: dict[str, Any], paint: Paint) -> str:
    number = f" ({tool['tools']})" if tool.get("tools") else ""
    return f"{tool['server']} {paint.state(tool['state'])}{number}"


def up_lines(summary: dict[str, Any], paint: Paint) -> list[str]:
    """What `up` started."""
    agents = summary.get("agents") or []
    pairs: list[tuple[str, str | None]] = [
        ("database", summary.get("database")),
        ("tools", "\n".join(_server_line(tool, paint) for tool in summary.get("tools") or []) or "none configured"),
        ("agents", ", ".join(agents) or "none configured: interlock init"),
        ("workers", str(summary.get("workers"))),
        ("policy", summary.get("policy")),
        ("token", f"in {summary.get('token_file')}"),
        ("server", summary.get("url")),
    ]
    lines = [f"interlock {summary.get('version', '')}  {clean(str(summary.get('folder', '')))}", *fields(pairs, paint)]
    lines += [f"  {paint('note', 'yellow')}  {one_line(note, 400)}" for note in summary.get("notes") or []]
    return [*lines, f"ready in {summary.get('ready_s', 0):.1f} s"]


def _server_line(tool: dict[str, Any], paint: Paint) -> str:
    number = f", {count(int(tool['tools']), 'tool')}" if tool.get("tools") else ""
    why = f": {one_line(tool['reason'], 200)}" if tool.get("reason") and tool["state"] != "ready" else ""
    return f"{tool['server']} {paint.state(tool['state'])}{number}{why}"


def findings_lines(findings: list[dict[str, Any]], paint: Paint) -> list[str]:
    """What `doctor` found: good, missing, or optional, and the fix."""
    width = max(len(found["name"]) for found in findings)
    lines: list[str] = []
    for found in findings:
        if found["ok"]:
            mark = paint("ok  ", "green")
        else:
            mark = paint("FAIL", "red") if found["required"] else paint("note", "yellow")
        first, *more = clean(found["found"]).splitlines() or [""]
        lines.append(f"{mark}  {found['name']:<{width}}  {first}")
        lines += [f"{'':{width + 8}}{line}" for line in more]
        if not found["ok"] and found.get("fix"):
            lines.append(f"{'':{width + 8}}{paint('fix:', 'dim')} {found['fix']}")
    failed = [found for found in findings if found["required"] and not found["ok"]]
    said = f"{count(len(failed), 'required check')} failed" if failed else "all required checks passed"
    return [*lines, said]
