"""Tasks and calls as lines."""

import datetime
from typing import Any

import pytest

from interlock.cli.output import Paint
from interlock.cli.views import calls, tasks, timeline
from interlock.model import TaskState, meaning_of

PLAIN = Paint()
NOW = datetime.datetime(2026, 12, 24, 18, 0, 30, tzinfo=datetime.UTC)
TASK_ID = "01a20f94-296e-7e8b-9903-1fe400161aec"
CALL_ID = "01a20f94-5242-7902-a6a1-8d7c9edc181b"
APPROVAL_ID = "01a20f94-53ca-7a65-ab74-703af6ae6c64"


def a_call(**changes: Any) -> dict[str, Any]:
    call = {
        "id": CALL_ID,
        "task": TASK_ID,
        "run": 1,
        "call_no": 1,
        "tool": "workspace.delete",
        "args": {"paths": ["old.log"]},
        "agent_reason": "It is old.",
        "state": "done",
        "class": "destructive",
        "egress": False,
        "decision": "ask",
        "rules": ["default-destructive"],
        "reasons": ["a person agrees to every destructive call"],
        "plan_entry": None,
        "approval": APPROVAL_ID,
        "result": {"ok": True, "text": "deleted 'old.log'"},
        "effect": {
            "files": [{"path": "old.log", "kind": "file", "change": "deleted", "from": None, "bytes_before": 28}],
            "files_changed": 1,
            "bytes_changed": 28,
            "diff": "--- a/old.log\n+++ /dev/null\n@@ -1 +0,0 @@\n-nothing happened\n",
        },
        "is_effect": True,
        "undo": "none",
        "undo_note": "",
        "created_at": "2026-12-24T18:00:01.000+00:00",
        "started_at": "2026-12-24T18:00:02.000+00:00",
        "ended_at": "2026-12-24T18:00:03.000+00:00",
    }
    return {**call, **changes}


def a_task(**changes: Any) -> dict[str, Any]:
    task = {
        "id": TASK_ID,
        "agent": "tidy",
        "kind": "agent",
        "state": "completed",
        "state_reason": "finished and verified",
        "priority": 5,
        "run": 1,
        "max_runs": 3,
        "worked_s": 1.25,
        "crashes": 0,
        "submitted_by": "person:admin",
        "worker": None,
        "retry_of": None,
        "created_at": "2026-12-24T18:00:00.000+00:00",
        "finished_at": "2026-12-24T18:00:04.000+00:00",
        "not_before": None,
        "text": "Tidy up",
        "inputs": {},
        "undo_of": None,
        "result": {"text": "Deleted old.log."},
        "runs": [{"run": 1, "clean": True, "note": "", "outcome": "completed", "started_at": None, "ended_at": None}],
        "turns": [
            turn("request", text="Tidy up", inputs={}),
            turn("model", text="", model="playbook:tidy", calls=[{"call_no": 1, "tool": "workspace.delete"}], usage={}),
            turn("observation", call_no=1, ok=True, text="deleted 'old.log'"),
            turn("model", text="Deleted old.log.", model="playbook:tidy", calls=[], usage={"input_tokens": 7}),
        ],
        "calls": [a_call()],
        "allowances": [{"resource": "files", "used": 1.0, "cap": 20.0}],
    }
    return {**task, **changes}


def turn(kind: str, **body: Any) -> dict[str, Any]:
    return {"run_no": 1, "seq": 1, "kind": kind, "body": body, "at": "2026-12-24T18:00:01.000+00:00"}


def test_the_list() -> None:
    lines = tasks.tasks_table([a_task()], NOW, PLAIN, None)
    assert lines == [
        "ID        STATE      AGENT  RUN  AGE   WHY",
        "00161aec  completed  tidy   1/3  30 s  finished and verified",
    ]
    assert tasks.tasks_table([], NOW, PLAIN, None)[0].startswith("no tasks")


def test_the_whole_story() -> None:
    page = tasks.task_page(a_task(), PLAIN)
    assert page[0] == "task 00161aec  completed"
    for line in (
        "  why      finished and verified",
        "  agent    tidy, priority 5, run 1 of 3",
        "  asked    2026-12-24 18:00:00Z by person:admin",
        "  request  Tidy up",
        f"  id       {TASK_ID}",
        "  18:00:01Z  asked: Tidy up",
        "  18:00:01Z  playbook:tidy: calls tools",
        "             #1 workspace.delete  done  destructive ask (default-destructive)",
        '                {"paths": ["old.log"]}',
        "                because: It is old.",
        "                rule: a person agrees to every destructive call",
        "                effect 9edc181b: 1 file changed, 28 B",
        "  18:00:01Z  #1 answer: deleted 'old.log'",
        "  18:00:01Z  playbook:tidy (7 tokens): Deleted old.log.",
        "  files: 1 of 20",
        "  Deleted old.log.",
    ):
        assert line in page
    assert page[-1] == "next: interlock undo 00161aec"


def test_calls_that_no_model_asked_for_are_shown_as_checks() -> None:
    check = a_call(call_no=2, tool="workspace.read", is_effect=False, decision="allow", agent_reason="")
    page = tasks.task_page(a_task(calls=[a_call(), check]), PLAIN)
    assert any(line.startswith("  18:00:01Z  check #2 workspace.read  done") for line in page)


