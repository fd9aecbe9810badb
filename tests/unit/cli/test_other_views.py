"""Approvals, status, agents and the record as lines."""

import datetime
from typing import Any

from interlock.cli.output import Paint
from interlock.cli.views import agents, approvals, audit, effects, status, triggers

PLAIN = Paint()
NOW = datetime.datetime(2026, 12, 24, 18, 0, tzinfo=datetime.UTC)
BINDING = "ab" * 32


def an_approval(**changes: Any) -> dict[str, Any]:
    shown = {
        "tool": "workspace.write",
        "args": {"path": "a.md", "content": "one\ntwo\n"},
        "class": "write",
        "egress": True,
        "agent": "writer",
        "request": "Write it",
        "agent_reason": "needed",
        "rules": ["default-write-ask"],
        "reasons": ["its effect can neither be staged nor taken back"],
        "plan_entry": None,
        "tainted": True,
        "reversible": False,
        "effect": {
            "files": [
                {
                    "path": "b.md",
                    "kind": "file",
                    "change": "moved",
                    "from": "a.md",
                    "bytes_before": 9,
                    "bytes_after": 9,
                },
                {"path": "c", "kind": "dir", "change": "created", "from": None, "bytes_before": 0, "bytes_after": 0},
            ],
            "files_changed": 1,
            "folders_changed": 1,
            "bytes_changed": 0,
            "diff": "@@ -1 +1 @@\n-old\n+new\n",
        },
    }
    approval = {
        "id": "01a20f94-53ca-7a65-ab74-703af6ae6c64",
        "task": "01a20f94-296e-7e8b-9903-1fe400161aec",
        "call": "01a20f94-5242-7902-a6a1-8d7c9edc181b",
        "state": "pending",
        "binding": {},
        "binding_sha256": BINDING,
        "shown": shown,
        "requested_at": "2026-12-24T17:59:00+00:00",
        "expires_at": "2026-12-24T19:00:00+00:00",
        "decided_by": None,
        "decided_at": None,
        "reason": "",
    }
    return {**approval, **changes}


def test_a_question_shows_everything_that_an_approval_would_let_happen() -> None:
    page = approvals.approval_page(an_approval(), NOW, PLAIN)
    assert page[0] == "approval f6ae6c64  pending"
    for line in (
        "  agent          writer",
        "  request        Write it",
        "  tool           workspace.write",
        "  class          write, sends data out, can NOT be taken back, the task has read untrusted content",
        "  asked because  its effect can neither be staged nor taken back",
        "  agent says     needed",
        "  expires        2026-12-24 19:00:00Z (in 1 h)",
        '    path     "a.md"',
        "    content",
        "      one",
        "      two",
        "  effect  1 file changed, 1 folder changed",
        "    moved     b.md from a.md  (9 B -> 9 B)",
        "    created   c  (0 B, dir)",
        "    -old",
        "    +new",
        f"  bound to  {BINDING}",
    ):
        assert line in page, "\n".join(page)


def test_a_question_about_something_that_can_not_be_previewed_says_so() -> None:
    shown = {**an_approval()["shown"], "effect": None}
    assert "  effect  can't be shown beforehand" in approvals.approval_page(an_approval(shown=shown), NOW, PLAIN)


def test_a_decided_question_says_who_and_why() -> None:
    decided = an_approval(state="denied", decided_by="person:admin", decided_at="2026-12-24T17:59:30Z", reason="no")
    page = approvals.approval_page(decided, NOW, PLAIN)
    assert "  decided        denied by person:admin at 2026-12-24 17:59:30Z: no" in page
    assert not any("expires" in line for line in page)


def test_the_list_of_questions_ends_with_what_to_type() -> None:
    lines = approvals.approvals_table([an_approval()], NOW, PLAIN, None)
    assert lines[1].split()[:5] == ["f6ae6c64", "pending", "00161aec", "writer", "workspace.write"]
    assert lines[-1] == "next: interlock approvals show f6ae6c64"
    assert approvals.approvals_table([], NOW, PLAIN, None) == ["nothing waits for you"]


def test_names_of_files_can_not_hide_what_they_are() -> None:
    effect = {
        "files": [{"path": "a\u202egpj.sh\n  deleted   b", "kind": "file", "change": "created", "bytes_after": 1}]
    }
    (line,) = effects.changed_files(effect)
    assert "\\u202e" in line
    assert "\n" not in line


def test_a_long_diff_says_that_it_is_cut() -> None:
    diff = "\n".join(f"+{n}" for n in range(500))
    lines = effects.diff_lines(diff, PLAIN, 0, 10)
    assert len(lines) == 11
    assert lines[-1] == "… 490 more lines; --json shows all"


def test_colours_of_a_diff() -> None:
    assert effects.diff_lines("-old\n+new\n same", Paint(True), 2) == [
        "  \x1b[31m-old\x1b[0m",
        "  \x1b[32m+new\x1b[0m",
        "   same",
    ]


def a_status(**changes: Any) -> dict[str, Any]:
    found = {
        "version": "1.2.3",
        "healthy": True,
        "warnings": [],
        "tasks": {"running": 2, "queued": 1},
        "approvals_pending": 0,
        "workers": [{"id": "w", "host": "box", "pid": 7, "heartbeat_at": None}],
        "tools": [{"server": "git", "state": "ready", "reason": "ready", "tools": 12}],
        "halts": [],
        "config_sha256": "0123456789abcdef",
    }
    return {**found, **changes}


def test_status_is_one_screen() -> None:
    page = status.status_page(a_status(), "http://127.0.0.1:7440", PLAIN)
    assert page[0] == "interlock is healthy"
    assert "  tasks      1 queued, 2 running" in page
    assert "  workers    box:7" in page
    assert "  tools      git ready (12)" in page
    assert len(page) <= 24


