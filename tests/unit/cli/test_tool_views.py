"""Tools and their servers as lines, and what trying them found."""

from typing import Any

from interlock.cli.output import Paint
from interlock.cli.views import calls
from interlock.cli.views.tool_tests import tests_lines as lines_of_tests
from interlock.cli.views.tools import pin_question, tool_page, tools_table

PLAIN = Paint()


def a_tool(**changes: Any) -> dict[str, Any]:
    found = {
        "tool": "git.log",
        "title": None,
        "description": "Shows\nthe log",
        "input_schema": {"properties": {"path": {"type": "string", "description": "where"}}, "required": []},
        "annotations": {"readOnlyHint": True, "title": None},
        "pin": "accepted",
        "pin_sha256": "cd" * 32,
        "internal": False,
        "class": "read",
        "declared": True,
        "egress": False,
    }
    return {**found, **changes}


def a_sighting(**changes: Any) -> dict[str, Any]:
    found = {
        "tool": "git.log",
        "kind": "changed",
        "sha256": "ee" * 32,
        "seen_at": "2026-12-24T18:00:00+00:00",
        "was": None,
        "diff": ["- Shows the log.", "+ Shows the log and mails it.\x1b[8m"],
    }
    return {**found, **changes}


def a_server(**changes: Any) -> dict[str, Any]:
    found = {
        "server": "git",
        "kind": "command",
        "state": "ready",
        "reason": "ready",
        "since": "2026-12-24T18:00:00+00:00",
        "required": True,
        "pid": 42,
        "restarts": 3,
        "sandbox": "bubblewrap",
        "stderr_tail": ["listening"],
        "tools": [a_tool()],
        "sightings": [],
        "advice": [],
        "breakers": [],
    }
    return {**found, **changes}


def test_tools_with_class_and_pin() -> None:
    lines = tools_table([a_tool(), a_tool(tool="git.push", declared=False, pin="changed")], PLAIN, None)
    assert lines[1].split() == ["git.log", "read", "accepted", "Shows", "the", "log"]
    assert lines[4].startswith("class ?: nobody declared it; it is read off the definition")
    assert lines[-2] == "1 tool in quarantine, refused until accepted: git.push"
    assert lines[-1] == "next: interlock tools show git.push, then: interlock tools pin git.push"
    assert "quarantine" not in "\n".join(tools_table([a_tool()], PLAIN, None))


def test_one_tool() -> None:
    page = tool_page(a_tool(pin="changed"), PLAIN)
    assert page[0] == "tool git.log"
    assert '    path?  "string"  where' in page
    assert any(line.split() == ["hints", '{"readOnlyHint":', "true}"] for line in page)
    assert page[-1] == "next: interlock tools pin git.log"


def test_one_tool_with_all_that_is_known_of_it() -> None:
    page = tool_page(
        a_tool(
            pin="changed",
            contract={
                "class": "read",
                "rate": "9/m",
                "control": ["path"],
                "fallbacks": [{"tool": "hg.log", "args": {}}],
            },
            proposed={"class": "write", "egress": True, "arg_dependent": True, "reasons": ["write: it mails"]},
            breaker={"phase": "open", "failures": 5, "retry_after_s": 20.0, "reason": "it died"},
            sighting=a_sighting(),
            advice=[{"kind": "invisible", "where": "description", "quote": "\u200b", "why": "nobody sees it"}],
        ),
        PLAIN,
    )
    text = "\n".join(page)
    for part in (
        "  rate       9/m",
        "  fallbacks  hg.log",
        '  contract   {"control": ["path"]}',
        "  proposed   write, sends data out, milder for some arguments",
        "             - write: it mails",
        "  breaker    open after 5 failures in a row: it died; next try in 20 s",
        "  git.log was changed since it was accepted, first seen 2026-12-24 18:00:00Z",
        "    - Shows the log.",
        "    + Shows the log and mails it.\\x1b[8m",
        "  look at this before you accept it (advice only)",
        "    description: \\u200b",
        "      nobody sees it",
    ):
        assert part in text, part


def test_one_server() -> None:
    page = tool_page(
        a_server(
            sightings=[
                a_sighting(tool="git.ls", kind="new", was="git.list"),
                a_sighting(tool="git.list", kind="missing", diff=[]),
            ],
            advice=[{"tool": "git.ls", "kind": "long", "where": "description", "quote": "", "why": "it is long"}],
            breakers=[{"tool": "git.log", "phase": "half_open", "failures": 5, "retry_after_s": 0.0, "reason": "gone"}],
        ),
        PLAIN,
    )
    text = "\n".join(page)
    for part in (
        "  state     ready since 2026-12-24 18:00:00Z",
        "  process   42",
        "  restarts  3",
        "    listening",
        "  breaker of git.log: half open after 5 failures in a row: gone; the next call tries",
        "  git.ls is new since its server was accepted",
        "    it may be git.list under another name; the difference from that:",
        "  git.list was accepted and is not offered any more",
        "    git.ls description\n      it is long",
        "to forget what is not offered any more: interlock tools pin git",
    ):
        assert part in text, part


