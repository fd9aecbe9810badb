"""What people and neighbours do wrong: a clear error with a hint, the right exit status, and nothing half done."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from interlock import Client
from interlock.app import erase_embedded
from interlock.config import SystemClock
from interlock.store import EmbeddedPostgres, PostgresBinaries, Sealer

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

BAD_SERVERS = ("missing", "hang-start", "garbage", "empty", "exit")
HELLO = "version: 1\nsteps:\n  - result: hello\n"
CLEAN = "version: 1\nsteps:\n  - call: workspace.delete\n    args: {paths: [victim.txt]}\n  - result: cleaned\n"
SMALL = "server: {port: 0, workers: 1}\nagents: {clerk: {model: 'playbook:hello'}}\n"


def config_of_everything(log: Path) -> str:
    """Two servers that work, and one of each kind that does not."""
    args = ["-m", "interlock.testing.faulty_server", "--log", str(log)]
    faulty = {"command": sys.executable, "args": args, "sandbox": {"write": ["."]}}
    tools: dict[str, Any] = {
        "workspace": {"builtin": "workspace", "root": "./files"},
        "good": faulty,
        "missing": {"command": "no-such-program", "start_timeout": "3s"},
    }
    for mode in BAD_SERVERS[1:]:
        tools[mode] = {**faulty, "args": [*faulty["args"], "--mode", mode], "start_timeout": "3s"}
    limits = {"max_runs": 1}
    agents: dict[str, Any] = {
        f"uses-{name}": {"model": "playbook:hello", "tools": [f"{name}.*"], "limits": limits} for name in tools
    }
    agents["cleaner"] = {"model": "playbook:clean", "tools": ["workspace.delete"], "limits": limits}
    return json.dumps({"server": {"port": 0, "workers": 1}, "tools": tools, "agents": agents})


@dataclass(frozen=True)
class Place:
    """A project folder with a state folder, and the real command line on them."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "PG"))}
        return {**kept, "INTERLOCK_HOME": str(self.home)}

    def fill(self, config: str, **playbooks: str) -> None:
        (self.folder / "interlock.yaml").write_text(config)
        (self.folder / "playbooks").mkdir(exist_ok=True)
        for name, text in {"hello": HELLO, "clean": CLEAN, **playbooks}.items():
            (self.folder / "playbooks" / f"{name}.yaml").write_text(text)
        (self.folder / "files").mkdir(exist_ok=True)

    def start(self, *words: str | bytes, **env: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "interlock", *words],
            env=self.env | env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str | bytes, **env: str) -> "Said":
        process = self.start(*words, **env)
        out, err = process.communicate(timeout=90)
        return Said(process.returncode, out, err)


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    status: int
    out: str
    err: str

    def refused(self, status: int, *sentences: str) -> None:
        """It ended with that status, a sentence and a hint, and without a traceback."""
        assert self.status == status, self
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        hints = [line for line in self.err.splitlines() if line.startswith("hint: ")]
        assert (len(errors), len(hints)) == (1, 1), self.err
        for sentence in sentences:
            assert sentence in self.err
        assert "Traceback" not in self.err
        assert "code: bug" not in self.err


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place(tmp_path)
    found.fill(SMALL)
    return found


def nothing_started(place: Place) -> None:
    """No database, no server, no token, and nobody holds the lock."""
    for name in ("postgres", "server.json", "token"):
        assert not (place.home / name).exists(), name


# ---- what is found before anything starts --------------------

