"""The gateway and the assistant's server as a user meets them: real processes, tokens from the command line, a kill."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

from interlock.app import erase_embedded
from interlock.config import new_id

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

PLAYBOOK = {
    "version": 1,
    "steps": [{"id": "a", "call": "log.append_keyed", "args": {"key": "{{ inputs.key }}", "text": "x"}}],
    "result": "done",
}


def config(log: Path) -> dict[str, Any]:
    """A tool server whose effects can be counted; calls of one of its tools need a person."""
    undo = {"tool": "log.append", "args": {"key": "undo-{key}", "text": "undone"}}
    write = {"class": "write", "egress": False, "control": ["key"], "output": "trusted", "inverse": undo}
    server = {
        "command": sys.executable,
        "args": ["-m", "interlock.testing.faulty_server", "--mode", "ok", "--log", str(log)],
        "contracts": {"append": write, "append_keyed": write},
        "sandbox": {"write": [str(log.parent)]},
    }
    return {
        "tools": {"log": server},
        "agents": {
            "outside": {"tools": ["log.append"]},
            "asks": {"model": "playbook:asks", "tools": ["log.append_keyed"]},
        },
        "policy": {"rules": [{"id": "ask", "when": {"tool": "log.append_keyed"}, "then": "ask"}]},
        "server": {"workers": 1},
    }


@dataclass(frozen=True)
class Place:
    """A project folder with a state folder of its own."""

    folder: Path
    home: Path
    log: Path

    @property
    def env(self) -> dict[str, str]:
        dropped = ("INTERLOCK_URL", "INTERLOCK_TOKEN", "INTERLOCK_DATABASE_URL", "INTERLOCK_DEBUG")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        return {**kept, "INTERLOCK_HOME": str(self.home)}

    def run(self, *words: str, status: int = 0) -> str:
        """Type a command."""
        done = subprocess.run(
            [sys.executable, "-m", "interlock", *words],
            cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr + done.stdout
        return done.stdout

    def json(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(*words, "--json"))
        return found

    def running(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "server.json").read_text())
        return found

    def effects(self, key: str) -> int:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return sum(line["key"] == key for line in lines)

    def call(self, token: str, args: dict[str, Any], timeout_s: float = 30.0) -> dict[str, Any]:
        """One call of `log__append` as an agent outside of the handshake era makes it."""
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "log__append", "arguments": args},
        }
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
        url = f"{self.running()['url']}/mcp"
        answer = httpx.post(url, json=message, headers=headers, timeout=timeout_s, trust_env=False)
        answer.raise_for_status()
        result: dict[str, Any] = answer.json()["result"]
        return result


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("gateway-cli")
    found = Place(root / "project", root / "home", root / "project" / "logs" / "effects.jsonl")
    found.log.parent.mkdir(parents=True)
    (found.folder / "playbooks").mkdir()
    (found.folder / "playbooks" / "asks.yaml").write_text(json.dumps(PLAYBOOK))
    (found.folder / "interlock.yaml").write_text(json.dumps(config(found.log)))
    try:
        found.run("up", "--detach", "--port", "0")
        yield found
    finally:
        with contextlib.suppress(AssertionError):
            found.run("down")
        erase_embedded(found.home, os.environ)


@contextlib.asynccontextmanager
async def assistant(place: Place) -> AsyncIterator[McpClient]:
    """A person's assistant that has started `interlock mcp serve`."""
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "interlock", "mcp", "serve"], env=place.env, cwd=place.folder
    )
    with open(os.devnull, "w") as quiet:
        async with McpClient(stdio_client(command, errlog=quiet), read_timeout_seconds=60) as client:
            yield client


async def ask(client: McpClient, tool: str, **args: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, args)
    facts = result.structured_content
    assert isinstance(facts, dict)
    return {**facts, "is_error": result.is_error}