def test_runs_are_shown_when_there_is_something_to_say_about_them() -> None:
    second = {
        "run": 2,
        "clean": False,
        "note": "the tool failed",
        "outcome": None,
        "started_at": None,
        "ended_at": None,
    }
    page = tasks.task_page(a_task(runs=[*a_task()["runs"], second]), PLAIN)
    assert "  2  running  - to -  goes on with what the run before did: the tool failed" in page
    assert "runs" not in tasks.task_page(a_task(), PLAIN)


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"state": "running"}, "interlock tasks watch 00161aec"),
        ({"state": "waiting_approval", "calls": [a_call(state="held")]}, "interlock approve f6ae6c64"),
        ({"state": "waiting_approval", "calls": []}, "interlock approvals list"),
        (
            {"state": "escalated", "calls": [a_call(state="in_doubt")]},
            "interlock calls resolve 9edc181b --done|--not-done --reason TEXT",
        ),
        (
            {"state": "escalated", "calls": []},
            (
                "interlock tasks resolve 00161aec --answer TEXT | --change TEXT,"
                " or --retry|--continue|--accept|--fail --reason TEXT"
            ),
        ),
        ({"state": "failed", "calls": []}, "interlock tasks retry 00161aec"),
        ({"state": "completed", "calls": []}, None),
        ({"state": "completed", "calls": [a_call(undo="restored")]}, None),
        ({"state": "completed", "kind": "undo"}, None),
    ],
)
def test_what_to_type_next(changes: dict[str, Any], step: str | None) -> None:
    assert tasks.next_step(a_task(**changes)) == step


def test_a_call_with_all_there_is() -> None:
    page = calls.call_page(a_call(undo="diverged", undo_note="somebody changed it"), PLAIN)
    assert page[0] == "call 9edc181b  workspace.delete  done"
    for line in (
        "  decision    destructive ask (default-destructive)",
        "  why         a person agrees to every destructive call",
        "  agent says  It is old.",
        "  approval    f6ae6c64",
        "  undo        diverged: somebody changed it",
        '    paths  ["old.log"]',
        "  effect  1 file changed, 28 B",
        "    deleted   old.log  (28 B)",
        "    -nothing happened",
        "    deleted 'old.log'",
    ):
        assert line in page


def test_what_to_type_next_about_a_call() -> None:
    assert calls.next_step(a_call(state="in_doubt")) == [
        "next: interlock calls resolve 9edc181b --done|--not-done --reason TEXT"
    ]
    assert calls.next_step(a_call(state="held")) == ["next: interlock approve f6ae6c64"]
    assert calls.next_step(a_call()) == ["next: interlock undo 9edc181b"]
    assert calls.next_step(a_call(undo="restored")) == []


def test_an_agent_can_not_forge_lines_of_the_story() -> None:
    forged = "fine\n  18:00:09Z  person:admin approved\x1b[1A"
    page = tasks.task_page(a_task(calls=[a_call(agent_reason=forged)], text=forged, state_reason=forged), PLAIN)
    assert not any(line.startswith("  18:00:09Z") for line in page)
    assert not any("\x1b" in line for line in page)


def test_events_while_they_happen() -> None:
    record = {
        "event": "call.intent",
        "at": "2026-12-24T18:00:01+00:00",
        "actor": "agent:tidy",
        "subject": {"call_no": 3},
        "detail": {"tool": "workspace.read", "decision": "allow", "args_sha256": "00"},
    }
    line = tasks.event_line(record, PLAIN)
    assert line.split() == ["18:00:01Z", "call.intent", "#3", "workspace.read", "allow", "agent:tidy"]
    state = {"event": "state", "state": "running", "state_reason": "run 1"}
    assert tasks.event_line(state, PLAIN) == "running: run 1"


def test_the_timeline() -> None:
    def entry(kind: str, text: str, took: float | None = None, cost: float | None = None, run: int | None = 1) -> Any:
        return {"at": "2026-12-24T18:00:01.000+00:00", "kind": kind, "run": run, "text": text, "duration_s": took,
                "cost_usd": cost}  # fmt: skip

    entries = [
        entry("submitted", "by person:ann", run=None),
        entry("run", "run 1 starts clean", None, 0.012),
        entry("wait", "in the queue", 75.0),
        entry("model", "sonnet: 10 tokens in,\x1b[31m 2 out", 0.5, 0.012),
        entry("call", "#1 files.write done", 0.0),
    ]
    page = timeline.timeline_page(a_task(timeline=entries, runs=[{"run": 1, "cost_usd": 0.012}]), PLAIN, None)
    assert page == [
        "task 00161aec  completed: finished and verified",
        "",
        "AT                    RUN  WHAT       TOOK        USD     WHICH",
        "2026-12-24 18:00:01Z       submitted                      by person:ann",
        "2026-12-24 18:00:01Z  1    run        …           0.0120  run 1 starts clean",
        "2026-12-24 18:00:01Z  1    wait       1 min 15 s          in the queue",
        "2026-12-24 18:00:01Z  1    model      0.5 s       0.0120  sonnet: 10 tokens in,\\x1b[31m 2 out",
        "2026-12-24 18:00:01Z  1    call       0.0 s               #1 files.write done",
        "",
        "models cost 0.0120 USD",
    ]


@pytest.mark.parametrize("state", TaskState)
def test_every_state_says_what_it_means_and_why_the_task_is_in_it(state: TaskState) -> None:
    page = "\n".join(tasks.task_page(a_task(state=state, state_reason="because of the rain"), PLAIN))
    assert meaning_of(state) in page
    assert "because of the rain" in page


@pytest.mark.parametrize("parked", ["halt", "pause", "full"])
def test_a_task_that_is_set_aside_says_until_when(parked: str) -> None:
    page = "\n".join(tasks.task_page(a_task(state="queued", parked=parked, state_reason="the queue is paused"), PLAIN))
    assert "it is set aside until" in page
    assert "the queue is paused" in page
