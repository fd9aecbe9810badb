"""The six things that the demo shows; each step does real work, says what it does, and checks what came of it."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interlock.app import verify_export
from interlock.cli.demo_stage import Stage, fingerprint, kill_worker

TASK_S = 40.0
ENTRIES = [f"entry-{number}" for number in range(1, 7)]


class StepFailed(Exception):
    """What the step was to show did not happen."""


@dataclass(frozen=True)
class Teller:
    """Says what happens, a line at a time; asks where there is somebody to answer."""

    out: Callable[[str], None]
    interactive: bool

    def say(self, text: str) -> None:
        """One line of plain explanation."""
        self.out(f"    {text}")

    def block(self, text: str, lines: int = 14) -> None:
        """A few lines of something, set off."""
        shown = text.splitlines()
        for line in shown[:lines]:
            self.out(f"      | {line}")
        if len(shown) > lines:
            self.out(f"      | … {len(shown) - lines} lines more")

    def agree(self, question: str) -> bool:
        """Ask y or n; without a terminal the answer is yes, and that is said."""
        if not self.interactive:
            self.say(f"{question} (nobody is here to ask: yes)")
            return True
        return input(f"    {question} [y/N] ").strip().lower() in ("y", "yes")


@dataclass(frozen=True)
class Step:
    """One of the six: a letter, what it shows, and how."""

    letter: str
    title: str
    run: Callable[[Stage, Teller], str]


def _expect(condition: object, problem: str) -> None:
    if not condition:
        raise StepFailed(problem)


def _finish(stage: Stage, task_id: str, state: str = "completed") -> dict[str, Any]:
    task: dict[str, Any] = dict(stage.client.wait(task_id, timeout_s=TASK_S))
    _expect(task["state"] == state, f"task {task_id[-8:]} is {task['state']}, not {state}: {task['state_reason']}")
    return task


def inspect(stage: Stage, tell: Teller) -> str:
    """(a) An agent reads through four MCP servers and writes a report, all of it through the gate."""
    tell.say("An agent looks at this machine and at a git repository, and writes report.md. Its model is a playbook:")
    tell.say("no key, no network. Every call goes through the gate, reads and the one write that its plan foresees.")
    task = stage.client.submit("Inspect this machine and the repository; write report.md.", agent="inspector")
    story = _finish(stage, task["id"])
    for call in story["calls"]:
        rule = ", ".join(call["rules"])
        tell.say(f"call {call['call_no']}: {call['tool']:<22} {call['class']:<6} {call['decision']} ({rule})")
    report = (stage.work / "report.md").read_text()
    tell.block(report, 24)
    _expect("Rotate the logs every night" in report and "TODO" in report, "report.md has no findings")
    return f"{len(story['calls'])} calls, report.md has {len(report.splitlines())} lines, checked by the gate"


def fail_twice(stage: Stage, tell: Teller) -> str:
    """(b) A tool fails, twice; the task is tried again with a growing delay."""
    tell.say("A service fails its first two calls. Each failed run ends; the next starts later, with a note of why.")
    task = stage.client.submit("Ask the service whether it is well.", agent="checker")
    story = _finish(stage, task["id"])
    for run in story["runs"]:
        tell.say(f"run {run['run']}: {run['outcome']}")
    _expect(
        [run["outcome"] for run in story["runs"]] == ["failed", "failed", "completed"], "the retries went otherwise"
    )
    return "failed, failed, completed"


def submit_twice(stage: Stage, tell: Teller) -> str:
    """(c) The same request twice, while the first is not final, is one task."""
    tell.say("The same request is submitted twice, as an impatient script would.")
    first = stage.client.submit("Post the entries.", agent="bookkeeper", delay="3s")
    second = stage.client.submit("Post  the entries. ", agent="bookkeeper", delay="3s")
    tell.say(
        f"first: task {first['id'][-8:]}, made: {first['created']};  second: {second['id'][-8:]}, made: {second['created']}"
    )
    _expect(first["id"] == second["id"] and first["created"] and not second["created"], "there are two tasks")
    stage.client.cancel(first["id"])
    tell.say("It is cancelled before it starts; nothing was posted.")
    _expect(not stage.log_lines("effects.jsonl"), "something was posted")
    return f"one task, {first['id'][-8:]}"


def hold_approve_undo(stage: Stage, tell: Teller) -> str:
    """(d) A destructive call waits for a person, who sees what it would do; then it is taken back."""
    before = fingerprint(stage.work / "logs")
    tell.say("An agent wants to delete old logs. Deleting is destructive: it stops, and the worker is free meanwhile.")
    task = stage.client.submit("Delete the old logs.", agent="cleaner")
    _finish(stage, task["id"], "waiting_approval")
    approval = next(a for a in stage.client.approvals() if a["task"] == task["id"])
    shown = approval["shown"]
    tell.say(f"{shown['tool']} by {shown['agent']}: {shown['agent_reason']}")
    tell.say("What it would do, measured without doing it:")
    for change in shown["effect"]["files"]:
        tell.say(f"  {change['change']} {change['path']} ({change['bytes_before']} bytes)")
    tell.block(shown["effect"]["diff"], 10)
    tell.say(f"The answer is bound to exactly this: {approval['binding_sha256'][:16]}…")
    if not tell.agree("Approve?"):
        stage.client.decide(
            approval["id"], "deny", binding_sha256=approval["binding_sha256"], reason="denied in the demo"
        )
        stage.client.wait(task["id"], timeout_s=TASK_S)
        _expect(fingerprint(stage.work / "logs") == before, "something was deleted")
        return "denied by you; nothing was deleted"
    stage.client.decide(approval["id"], "approve", binding_sha256=approval["binding_sha256"], reason="seen in the demo")
    _finish(stage, task["id"])
    _expect(not list((stage.work / "logs").glob("*")), "the logs are still there")
    tell.say("Approved, deleted: the folder is empty. Now it is taken back: interlock undo " + task["id"][-8:])
    undo = stage.client.undo_task(task["id"])["task"]
    _expect(undo is not None, "there was nothing to undo")
    story = _finish(stage, str(undo["id"]) if undo else "")
    tell.say(str(story["result"]["text"]).splitlines()[0])
    _expect(fingerprint(stage.work / "logs") == before, "the folder is not what it was before")
    return "deleted after approval, undone: names, modes, times and bytes as before"


def kill_and_take_over(stage: Stage, tell: Teller) -> str:
    """(e) A worker is killed in the middle of a task; another one finishes it; every effect happens once."""
    tell.say("An agent posts six entries to a ledger whose tool is not idempotent. In the middle its worker is killed.")
    task = stage.client.submit("Post the entries for the month.", agent="bookkeeper")
    pid, worker = _kill_in_the_middle(stage, task["id"])
    killed = time.monotonic()
    tell.say(f"kill -9 {pid}, after {len(stage.log_lines('effects.jsonl'))} entries ({worker}).")
    story = _finish(stage, task["id"])
    tell.say(f"Another worker took over and finished, {time.monotonic() - killed:.1f} s after the kill.")
    for number in sorted({r["subject"]["call_no"] for r in _records(stage, task["id"], "call.taken_over")}):
        tell.say(
            f"Call {number} was under way at the kill: the tool servers outlived the worker, and told its outcome."
        )
    keys = [line["key"] for line in stage.log_lines("effects.jsonl")]
    tell.say(f"The tool server's own log: {', '.join(keys)}")
    _expect(sorted(keys) == ENTRIES, f"expected each of {ENTRIES} once")
    _expect(story["crashes"] >= 1, "the worker was not killed in the middle")
    return f"6 entries, each exactly once; {story['crashes']} worker killed"


def _records(stage: Stage, task_id: str, event: str) -> list[dict[str, Any]]:
    return [entry for entry in stage.client.audit(task_id=task_id, limit=1000) if entry["event"] == event]


def _kill_in_the_middle(stage: Stage, task_id: str) -> tuple[int, str]:
    deadline = time.monotonic() + TASK_S
    while time.monotonic() < deadline:
        story = stage.client.task(task_id)
        started = [call for call in story["calls"] if call["state"] == "started"]
        if len(stage.log_lines("effects.jsonl")) >= 2 and started and story["worker"]:
            workers = {w["id"]: w["pid"] for w in stage.client.status()["workers"]}
            if story["worker"] in workers:
                kill_worker(workers[story["worker"]])
                return workers[story["worker"]], story["worker"]
        time.sleep(0.02)
    raise StepFailed("the task was never seen in the middle of a call")


def prove(stage: Stage, tell: Teller) -> str:
    """(f) The record verifies; a copy in which one word was changed does not."""
    tell.say("Everything above is on an append-only, hash-chained record. It is verified link by link:")
    verdict = stage.client.verify_audit()
    tell.say(f"{verdict['records']} records, {'intact' if verdict['ok'] else 'BROKEN'}, head {verdict['head'][:16]}…")
    _expect(verdict["ok"], f"the chain is broken: {verdict['problems']}")
    lines = list(stage.client.export_audit())
    _expect(verify_export(lines)["ok"], "the exported copy does not verify")
    number = next(n for n, line in enumerate(lines) if '"approval.decided"' in line)
    row = json.loads(lines[number])
    row["body"] = row["body"].replace("person:admin", "person:nobody")
    lines[number] = json.dumps(row)
    altered = verify_export(lines)
    tell.say(f"In a copy, who approved is changed in record {row['seq']}: {altered['problems'][0]}")
    _expect(not altered["ok"], "the altered copy verified")
    return f"{verdict['records']} records intact; one altered row was found"


STEPS = (
    Step("a", "an agent works through MCP servers, under the gate", inspect),
    Step("b", "a tool fails twice, the retry succeeds", fail_twice),
    Step("c", "a duplicate submission is the same task", submit_twice),
    Step("d", "a destructive call waits, is approved, and is undone", hold_approve_undo),
    Step("e", "a worker is killed; nothing is lost, nothing happens twice", kill_and_take_over),
    Step("f", "the record proves it", prove),
)


def interactive(yes: bool) -> bool:
    """Whether there is somebody to ask."""
    return not yes and sys.stdin.isatty() and sys.stdout.isatty()