def test_a_token_from_the_command_line_opens_the_gateway(place: Place) -> None:
    page = place.run("tokens", "create", "--agent", "outside", "--expires", "1h")
    token = page.splitlines()[0]
    assert token.startswith("ilk_")
    key = new_id()
    assert not place.call(token, {"key": key, "text": "x"}).get("isError")
    assert place.effects(key) == 1
    listed = place.json("tokens", "list")["items"]
    assert (listed[0]["agent"], listed[0]["state"], listed[0]["id"]) == ("outside", "active", token[4:14])
    table = place.run("tokens", "list")
    assert listed[0]["id"] in table
    assert token not in table + (place.home / "logs" / "up.log").read_text()
    assert f"token {listed[0]['id']} of outside is revoked" in place.run("tokens", "revoke", listed[0]["id"])
    place.run("tokens", "revoke", listed[0]["id"], status=1)
    place.run("tokens", "create", "--agent", "nobody", status=2)
    assert place.json("status")["workers"][0]["pid"], "a server that holds tasks of agents outside is no worker"
    assert len(place.json("status")["workers"]) == 1


def test_a_call_under_way_when_the_server_is_killed_takes_effect_once(place: Place) -> None:
    token = place.json("tokens", "create", "--agent", "outside")["token"]
    key = new_id()
    args = {"key": key, "text": "x", "delay_s": 2.0}
    with pytest.raises(httpx.TransportError):
        place.call(token, args, timeout_s=0.7)
    os.kill(place.running()["pid"], signal.SIGKILL)
    place.run("up", "--detach", "--port", "0")
    result = place.call(token, args)
    assert not result.get("isError"), result
    assert place.effects(key) == 1
    place.call(token, args)
    assert place.effects(key) == 2, "that was heard, so this is another one"


async def test_an_assistant_submits_looks_and_decides_only_what_was_shown(place: Place) -> None:
    key = new_id()
    async with assistant(place) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert sorted(tools) == [
            "approve", "deny", "list_approvals", "list_tasks", "show_approval", "status", "submit_task", "task_status",
            "undo",
        ]  # fmt: skip
        approve = tools["approve"]
        assert approve.annotations is not None
        assert approve.annotations.destructive_hint
        assert "person who has read" in str(approve.description)
        assert "binding_sha256" in approve.input_schema["required"]

        task = await ask(client, "submit_task", agent="asks", text="go", inputs={"key": key})
        async with asyncio.timeout(60):
            while not (waiting := (await ask(client, "list_approvals"))["approvals"]):
                await asyncio.sleep(0.2)
        shown = await ask(client, "show_approval", approval=waiting[0]["id"])
        assert shown["shown"]["args"]["key"] == key
        for wrong in ({}, {"binding_sha256": "no"}):
            refused = await ask(client, "approve", approval=shown["id"], **wrong)
            assert (refused["is_error"], refused["code"]) == (True, "invalid_request")
        other = await ask(client, "approve", approval=shown["id"], binding_sha256="0" * 64)
        assert (other["is_error"], other["code"]) == (True, "binding_changed")
        assert place.effects(key) == 0
        decided = await ask(client, "approve", approval=shown["id"], binding_sha256=shown["binding_sha256"])
        assert decided["state"] == "approved"
        async with asyncio.timeout(60):
            while (found := await ask(client, "task_status", task=task["id"]))["state"] != "completed":
                await asyncio.sleep(0.2)
        assert found["calls"][0]["state"] == "done"
        assert place.effects(key) == 1

        plan = await ask(client, "undo", target=task["id"])
        assert (plan["done"], len(plan["steps"]), place.effects(f"undo-{key}")) == (False, 1, 0)
        stale = await ask(client, "undo", target=task["id"], plan_sha256="0" * 64)
        assert (stale["is_error"], stale["code"]) == (True, "conflict")
        undone = await ask(client, "undo", target=task["id"], plan_sha256=plan["plan_sha256"])
        assert undone["done"]
        assert undone["task"]["kind"] == "undo"

        assert (await ask(client, "status"))["version"]
        assert task["id"] in [one["id"] for one in (await ask(client, "list_tasks", agent="asks"))["tasks"]]
        missing = await ask(client, "task_status", task="00000000")
        assert (missing["is_error"], missing["code"]) == (True, "not_found")