FAULTS = {
    "yaml": (SMALL + "tools: {workspace: [\n", ["interlock.yaml:", "no valid YAML"]),
    "unknown key": (
        "agents:\n  clerk:\n    modle: x\n",
        ["interlock.yaml:3: agents.clerk.modle", "did you mean 'model'?"],
    ),
    "type": ("agents:\n  clerk:\n    limits: {max_runs: often}\n", ["interlock.yaml:3: agents.clerk.limits.max_runs"]),
    "twice": ("agents: {}\nagents: {}\n", ["interlock.yaml:2", "agents"]),
    "no playbook": ("agents: {clerk: {model: 'playbook:helo'}}\n", ["helo", "hello"]),
    "destructive allow": (
        "policy:\n  rules:\n    - {id: yolo, when: {class: destructive}, then: allow}\n",
        ["interlock.yaml:3: policy.rules[0].then", "destructive"],
    ),
    "later block": ("memory: {}\n", ["interlock.yaml:1: memory"]),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_wrong_project_starts_nothing(place: Place, kind: str) -> None:
    config, sentences = FAULTS[kind]
    place.fill(config)
    started = kind in ("yaml", "destructive allow")
    place.run(*(["up"] if started else ["config", "check"])).refused(1, *sentences)
    nothing_started(place)


def test_a_wrong_playbook_starts_nothing(place: Place) -> None:
    place.fill(SMALL, hello="version: 1\nsteps:\n  - cal: workspace.read\n")
    place.run("up", "--detach").refused(1, "hello.yaml:3", "cal")
    nothing_started(place)


def test_a_database_that_is_not_there(place: Place) -> None:
    url = "postgresql://ops:canary@127.0.0.1:1/agents"
    found = place.run("up", INTERLOCK_DATABASE_URL=url)
    found.refused(5, "Postgres does not answer", "hint: start that Postgres, or correct INTERLOCK_DATABASE_URL")
    assert "canary" not in found.out + found.err
    assert not (place.home / "server.json").exists()
    assert not (place.home / "postgres").exists()


def test_a_port_that_is_taken(place: Place) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        place.run("up", "--port", str(port)).refused(
            5, f"port {port} on 127.0.0.1 is taken", "hint: interlock up --port"
        )
    nothing_started(place)


@pytest.mark.parametrize("port", ["-1", "65536", "7.5", "http"])
def test_a_port_that_is_none(place: Place, port: str) -> None:
    place.run("up", f"--port={port}").refused(2, "--port")
    assert not place.home.exists()


@pytest.mark.parametrize("kind", ["writable for others", "a file", "nowhere"])
def test_a_state_folder_that_can_not_be_used(place: Place, kind: str) -> None:
    if kind == "writable for others":
        place.home.mkdir()
        place.home.chmod(0o770)
        place.run("up").refused(1, "other users may write to the state folder", "hint: chmod 700")
        assert list(place.home.iterdir()) == []
        return
    if kind == "a file":
        place.home.write_text("mine")
        place.run("up").refused(1, "state folder")
        assert place.home.read_text() == "mine"
        return
    place.run("up", INTERLOCK_HOME="/proc/interlock").refused(1, "the state folder /proc/interlock can't be made")


# ---- a server, with neighbours that misbehave --------------------


@dataclass(frozen=True)
class Running(Place):
    """A project that is up."""

    summary: dict[str, Any]

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def client(self) -> Client:
        return Client(self.summary["url"], self.token)

    def owner(self, statement: str, *values: object) -> int:
        """Run a statement as the role that owns the database."""
        server = EmbeddedPostgres(self.home / "postgres", PostgresBinaries.find({}), clock=SystemClock())
        with server as attached, psycopg.connect(attached.owner_conninfo, autocommit=True) as connection:
            connection.execute("set search_path = interlock")
            return connection.execute(statement.encode(), values).rowcount

    def tasks(self) -> int:
        with self.client() as client:
            return sum(client.status()["tasks"].values())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = Place(tmp_path_factory.mktemp("bad-input"))
    place.fill(config_of_everything(place.folder / "good.log"))
    started = place.run("up", "--detach", "--json")
    try:
        assert started.status == 0, started.err
        yield Running(place.folder, json.loads(started.out))
    finally:
        assert place.run("down").status == 0
        erase_embedded(place.home, {})
    assert not (place.home / "server.json").exists()
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(place.folder) not in left, "a process of it is left"


def test_up_says_which_tool_server_is_not_ready_and_why(running: Running) -> None:
    tools = {tool["server"]: tool for tool in running.summary["tools"]}
    assert {name for name, tool in tools.items() if tool["state"] == "ready"} == {"workspace", "good"}
    for name, why in {
        "missing": "command not found: no-such-program",
        "hang-start": "did not get ready within 3 s",
        "garbage": "printed text that is no MCP message ('Welcome! This is no MCP message.')",
        "empty": "lists no tools",
        "exit": "exited with status 3 before it was ready",
    }.items():
        assert f"tool server '{name}'" in tools[name]["reason"]
        assert why in tools[name]["reason"]
    status = running.run("status")
    assert all(f"! tool server {name} is " in status.out for name in BAD_SERVERS), status.out


def test_a_run_does_not_start_without_a_server_that_it_needs(running: Running) -> None:
    with running.client() as client:
        sent = {name: client.submit("hello", agent=f"uses-{name}") for name in (*BAD_SERVERS, "good", "workspace")}
        for name in ("good", "workspace"):
            assert client.wait(sent[name]["id"], timeout_s=30)["state"] == "completed"
        for name in BAD_SERVERS:
            story = client.wait(sent[name]["id"], timeout_s=60)
            assert story["state"] == "escalated"
            assert f"tool server '{name}'" in story["state_reason"]
            assert story["calls"] == []
            assert [turn["kind"] for turn in story["turns"]] == ["request"], "no model was asked"


SUBMISSIONS: dict[str, tuple[list[str | bytes], list[str]]] = {
    "agent": (["--agent", "clrek"], ["there is no agent 'clrek'", "hint: interlock agents list"]),
    "priority below": (["--priority=-1"], ["--priority: -1 is not between 0 (first) and 9 (last)"]),
    "priority above": (["--priority", "99999999999999999999"], ["--priority"]),
    "priority fraction": (["--priority", "2.5"], ["--priority", "'2.5' is no whole number"]),
    "duration": (["--max-duration", "0"], ["max_duration: it must be more than zero"]),
    "endless": (["--max-duration", "inf"], ["max_duration: found 'inf'; expected a duration such as 30s"]),
    "delay": (["--delay=-5s"], ["delay: found '-5s'; expected a duration such as 30s"]),
    "no zone": (["--at", "2036-01-01T00:00:00"], ["at: it has no time zone: add one"]),
    "no time": (["--at", "tomorrow"], ["at: 'tomorrow' is no time"]),
    "far away": (["--at", "9999-12-31T23:59:59Z"], ["at: it is more than ten years ahead"]),
    "bytes": ([b"--dedupe-key=\xff"], ["is no UTF-8 text"]),
    "not a number": (["--input", "a:=[NaN]"], ["--input a: found no JSON after ':='"]),
    "option": (["--agnet", "x"], ["Unknown option: --agnet"]),
}


def test_a_wrong_submission_makes_no_task(running: Running) -> None:
    before = running.tasks()

    def submit(words: list[str | bytes]) -> Said:
        agent = [] if "--agent" in words else ["--agent", "cleaner"]
        return running.run("submit", "clean up", *agent, *words)

    with ThreadPoolExecutor(3) as pool:
        said = dict(zip(SUBMISSIONS, pool.map(lambda entry: submit(entry[0]), SUBMISSIONS.values()), strict=True))
    for kind, (_, sentences) in SUBMISSIONS.items():
        said[kind].refused(2, *sentences)
    running.run("submit", "x" * 110_000, "--agent", "cleaner").refused(2, "110000 characters, more than 100000")
    running.run("submit", " ", "--agent", "cleaner").refused(2, "text: it is empty")
    assert running.tasks() == before


def test_a_wrong_request_makes_no_task(running: Running) -> None:
    before = running.tasks()
    good = {"agent": "cleaner", "text": "x"}
    bodies: list[tuple[bytes, int, str]] = [
        (json.dumps(good | {"text": "a\0b"}).encode(), 422, "text: holds a zero character"),
        (b'{"agent": "cleaner", "text": "\\ud800"}', 422, "text: holds half of a surrogate pair"),
        (b'{"agent": "cleaner", "text": "\xff"}', 400, "the body is no UTF-8"),
        (b'{"agent": "cleaner", "text": "x", "priority": 1e400}', 422, "priority: the number is too large"),
        (b'{"agent": "cleaner", "text": "x", "priority": NaN}', 422, "NaN is no JSON"),
        (b'{"agent": "cleaner", "agent": "clerk", "text": "x"}', 422, "agent: given twice"),
        (json.dumps(good | {"priority": True}).encode(), 422, "priority: "),
        (json.dumps(good | {"prioritty": 1}).encode(), 422, "prioritty: unknown field"),
        (json.dumps(good | {"text": "x" * 2_000_000}).encode(), 413, "the body is larger than"),
        (b"{not json", 400, "the body is no JSON at line 1"),
        (b"[]", 422, "body: "),
    ]
    headers = {"Authorization": f"Bearer {running.token}", "Content-Type": "application/json"}
    with httpx.Client(base_url=running.summary["url"], headers=headers, trust_env=False) as http:
        for body, status, sentence in bodies:
            answer = http.post("/api/v1/tasks", content=body)
            assert answer.status_code == status, (body[:80], answer.text)
            assert sentence in answer.json()["detail"]
            assert answer.json()["hint"]
            assert answer.headers["content-type"] == "application/problem+json"
    assert running.tasks() == before


def test_an_id_that_is_unknown_or_fits_several(running: Running) -> None:
    with running.client() as client:
        first = client.submit("a task", agent="uses-good")
        client.submit("one more", agent="uses-good")
    running.run("tasks", "show", first["id"][:4]).refused(1, f"'{first['id'][:4]}' fits more than one task", "hint: ")
    running.run("tasks", "cancel", "00000000-0000-7000-8000-000000000000").refused(1, "there is no task", "tasks list")
    running.run("approve", "ffffffff").refused(1, "there is no approval 'ffffffff'", "hint: interlock approvals list")
    running.run("undo", "%").refused(1, "hint: ")
    running.run("tasks", "show", b"\xff").refused(2, "is no UTF-8 text")


def test_a_wrong_token_and_a_missing_one_open_nothing(running: Running) -> None:
    for headers in ({}, {"Authorization": f"Bearer {running.token[:-1]}~"}, {"Authorization": running.token}):
        answer = httpx.get(f"{running.summary['url']}/api/v1/status", headers=headers, trust_env=False)
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthorized"
        assert "bearer" in answer.headers["www-authenticate"].lower()
        assert running.token not in answer.text
    said = running.run("submit", "x", "--agent", "cleaner", INTERLOCK_TOKEN="ilk_wrong")
    said.refused(1, "hint: set INTERLOCK_TOKEN")
    elsewhere = {"INTERLOCK_HOME": str(running.folder / "other"), "INTERLOCK_URL": running.summary["url"]}
    running.run("status", **elsewhere).refused(1, "there is no access token", "hint: export INTERLOCK_TOKEN")
    running.run("status", INTERLOCK_URL="http://127.0.0.1:9").refused(5, "no interlock server answers", "interlock up")


def test_a_second_up_changes_nothing(running: Running) -> None:
    before = (running.home / "server.json").read_bytes()
    for words in (("up",), ("up", "--detach", "--port", "0")):
        running.run(*words).refused(1, "interlock already runs at", "hint: interlock status")
    assert (running.home / "server.json").read_bytes() == before
    with running.client() as client:
        client.ready()


def test_ctrl_c_ends_the_waiting_and_not_the_task(running: Running) -> None:
    waiting = running.start("submit", "later", "--agent", "uses-good", "--delay", "1h", "--wait")
    assert waiting.stderr is not None
    assert waiting.stderr.readline().startswith("delayed: ")
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert "goes on; interlock tasks watch" in err
    assert "Traceback" not in err
    with running.client() as client:
        (task,) = client.tasks(state="delayed", agent="uses-good")["items"]
        client.cancel(task["id"])


# ---- approvals that were tampered with --------------------


def held(running: Running, text: str) -> tuple[str, dict[str, Any]]:
    """A clean-up task that waits for a person: its id and the approval."""
    for name in ("victim.txt", "other.txt"):
        (running.folder / "files" / name).write_text(name)
    with running.client() as client:
        task = client.submit(text, agent="cleaner")
        story = client.wait(task["id"], timeout_s=30)
        assert story["state"] == "waiting_approval"
        (approval,) = [item for item in client.approvals() if item["task"] == task["id"]]
        return task["id"], dict(approval)


def untouched(running: Running, task_id: str) -> None:
    """Both files are there, and no call of the task was ever started."""
    assert sorted(path.name for path in (running.folder / "files").iterdir()) == ["other.txt", "victim.txt"]
    with running.client() as client:
        assert all(call["started_at"] is None for call in client.task_calls(task_id))
        if client.task(task_id)["state"] == "waiting_approval":
            client.cancel(task_id)


def test_a_decision_about_something_else_is_refused(running: Running) -> None:
    task_id, approval = held(running, "another hash")
    headers = {"Authorization": f"Bearer {running.token}"}
    body = {"decision": "approve", "binding_sha256": "0" * 64}
    where = f"{running.summary['url']}/api/v1/approvals/{approval['id']}/decision"
    answer = httpx.post(where, json=body, headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (409, "binding_changed")
    running.owner(
        'update approval set binding = binding || \'{"tool": "workspace.write"}\' where id = %s', approval["id"]
    )
    running.run("approve", approval["id"], "--yes").refused(1, "what waits is not what was shown to you", "hint: ")
    untouched(running, task_id)


@pytest.mark.parametrize("hash_too", [False, True], ids=["arguments", "arguments and their hash"])
def test_arguments_that_change_after_the_approval_do_not_run(running: Running, hash_too: bool) -> None:
    task_id, approval = held(running, f"changed arguments {hash_too}")
    sealer = Sealer([(running.home / "keys" / "data.key").read_bytes()])
    args = {"paths": ["other.txt"]}
    with running.client() as client:
        (worker,) = client.status()["workers"]
    os.kill(worker["pid"], signal.SIGSTOP)
    try:
        assert running.run("approve", approval["id"], "--yes").status == 0
        values: list[object] = [sealer.seal(args, f"call.args:{approval['call']}")]
        changed = "update call set args = %s"
        if hash_too:
            from interlock.model import canonical_sha256

            changed += ", args_sha256 = %s"
            values.append(canonical_sha256(args))
        assert running.owner(f"{changed} where task_id = %s", *values, task_id) == 1
    finally:
        os.kill(worker["pid"], signal.SIGCONT)
    with running.client() as client:
        story = wait_until_settled(client, task_id)
        if hash_too:
            assert story["state"] == "waiting_approval", "a person is asked about what would run now"
            (asked,) = [item for item in client.approvals() if item["task"] == task_id]
            assert asked["id"] != approval["id"]
        else:
            assert story["state"] in ("failed", "escalated")
            assert "are not the recorded ones" in story["state_reason"]
    untouched(running, task_id)


def wait_until_settled(client: Client, task_id: str) -> dict[str, Any]:
    """The story once the decision was taken up: no longer queued or running."""
    deadline = time.monotonic() + 30
    while True:
        story = dict(client.task(task_id))
        if story["state"] not in ("queued", "running", "verifying", "waiting_retry"):
            return story
        assert time.monotonic() < deadline, story["state"]
        time.sleep(0.1)