def test_one_server_that_does_not_start() -> None:
    server = {"server": "x", "state": "parked", "reason": "gone", "stderr_tail": ["boom"], "tools": []}
    page = tool_page(server, PLAIN)
    assert page[:3] == ["tool server x", "  state  parked", "  why    gone"]
    assert "    boom" in page
    assert page[-1] == "next: interlock tools restart x"


def test_a_long_difference_is_cut_and_says_so() -> None:
    page = tool_page(a_tool(sighting=a_sighting(diff=[f"+ {n}" for n in range(100)])), PLAIN)
    assert "    … 40 more lines; --json shows all" in page


def test_what_accepting_would_mean() -> None:
    assert pin_question(a_tool(pin="changed")) == ("accept it as it is now", {"git.log": "cd" * 32})
    assert pin_question(a_tool(pin="missing"))[0] == "forget it, as it is gone"
    tools = [
        a_tool(),
        a_tool(tool="git.a", pin="new", pin_sha256="a"),
        a_tool(tool="git.b", pin="changed", pin_sha256="b"),
    ]
    said, seen = pin_question(a_server(tools=tools, sightings=[a_sighting(tool="git.c", kind="missing", sha256="c")]))
    assert said == "accept 3 tools as they are now (1 new, 1 changed, 1 unchanged, forget 1 that are gone)"
    assert seen == {"git.log": "cd" * 32, "git.a": "a", "git.b": "b", "git.c": "c"}


def a_test(**changes: Any) -> dict[str, Any]:
    found = {
        "server": "git",
        "kind": "command",
        "required": True,
        "state": "ready",
        "start_s": 1.24,
        "tools": 12,
        "pins": {"new": 0, "changed": 0, "missing": 0},
        "first_seen": False,
        "sandbox": "landlock (bwrap is not installed)",
        "call": "ok",
        "tool": "git.status",
        "call_ms": 41.6,
        "reason": "",
        "passed": True,
    }
    return {**found, **changes}


def test_what_trying_the_servers_found() -> None:
    down = a_test(
        server="sql", state="degraded", tools=0, pins=None, call="none", tool=None, passed=False, reason="gone"
    )
    changed = a_test(server="crm", pins={"new": 1, "changed": 2, "missing": 0}, required=False, passed=False)
    lines = lines_of_tests([a_test(), down, changed], PLAIN, None)
    assert lines[0].split() == ["SERVER", "KIND", "STATE", "START", "TOOLS", "PINS", "SANDBOX", "CALL", "WHY"]
    assert lines[1].split() == [
        "git",
        "command",
        "ready",
        "1.2",
        "s",
        "12",
        "ok",
        "landlock",
        "ok",
        "status",
        "42",
        "ms",
    ]
    assert "degraded" in lines[2]
    assert lines[2].split()[-5:] == ["0", "?", "landlock", "none", "gone"]
    assert "1 new, 2 changed" in lines[3]
    assert lines[5:] == [
        "1 required server failed: sql",
        "1 server that runs do without failed: crm",
        "next: interlock doctor",
    ]
    assert lines_of_tests([a_test(first_seen=True)], PLAIN, None)[-1] == "every server passed"
    assert lines_of_tests([changed], PLAIN, None)[-1] == (
        "next: interlock tools show crm, then: interlock tools pin crm"
    )
    assert lines_of_tests([], PLAIN, None) == ["no tool servers are configured"]


def test_the_artifacts_of_a_call() -> None:
    artifact = {"sha256": "ab" * 32, "mime": "image/png", "size_bytes": 1_234_567, "name": "attachment-1.png"}
    call = {
        "id": "01a20f94-5242-7902-a6a1-8d7c9edc181b", "task": "01a20f94-296e-7e8b-9903-1fe400161aec", "run": 1,
        "tool": "web.shot", "state": "done", "class": "read", "args": {}, "created_at": None,
        "result": {"ok": True, "text": "[image/png]", "artifacts": [artifact]},
    }  # fmt: skip
    page = calls.call_page(call, PLAIN)
    assert "  artifacts (--artifact SHA)" in page
    assert "    abababababab  1.2 MB  image/png  attachment-1.png" in page
