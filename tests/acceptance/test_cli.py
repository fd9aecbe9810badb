"""The command line as a user meets it: real processes, the embedded database, one project from `init` to `down`."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interlock.app import erase_embedded
from interlock.testing import load_recorded_runs

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


@dataclass(frozen=True)
class Shell:
    """A user in a project folder, with a state folder of their own."""

    folder: Path
    home: Path

    def run(self, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """Type a command; nobody sits at the terminal."""
        dropped = ("INTERLOCK_URL", "INTERLOCK_TOKEN", "INTERLOCK_DATABASE_URL", "INTERLOCK_DEBUG")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        done = subprocess.run(
            [sys.executable, "-m", "interlock", *words],
            cwd=self.folder, env={**kept, "INTERLOCK_HOME": str(self.home), **env}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert "\x1b[" not in done.stdout + done.stderr
        return done

    def json(self, *words: str, status: int = 0) -> dict[str, Any]:
        """Type a command with --json; what it answers."""
        done = self.run(*words, "--json")
        assert done.returncode == status, done.stderr + done.stdout
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["v"] == 1
        return found

    def refused(self, *words: str, status: int, **env: str) -> str:
        """Type a command that fails; what it says, which always has an error, a hint and a code."""
        done = self.run(*words, **env)
        assert done.returncode == status, done.stderr + done.stdout
        lines = done.stderr.splitlines()
        assert [sum(line.startswith(f"{part}: ") for line in lines) for part in ("error", "hint", "code")] == [1, 1, 1]
        return done.stderr


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A project from `init`, started by `up --detach`, stopped by `down`."""
    root = tmp_path_factory.mktemp("cli")
    found = Shell(root / "project", root / "home")
    found.folder.mkdir()
    assert found.run("init", "--yes").returncode == 0
    try:
        up = found.run("up", "--detach", "--port", "0")
        assert up.returncode == 0, up.stderr
        assert "agents    hello, tidy" in up.stdout
        assert "workspace ready" in up.stdout
        assert "workers   2" in up.stdout
        assert up.stdout.splitlines()[-1].startswith("ready in ")
        token = (found.home / "token").read_text().strip()
        assert token not in up.stdout + up.stderr + (found.home / "logs" / "up.log").read_text()
        yield found
        down = found.run("down")
        assert down.returncode == 0, down.stderr
        assert not (found.home / "server.json").exists()
        assert "nothing runs" in found.run("down").stdout
    finally:
        found.run("down")
        erase_embedded(found.home, os.environ)


def test_a_task_from_submission_to_its_story_and_back(shell: Shell) -> None:
    task = shell.json("submit", "Say hello", "--agent", "hello", "--wait")
    assert (task["state"], task["created"]) == ("completed", True)
    note = shell.folder / "work" / "hello.md"
    assert "You asked: Say hello" in note.read_text()
    short = task["id"][-8:]
    assert short in shell.run("tasks", "list").stdout
    page = shell.run("tasks", "show", short).stdout
    assert "workspace.write  done  write allow (default-write)" in page
    assert f"next: interlock undo {short}" in page
    assert shell.json("tasks", "show", short[-6:])["id"] == task["id"]
    happened = shell.run("tasks", "show", short, "--timeline").stdout
    assert "in the queue" in happened
    assert "workspace.write done" in happened

    watched = shell.run("tasks", "watch", short, "--json")
    events = [json.loads(line) for line in watched.stdout.splitlines()]
    assert watched.returncode == 0
    assert {"task.submitted", "call.intent", "call.outcome", "state"} <= {event["event"] for event in events}

    assert "would take back:" in shell.run("undo", short, "--dry-run").stdout
    assert note.exists()
    undone = shell.json("undo", short, "--wait")
    assert undone["task"]["state"] == "completed"
    assert not note.exists()


def test_a_task_leaves_as_a_recorded_run(shell: Shell, tmp_path: Path) -> None:
    task = shell.json("submit", "Say hello to the record", "--agent", "hello", "--wait")
    short, file = task["id"][-8:], tmp_path / "run.jsonl"
    printed = shell.run("tasks", "export", short).stdout
    wrote = shell.json("tasks", "export", short, "--run", "1", "--out", str(file))
    assert (wrote["output"], wrote["lines"]) == (str(file), len(printed.splitlines()))
    assert file.read_text() == printed == shell.run("tasks", "export", short, "--json").stdout
    assert file.stat().st_mode & 0o777 == 0o600
    (run,) = load_recorded_runs(file)
    assert run.request.text == "Say hello to the record"
    assert "workspace.restore" not in run.tools
    tools = run.replay_tools()
    for call in run.calls:
        assert tools.call(call.tool, call.args).result == call.result
    tools.finish()
    assert "File exists" in shell.refused("tasks", "export", short, "--out", str(file), status=2)
    assert "has no run 2" in shell.refused(
        "tasks", "export", short, "--run", "2", "--out", str(tmp_path / "x"), status=1
    )
    assert not (tmp_path / "x").exists()
    assert "first one is 1" in shell.refused("tasks", "export", short, "--run", "0", status=2)
    assert shell.json("undo", short, "--wait")["task"]["state"] == "completed"