def test_status_says_what_needs_a_look() -> None:
    halts = [{"scope": "tool:git", "by": "person:admin", "reason": "odd"}]
    found = a_status(healthy=False, warnings=["no worker runs"], workers=[], approvals_pending=2, halts=halts)
    page = status.status_page(found, "u", PLAIN)
    assert page[0] == "interlock needs a look"
    assert "  ! no worker runs" in page
    assert "  halted     tool:git" in page
    assert page[-1] == "next: interlock approvals list"


def test_what_up_says() -> None:
    summary = {
        "version": "1.2.3",
        "folder": "/p",
        "database": "embedded PostgreSQL 18.4",
        "tools": [
            {"server": "git", "state": "ready", "reason": "ready", "tools": 1},
            {"server": "x", "state": "degraded", "reason": "no such command", "tools": 0},
        ],
        "agents": ["a", "b"],
        "workers": 2,
        "policy": "the defaults",
        "token_file": "/h/token",
        "url": "http://127.0.0.1:7440",
        "notes": ["policy.yaml:3: never matches"],
        "ready_s": 3.21,
    }
    lines = status.up_lines(summary, PLAIN)
    assert "  tools     git ready, 1 tool" in lines
    assert "            x degraded: no such command" in lines
    assert "  token     in /h/token" in lines
    assert "  note  policy.yaml:3: never matches" in lines
    assert lines[-1] == "ready in 3.2 s"


def test_what_doctor_says() -> None:
    findings = [
        {"name": "python", "ok": True, "required": True, "found": "3.12", "fix": ""},
        {"name": "database", "ok": False, "required": True, "found": "silent\nreally", "fix": "start it"},
        {"name": "pgvector", "ok": False, "required": False, "found": "not there", "fix": "install it"},
    ]
    assert status.findings_lines(findings, PLAIN) == [
        "ok    python    3.12",
        "FAIL  database  silent",
        "                really",
        "                fix: start it",
        "note  pgvector  not there",
        "                fix: install it",
        "1 required check failed",
    ]
    assert status.findings_lines(findings[:1], PLAIN)[-1] == "all required checks passed"


def test_agents() -> None:
    agent = {
        "name": "writer",
        "model": None,
        "instructions": "Be brief.",
        "tools": ["workspace.*"],
        "plan": [{"tool": "workspace.write", "args": {"path": "a"}, "count": 2}],
        "verify": [{"tool": "workspace.read", "args": {}, "expect": {"ok": True}}],
        "limits": {"max_duration": 900.0, "files": 20},
        "approval_ttl": 3600.0,
    }
    assert agents.agents_table([agent], PLAIN, None)[1].split() == ["writer", "default", "workspace.*"]
    assert agents.agents_table([], PLAIN, None)[0].startswith("no agent is configured")
    page = agents.agent_page(agent, PLAIN)
    assert '  plan          workspace.write {"path": "a"} up to 2 times' in page
    assert "  limits        max_duration 15 min" in page
    assert "  questions     stay open for 1 h" in page


def test_the_record() -> None:
    record = {
        "seq": 3,
        "at": "2026-12-24T18:00:00+00:00",
        "event": "call.intent",
        "actor": "agent:a",
        "subject": {"task": "01a20f94-296e-7e8b-9903-1fe400161aec"},
        "detail": {"tool": "git.log", "args_sha256": "00", "rules": ["r"], "approval": None, "tainted": False},
    }
    lines = audit.records_table([record], PLAIN, None)
    assert lines[1].split() == [
        "3", "2026-12-24", "18:00:00Z", "call.intent", "agent:a", "00161aec", "tool=git.log", "rules=['r']",
        "tainted=False",
    ]  # fmt: skip


def test_a_record_about_tools_names_the_server_and_the_tools() -> None:
    record = {"event": "tools.sighted", "subject": {"server": "git"}, "detail": {"new": {"zap": "00"}, "changed": {}}}
    assert audit.detail_words(record) == "server=git new=zap"


def test_the_verdict_about_the_record() -> None:
    good = {"ok": True, "records": 2, "waiting": 1, "head": "ff", "problems": []}
    assert audit.verdict_lines(good, PLAIN) == ["the record is whole: 2 records, 1 not yet linked", "head  2:ff"]
    bad = {"ok": False, "records": 2, "waiting": 0, "head": "ff", "problems": ["number 1 was altered"]}
    assert audit.verdict_lines(bad, PLAIN)[:2] == ["the record was altered:", "  number 1 was altered"]


def test_triggers() -> None:
    item = {
        "name": "alerts", "kind": "alertmanager", "agent": "oncall", "path": "/api/v1/triggers/alerts", "problem": None,
        "last_fired": "2026-12-24T17:59:00+00:00", "last_state": "completed",
        "counts": {"fired": 2, "rate_limited": 1, "ignored": 0},
    }  # fmt: skip
    silent = {**item, "name": "other", "last_fired": None, "counts": {"fired": 0}, "problem": "there is no secret 'a'"}
    lines = triggers.triggers_lines([item, silent], NOW, PLAIN, None)
    assert "completed 1 min ago" in lines[1]
    assert lines[1].endswith("2 fired, 1 rate limited")
    assert "never" in lines[2]
    assert lines[-1] == "other lets nothing in: there is no secret 'a'"
    assert triggers.triggers_lines([], NOW, PLAIN, None) == [
        "no trigger is configured; see `triggers:` in docs/triggers.md"
    ]
    found = {"trigger": "t", "outcome": "ignored", "tasks": []}
    assert triggers.delivered_lines(found) == ["ignored: the trigger does not care for such a delivery"]
