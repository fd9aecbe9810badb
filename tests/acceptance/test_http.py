"""The HTTP API as a user meets it: embedded Postgres, a real server on a free port, the client, and no worker."""

import asyncio
import json
import os
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.acceptance.serving import serving

from interlock import AsyncClient, Client
from interlock.app import control_of
from interlock.config import Settings, ensure_home, ensure_token, load_project
from interlock.model import BacklogFull, Conflict, NotFound, ServerUnavailable, Unauthorized, UnknownAgent, UserError
from interlock.server import create_app, serve

pytestmark = pytest.mark.acceptance

CONFIG = """
agents:
  writer:
    model: playbook:hello
    limits: {max_duration: 60s}
  other:
    model: playbook:hello
  busy:
    model: playbook:hello
    backlog: 2
tools:
  workspace: {builtin: workspace, root: files}
schedules:
  mornings: {agent: writer, text: look around, cron: "30 6 * * MON-FRI", timezone: Europe/Berlin}
"""
PLAYBOOK = """
version: 1
steps:
  - result: hello
"""


@dataclass(frozen=True)
class Running:
    """A server in a thread of its own."""

    url: str
    token: str

    def client(self) -> Client:
        return Client(self.url, self.token)


async def _run(folder: Path, token: str, stop: asyncio.Event, started: "Future[str]") -> None:
    settings = Settings(home=folder / "home")
    env = {**os.environ, "INTERLOCK_HOME": str(settings.home)}  # the tool host that is started must find the same place
    project = load_project(folder, env)
    async with control_of(settings, project, env) as control:
        await serve(create_app(control, token=token, stop=stop), port=0, started=started.set_result)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("http")
    (folder / "interlock.yaml").write_text(CONFIG)
    (folder / "files").mkdir()
    (folder / "playbooks").mkdir()
    (folder / "playbooks" / "hello.yaml").write_text(PLAYBOOK)
    token = ensure_token(ensure_home(Settings(home=folder / "home")))
    with serving(lambda stop, started: _run(folder, token, stop, started)) as url:
        yield Running(url, token)


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    with running.client() as found:
        yield found


def test_a_task_is_taken_in_once_shown_and_cancelled(client: Client) -> None:
    before = client.tasks(agent="writer")["items"]
    first = client.submit("say  hello", agent="writer", inputs={"n": 1})
    again = client.submit("say hello ", agent="writer", inputs={"n": 1})
    assert (first["created"], again["created"]) == (True, False)
    assert first["id"] == again["id"]
    assert len(client.tasks(agent="writer")["items"]) == len(before) + 1

    story = client.task(first["id"][-8:])
    assert (story["text"], story["inputs"], story["state"]) == ("say  hello", {"n": 1}, "queued")
    assert (story["submitted_by"], story["max_duration_s"]) == ("person:admin", 60.0)
    assert client.task_calls(first["id"]) == []

    assert client.cancel(first["id"])["state"] == "cancelled"
    assert client.wait(first["id"], timeout_s=5)["state"] == "cancelled"
    with pytest.raises(Conflict):
        client.resolve(first["id"], "retry", reason="it is not escalated")
    renewed = client.retry(first["id"])
    assert renewed["created"]
    assert renewed["id"] != first["id"]
    client.cancel(renewed["id"])
    fresh = client.submit("say hello", agent="writer", inputs={"n": 1})
    assert fresh["created"], "the key is free again once the task is final"
    client.cancel(fresh["id"])


