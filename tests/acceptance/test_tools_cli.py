"""`interlock tools` as a user meets it: tried before anything runs, changed by its maker, logged in to, started anew."""

import asyncio
import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.tools.issuing import Issuer, issuing
from tests.integration.tools.remote_servers import Record, free_port

from interlock.app import erase_embedded

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

LARGE = 400_000  # more than a model is shown
# How it misbehaves is in a file, so that it can change from one start to the next.
CHANGING = """
import os, pathlib, sys
mode = pathlib.Path("mode").read_text()
os.execv(sys.executable, [sys.executable, "-m", "interlock.testing.faulty_server", "--mode", mode, "--log", "files/log"])
"""


def config(port: int) -> dict[str, Any]:
    """Servers that work, one that changes, one that is remote, and one that is not there."""
    read = {"class": "read", "egress": False}
    changing = {"command": sys.executable, "args": ["changing.py"], "sandbox": {"write": ["files"]}}
    return {
        "server": {"port": 0, "workers": 1},
        "tools": {
            "workspace": {"builtin": "workspace", "root": "files"},
            "log": {**changing, "contracts": {"lookup": read}, "test": {"tool": "lookup", "args": {"key": "a"}}},
            "far": {"url": f"http://127.0.0.1:{port}/mcp", "required": False, "start_timeout": "10s"},
            "gone": {"command": "no-such-program", "required": False},
        },
        "agents": {"reader": {"model": "playbook:read", "tools": ["log.big"]}},
    }