def test_a_destructive_call_waits_for_a_person(shell: Shell) -> None:
    old = shell.folder / "work" / "old.log"
    held = shell.run("submit", "Tidy up", "--agent", "tidy", "--wait")
    assert held.returncode == 4, held.stderr + held.stdout
    assert old.exists()
    (approval,) = shell.json("approvals", "list")["items"]
    short = approval["id"][-8:]
    assert f"next: interlock approve {short}" in held.stdout
    shown = shell.run("approvals", "show", short).stdout
    assert "deleted   old.log" in shown
    assert "-2026-01-01 nothing happened" in shown
    assert approval["binding_sha256"] in shown

    agreed = shell.run("approve", short, "--reason", "it is old")
    assert agreed.returncode == 0, agreed.stderr
    assert "deleted   old.log" in agreed.stderr
    assert shell.run("tasks", "watch", approval["task"]).returncode == 0
    assert not old.exists()
    again = shell.refused("approve", short, status=1)
    assert "is consumed" in again
    story = shell.json("tasks", "show", approval["task"])
    (call,) = story["calls"]
    assert "workspace.delete" in shell.run("calls", "show", call["id"][-8:]).stdout
    assert shell.json("undo", call["id"], "--wait")["task"]["state"] == "completed"
    assert old.read_text() == "2026-01-01 nothing happened\n"


def test_a_denied_call_is_not_made(shell: Shell) -> None:
    held = shell.json("submit", "Tidy up again", "--agent", "tidy", "--wait", status=4)
    (call,) = held["calls"]
    assert shell.json("deny", call["approval"], "--reason", "keep it")["state"] == "denied"
    story = shell.run("tasks", "watch", held["id"])
    assert story.returncode == 1
    assert (shell.folder / "work" / "old.log").exists()
    shell.run("tasks", "cancel", held["id"])


def test_an_equal_task_is_taken_in_once(shell: Shell) -> None:
    first = shell.json("submit", "Later", "--agent", "hello", "--delay", "1h")
    second = shell.json("submit", "Later", "--agent", "hello", "--delay", "1h")
    assert (first["created"], second["created"]) == (True, False)
    assert first["id"] == second["id"]
    assert "nothing new was made" in shell.run("submit", "Later", "--agent", "hello").stdout
    assert shell.json("tasks", "cancel", first["id"])["state"] == "cancelled"


def test_the_screens(shell: Shell) -> None:
    status = shell.run("status")
    assert status.returncode == 0
    assert "workspace ready" in status.stdout
    assert {agent["name"] for agent in shell.json("agents", "list")["items"]} == {"hello", "tidy"}
    assert "workspace.delete" in shell.run("agents", "show", "tidy").stdout
    tools = {tool["tool"]: tool for tool in shell.json("tools", "list")["items"]}
    assert tools["workspace.delete"]["class"] == "destructive"
    assert {tool["pin"] for tool in tools.values()} == {"accepted"}
    assert "paths" in shell.run("tools", "show", "workspace.delete").stdout
    assert "accepted 1 tool" in shell.run("tools", "pin", "workspace.read").stdout


def test_a_configuration_is_applied_compared_and_gone_back_to(shell: Shell) -> None:
    listed = shell.json("config", "versions")["items"]
    assert [(one["number"], one["applied_by"], one["active"]) for one in listed] == [(1, "system:up", True)]
    pids = {worker["pid"] for worker in shell.json("status")["workers"]}
    path = shell.folder / "playbooks" / "hello.yaml"
    was = path.read_text()
    try:
        path.write_text(was.replace("# Hello", "# Hello, all"))
        assert "~ playbooks.hello.steps" in shell.run("config", "diff", "1").stdout
        path.write_text("version: 1\nsteps: [{resul: Another hello.}]\n")
        assert "hello.yaml:2" in shell.refused("config", "apply", status=1)
        path.write_text(was.replace("# Hello", "# Hello, all"))
        applied = shell.run("config", "apply")
        assert applied.returncode == 0, applied.stderr
        assert "version 2 (" in applied.stdout
        assert "the server and 2 workers work by it" in applied.stdout
        said = shell.json("submit", "Say another hello", "--agent", "hello", "--wait")
        assert said["state"] == "completed"
        wrote = next(call for call in said["calls"] if call["tool"] == "workspace.write")
        assert wrote["args"]["content"].startswith("# Hello, all")
        assert {worker["pid"] for worker in shell.json("status")["workers"]} == pids
        assert shell.json("config", "apply")["created"] is False
        assert shell.json("undo", said["id"], "--wait")["task"]["state"] == "completed"
    finally:
        path.write_text(was)
        back = shell.json("config", "rollback", "1")
    assert (back["number"], back["content_of"], back["taken"]) == (3, 1, {"server": True, "workers": 2, "idle": []})
    assert shell.run("config", "diff", "3").stdout == "version 3 and this folder are the same\n"
    events = [entry["event"] for entry in shell.json("audit", "list", "--limit", "1000")["items"]]
    assert (events.count("config.applied"), events.count("config.rolled_back")) == (2, 1)
    assert "no configuration version 9" in shell.refused("config", "diff", "9", status=1)