def test_the_idempotency_key_is_honoured(running: Running) -> None:
    headers = {"Authorization": f"Bearer {running.token}", "Idempotency-Key": "order-17"}
    with httpx.Client(base_url=running.url, headers=headers, trust_env=False) as http:
        first = http.post("/api/v1/tasks", json={"agent": "writer", "text": "one"})
        again = http.post("/api/v1/tasks", json={"agent": "writer", "text": "another"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


def test_lists_are_paged_and_filtered(client: Client) -> None:
    made = [client.submit(f"page {number}", agent="other", delay="1h")["id"] for number in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        page = client.tasks(state="delayed", agent="other", cursor=cursor, limit=2)
        seen += [task["id"] for task in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_what_happens_to_a_task_is_streamed(running: Running, client: Client) -> None:
    task = client.submit("watch me", agent="writer")
    async with AsyncClient(running.url, running.token) as watching:
        found = []
        async for entry in watching.events(task["id"]):
            found.append(entry)
            if entry.get("state") == "queued":
                await watching.cancel(task["id"])
    assert found[0]["event"] == "task.submitted"
    assert [entry["state"] for entry in found if entry["event"] == "state"] == ["queued", "cancelled"]
    assert len({entry["id"] for entry in found if "id" in entry}) == len([entry for entry in found if "id" in entry])


def test_the_audit_knows_and_verifies(client: Client) -> None:
    task = client.submit("remember me", agent="writer")
    client.cancel(task["id"])
    assert {entry["actor"] for entry in client.audit(task_id=task["id"])} == {"person:admin"}
    found = client.verify_audit()
    assert (found["ok"], found["problems"]) == (True, [])
    assert client.verify_audit((found["records"], found["head"]))["ok"]
    assert not client.verify_audit((found["records"], "0" * 64))["ok"]
    lines = [json.loads(line) for line in client.export_audit()]
    assert lines[found["records"] - 1]["link"] == found["head"]


def test_halting_and_resuming_is_seen(client: Client) -> None:
    client.halt("agent:writer", reason="smoke")
    assert any("agent:writer is halted by person:admin: smoke" in warning for warning in client.status()["warnings"])
    assert client.resume("agent:writer")["changed"]
    assert not client.resume("agent:writer")["changed"]
    with pytest.raises(UserError, match="scope"):
        client.halt("everything", reason="smoke")


def test_agents_tools_and_metrics(client: Client) -> None:
    assert [agent["name"] for agent in client.agents()] == ["writer", "other", "busy"]
    assert client.agent("other")["model"] == "playbook:hello"
    tools = {tool["tool"]: tool for tool in client.tools("workspace")}
    assert "workspace.read" in tools
    accepted = client.pin("workspace")
    assert sorted(accepted) == sorted(tools)
    assert client.tool("workspace.read")["pin"] == "accepted"
    text = client.metrics()
    for name in (
        "agent_tasks_total",
        "agent_task_duration_seconds",
        "agent_tokens_used_total",
        "agent_tool_calls_total",
    ):
        assert name in text


def test_nothing_to_undo_and_nothing_to_approve(client: Client) -> None:
    task = client.submit("do nothing", agent="writer")
    client.cancel(task["id"])
    with pytest.raises(Conflict, match="nothing to undo"):
        client.undo_task(task["id"], dry_run=True)
    assert client.approvals() == []
    assert client.which(task["id"]) == "task"


def test_what_can_not_be_is_told(client: Client) -> None:
    with pytest.raises(UnknownAgent, match=r"'wirter'; configured are: busy, other, writer"):
        client.submit("hello", agent="wirter")
    with pytest.raises(UserError, match="text: it is empty"):
        client.submit("  ", agent="writer")
    with pytest.raises(UserError, match="delay: "):
        client.submit("hello", agent="writer", delay="soon")
    with pytest.raises(UserError, match="time zone"):
        client.submit("hello", agent="writer", at="2030-01-01T00:00:00")
    with pytest.raises(UserError, match="state: 'quedued'"):
        client.tasks(state="quedued")
    for asked in (client.task, client.cancel, client.approval, client.call, client.undo_call, client.which):
        with pytest.raises(NotFound):
            asked("00000000-0000-7000-8000-000000000000")
    with pytest.raises(NotFound):
        client.task("no id at all")
    with pytest.raises(NotFound):
        next(client.events("00000000"))
    with pytest.raises(NotFound, match="git"):
        client.tool("git")


def test_a_full_backlog_is_told(running: Running, client: Client) -> None:
    waiting = [client.submit(f"wait {number}", agent="busy") for number in range(2)]
    with pytest.raises(BacklogFull, match="2 tasks wait for the agent 'busy', and its `backlog` is 2") as caught:
        client.submit("too much", agent="busy")
    assert caught.value.retryable
    headers = {"authorization": f"Bearer {running.token}"}
    body = {"agent": "busy", "text": "too much"}
    answer = httpx.post(f"{running.url}/api/v1/tasks", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (429, "backlog_full")
    assert 'interlock_backlog{agent="busy"} 2.0' in client.metrics()
    assert not client.submit("wait 0", agent="busy")["created"]
    client.cancel(waiting[0]["id"])
    client.cancel(client.submit("now there is room", agent="busy")["id"])
    client.cancel(waiting[1]["id"])
    assert 'interlock_backlog{agent="busy"} 0.0' in client.metrics()


def test_schedules_are_seen_and_steered(client: Client) -> None:
    (shown,) = client.schedules()
    assert (shown["name"], shown["agent"], shown["state"], shown["fired"]) == ("mornings", "writer", "on", 0)
    assert (shown["cron"], shown["timezone"], len(shown["next"])) == ("30 6 * * MON-FRI", "Europe/Berlin", 3)
    assert client.pause_schedule("mornings") == {"name": "mornings", "paused": True, "changed": True}
    assert not client.pause_schedule("mornings")["changed"]
    (shown,) = client.schedules()
    assert (shown["state"], shown["paused_by"], shown["next"]) == ("paused", "person:admin", [])
    task = client.trigger_schedule("mornings")
    assert client.task(task["id"])["text"] == "look around"
    with pytest.raises(Conflict, match="two must not run at a time"):
        client.trigger_schedule("mornings")
    client.cancel(task["id"])
    assert client.resume_schedule("mornings")["changed"]
    (shown,) = client.schedules()
    assert (shown["last_task"], shown["last_state"], shown["fired"]) == (task["id"], "cancelled", 1)
    with pytest.raises(NotFound, match="there is no schedule 'evenings'; configured are: mornings"):
        client.trigger_schedule("evenings")


def test_a_wrong_token_opens_nothing(running: Running) -> None:
    with Client(running.url, running.token[:-1] + "~") as client:
        client.ready()
        for asked in (client.status, client.metrics, client.shutdown, client.tasks):
            with pytest.raises(Unauthorized):
                asked()
    with running.client() as client:
        assert client.status()["version"]


def test_no_server_is_told(running: Running) -> None:
    with Client("http://127.0.0.1:9", running.token) as client, pytest.raises(ServerUnavailable) as found:
        client.status()
    assert found.value.next_step == "interlock up"