@dataclass
class Stage:
    """A project, its state folder, what `tools test` said before `up`, and a remote server with its issuer."""

    folder: Path
    port: int
    issuer: Issuer = field(default_factory=Issuer)
    first: dict[str, Any] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        dropped = ("INTERLOCK_URL", "INTERLOCK_TOKEN", "INTERLOCK_DATABASE_URL", "INTERLOCK_DEBUG")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        return {**kept, "INTERLOCK_HOME": str(self.folder.parent / "home")}

    def command(self, *words: str) -> dict[str, Any]:
        return {"args": [sys.executable, "-m", "interlock", *words], "cwd": self.folder, "env": self.env, "text": True}

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Type a command; nobody sits at the terminal."""
        done = subprocess.run(
            **self.command(*words), stdin=subprocess.DEVNULL, capture_output=True, timeout=150, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *words: str, status: int = 0) -> dict[str, Any]:
        done = self.run(*words, "--json")
        assert done.returncode == status, done.stderr + done.stdout
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@contextmanager
def remote(stage: Stage) -> Iterator[None]:
    """The remote server and its issuer, in a thread of their own."""
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        async with issuing(stage.port, stage.issuer, Record()):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("tools") / "project"
    (folder / "files").mkdir(parents=True)
    found = Stage(folder, free_port())
    (folder / "interlock.yaml").write_text(json.dumps(config(found.port)))
    (folder / "changing.py").write_text(CHANGING)
    steps = [{"id": "big", "call": "log.big", "args": {"bytes": LARGE}}]
    (folder / "playbooks").mkdir()
    (folder / "playbooks" / "read.yaml").write_text(json.dumps({"version": 1, "steps": steps, "result": "read"}))
    (folder / "mode").write_text("ok")
    with remote(found):
        try:
            found.first = found.json("tools", "test", "log", "workspace", "gone")
            up = found.run("up", "--detach")
            assert up.returncode == 0, up.stderr
            yield found
        finally:
            found.run("down")
            erase_embedded(folder.parent / "home", os.environ)


def test_servers_are_tried_before_anything_runs(stage: Stage) -> None:
    tests = {one["server"]: one for one in stage.first["items"]}
    assert stage.first["ok"] is True, "the one that is not there is not required"
    log, workspace, gone = tests["log"], tests["workspace"], tests["gone"]
    assert (log["state"], log["tools"], log["first_seen"], log["passed"]) == ("ready", 6, True, True)
    assert (log["call"], log["tool"]) == ("ok", "log.lookup"), "the configured call"
    assert (workspace["call"], workspace["tool"]) == ("ok", "workspace.list"), "a read that needs no arguments"
    assert gone["passed"] is False
    assert "command not found: no-such-program" in gone["reason"]
    calls = [
        entry for entry in stage.json("audit", "list", "--limit", "1000")["items"] if entry["event"] == "call.intent"
    ]
    made = {entry["detail"]["tool"] for entry in calls if entry["actor"] == "verifier:tools-test"}
    assert {"log.lookup", "workspace.list"} <= made, "it went through the gate"
    (task, *_) = [one for one in stage.json("tasks", "list")["items"] if one["agent"] == "tools-test"]
    assert task["state"] == "completed"
    unknown = stage.run("tools", "test", "nope")
    assert (unknown.returncode, "there is no tool server 'nope'" in unknown.stderr) == (1, True)


def test_a_server_that_changes_what_it_offers_is_quarantined_until_a_person_accepts_it(stage: Stage) -> None:
    (stage.folder / "mode").write_text("changed")
    assert stage.json("tools", "restart", "log")["state"] == "ready"
    status = stage.run("status").stdout
    assert "2 tools of log are not the accepted ones (1 changed, 1 new): interlock tools show log" in status
    listed = stage.run("tools", "list").stdout
    assert "2 tools in quarantine, refused until accepted: log.echo, log.extra" in listed
    shown = stage.run("tools", "show", "log.echo").stdout
    assert 'description: "Returns the text that it is given." -> "Returns the text that it is given, and' in shown
    assert stage.run("tools", "show", "log.echo").stdout.splitlines()[-1] == "next: interlock tools pin log.echo"
    tried = stage.json("tools", "test", "log", status=1)["items"][0]
    assert tried["pins"] == {"new": 1, "changed": 1, "missing": 0}
    assert tried["call"] == "ok", "what was not changed still works"

    pinned = stage.run("tools", "pin", "log")
    assert "this would accept 7 tools as they are now (1 new, 1 changed, 5 unchanged)" in pinned.stderr
    assert pinned.stdout.startswith("accepted 7 tools: log.append, ")
    assert "not the accepted ones" not in stage.run("status").stdout

    (stage.folder / "mode").write_text("ok")
    assert stage.json("tools", "restart", "log")["state"] == "ready"
    server = stage.json("tools", "show", "log")
    assert {one["tool"]: one["kind"] for one in server["sightings"]} == {"log.echo": "changed", "log.extra": "missing"}
    again = stage.json("tools", "pin", "log", "--yes")
    assert (len(again["accepted"]), again["dropped"]) == (6, ["log.extra"])
    events = [entry["event"] for entry in stage.json("audit", "list", "--limit", "1000")["items"]]
    assert (events.count("tools.sighted") >= 2, "tools.restarted" in events) == (True, True)


def test_a_person_logs_in_to_a_remote_server_which_works_at_once(stage: Stage) -> None:
    before = stage.json("tools", "show", "far")
    assert "needs a login: interlock tools login far" in before["reason"]
    command = stage.command("tools", "login", "far", "--json")
    with subprocess.Popen(**command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as login:
        assert login.stderr is not None
        page = httpx.get(_address(login.stderr), follow_redirects=True, timeout=30)
        assert "You are logged in" in page.text
        out, said = login.communicate(timeout=120)
    assert login.returncode == 0, said
    assert json.loads(out)["health"]["state"] == "ready"
    after = stage.json("tools", "show", "far")
    assert (after["state"], {tool["pin"] for tool in after["tools"]}) == ("ready", {"accepted"})
    tokens = [*stage.issuer.tokens, *stage.issuer.refreshes]
    logs = "".join(path.read_text() for path in stage.folder.parent.joinpath("home").rglob("*.log"))
    audit = stage.run("audit", "export").stdout
    assert tokens
    assert not any(token in logs + audit + out + said for token in tokens)
    assert '"tools.login"' in audit

    not_remote = stage.run("tools", "login", "workspace")
    assert (not_remote.returncode, "has no `url`" in not_remote.stderr) == (2, True)


def _address(stream: Any) -> str:
    """The address that the command prints, without waiting for ever."""
    lines: queue.Queue[str] = queue.Queue()

    def pass_on() -> None:
        for line in iter(stream.readline, ""):
            lines.put(line)

    threading.Thread(target=pass_on, daemon=True).start()
    while True:
        found = re.search(r"http://\S+", lines.get(timeout=60))
        if found:
            return found[0]


def test_what_is_too_large_for_a_model_can_be_had_by_a_person(stage: Stage, tmp_path: Path) -> None:
    task = stage.json("submit", "Read it", "--agent", "reader", "--wait")
    (call,) = task["calls"]
    assert (task["state"], call["result"]["truncated"]) == ("completed", True)
    (artifact,) = call["result"]["artifacts"]
    assert (artifact["name"], artifact["size_bytes"]) == ("answer.txt", LARGE)
    short, sha256 = call["id"][-8:], artifact["sha256"]
    assert f"interlock calls show {short} --artifact {sha256[:12]}]" in call["result"]["text"]
    assert f"    {sha256[:12]}  400.0 kB  text/plain  answer.txt" in stage.run("calls", "show", short).stdout
    assert stage.run("calls", "show", short, "--artifact", sha256[:12]).stdout == "x" * LARGE
    output = tmp_path / "answer.txt"
    saved = stage.run("calls", "show", short, "--artifact", sha256, "--output", str(output))
    assert (saved.returncode, output.read_text()) == (0, "x" * LARGE)
    again = stage.run("calls", "show", short, "--artifact", sha256, "--output", str(output))
    assert (again.returncode, "File exists" in again.stderr) == (2, True)


def test_a_server_that_is_not_there_says_why_and_can_be_tried_anew(stage: Stage) -> None:
    done = stage.run("tools", "restart", "gone")
    assert done.returncode == 5
    assert "command not found: no-such-program" in done.stdout
    assert "next: interlock tools show gone" in done.stdout
    doctor = stage.run("doctor")
    assert "tool server gone" in doctor.stdout