def test_a_halt(shell: Shell) -> None:
    assert shell.json("halt", "--agent", "tidy", "--reason", "looking into it")["halted"]
    assert "agent:tidy" in shell.run("status").stdout
    assert shell.json("resume", "--agent", "tidy")["changed"]
    assert "was not halted" in shell.run("resume", "--agent", "tidy").stdout


def test_the_record_holds_here_and_elsewhere(shell: Shell, tmp_path: Path) -> None:
    assert shell.json("audit", "verify")["ok"]
    assert "tools.accepted" in shell.run("audit", "list", "--limit", "1000").stdout
    exported = shell.run("audit", "export").stdout
    copy = tmp_path / "audit.jsonl"
    copy.write_text(exported)
    assert shell.json("audit", "verify", "--file", str(copy))["ok"]
    copy.write_text(exported.replace("system:up", "person:me", 1))
    assert shell.json("audit", "verify", "--file", str(copy), status=1)["problems"]


def test_who_asks_wrongly_is_told_how_to_ask(shell: Shell) -> None:
    unknown = shell.refused("submit", "Hello", "--agent", "nobody", status=2)
    assert "there is no agent 'nobody'; configured are: hello, tidy" in unknown
    assert "hint: interlock agents list" in unknown
    assert "code: unauthorized" in shell.refused("tasks", "list", status=1, INTERLOCK_TOKEN="a-wrong-token")
    assert "code: not_found" in shell.refused("tasks", "show", "ffffffff", status=1)
    assert "code: server_unavailable" in shell.refused("status", status=5, INTERLOCK_URL="http://127.0.0.1:9")
    assert "already runs at http://127.0.0.1:" in shell.refused("up", status=1)
    error = json.loads(shell.run("submit", "Hello", "--agent", "nobody", "--json").stderr)["error"]
    assert (error["code"], error["hint"], error["retryable"]) == ("unknown_agent", "interlock agents list", False)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Shell]:
    """A second user, whose start goes wrong."""
    found = Shell(tmp_path / "project", tmp_path / "home")
    found.folder.mkdir()
    assert found.run("init", "--yes").returncode == 0
    yield found
    assert not (found.home / "server.json").exists()
    assert not (found.home / "postgres").exists(), "something was started"


def test_a_taken_port_is_said_before_anything_starts(elsewhere: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = elsewhere.refused("up", "--port", port, status=5)
        assert f"port {port} on 127.0.0.1 is taken by another program" in said
        assert "hint: interlock up --port 0" in said
        assert "code: port_in_use" in elsewhere.refused("up", "--detach", "--port", port, status=5)


def test_a_wrong_configuration_names_its_line_and_starts_nothing(elsewhere: Shell) -> None:
    path = elsewhere.folder / "interlock.yaml"
    path.write_text("agents:\n  hello:\n    model: [\n")
    assert f"{path}:" in elsewhere.refused("up", status=1)
    path.write_text("agents:\n  hello:\n    modl: playbook:hello\n")
    expected = f"{path}:3: agents.hello.modl: unknown key; did you mean 'model'?"
    assert expected in elsewhere.refused("up", "--detach", status=1)
    assert expected in elsewhere.refused("config", "check", status=1)


def test_an_unreachable_database_is_said(elsewhere: Shell) -> None:
    url = "postgresql://nobody@127.0.0.1:9/none"
    assert "code: database_unavailable" in elsewhere.refused("up", "--port", "0", status=5, INTERLOCK_DATABASE_URL=url)
    report = elsewhere.run("doctor", "--json", INTERLOCK_DATABASE_URL=url)
    assert report.returncode == 1
    checks = {check["name"]: check for check in json.loads(report.stdout)["checks"]}
    assert not checks["database"]["ok"]
    assert checks["database"]["fix"].startswith("start that Postgres, or correct INTERLOCK_DATABASE_URL")
    assert checks["tool server workspace"]["ok"]
