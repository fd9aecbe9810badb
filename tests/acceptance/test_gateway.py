"""Agents outside at `/mcp`, with the SDK's own client in both generations of the protocol, and with bare requests."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import httpx2
import pytest
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from tests.acceptance.serving import serving

from interlock import Client
from interlock.app import check_project, control_of, keep_house, wake_tools
from interlock.config import Settings, ensure_home, ensure_token, new_id, new_token
from interlock.model import Conflict, NotFound, UnknownAgent, UserError
from interlock.server import Patience, create_app, serve

pytestmark = pytest.mark.acceptance
Mode = Literal["legacy", "2026-07-28"]
MODES: tuple[Mode, ...] = ("legacy", "2026-07-28")
HOLD_S = 1.0


def config(log: Path) -> dict[str, Any]:
    """A tool server whose effects can be counted, an agent that may use it, and one that must ask."""
    write = {"class": "write", "egress": False, "control": ["key"], "output": "trusted"}
    undo = {"tool": "log.append", "args": {"key": "undo-{key}", "text": "undone"}}
    contracts = {
        "append": {**write, "inverse": undo},
        "append_keyed": {**write, "inverse": undo, "idempotent": True},
        "lookup": {"class": "read", "egress": False, "output": "trusted"},
    }
    args = ["-m", "interlock.testing.faulty_server", "--mode", "ok", "--log", str(log)]
    server = {
        "command": sys.executable,
        "args": args,
        "contracts": contracts,
        "sandbox": {"write": [str(log.parent)]},
    }
    ask = {"when": {"tool": "log.append_keyed"}, "then": "ask"}
    return {
        "tools": {"log": server},
        "agents": {
            "coder": {"tools": ["log.append", "log.append_keyed", "log.lookup"]},
            "reader": {"tools": ["log.lookup"]},
        },
        "policy": {"rules": [{"id": "ask-first", **ask}]},
    }


@dataclass(frozen=True)
class Running:
    """A server in a thread of its own."""

    url: str
    token: str
    log: Path

    def client(self) -> Client:
        return Client(self.url, self.token)

    def token_of(self, agent: str) -> str:
        with self.client() as client:
            return client.create_token(agent)["token"]

    def effects(self, key: str) -> int:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return sum(line["key"] == key for line in lines)

    @contextlib.asynccontextmanager
    async def agent(self, token: str, mode: Mode) -> AsyncIterator[McpClient]:
        """The SDK's client as an agent outside."""
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
            transport = streamable_http_client(f"{self.url}/mcp", http_client=http)
            async with McpClient(transport, mode=mode, read_timeout_seconds=30) as client:
                yield client

    async def answer(self, decision: Literal["approve", "deny"], key: str, reason: str | None = None) -> str:
        """Wait for the question about a key, and decide it; its id."""
        with self.client() as client:
            async with asyncio.timeout(20):
                while True:
                    for one in client.approvals():
                        if one["shown"]["args"]["key"] == key:
                            client.decide(one["id"], decision, binding_sha256=one["binding_sha256"], reason=reason)
                            return one["id"]
                    await asyncio.sleep(0.05)


async def _run(folder: Path, token: str, stop: asyncio.Event, started: "Future[str]") -> None:
    env = {**os.environ, "INTERLOCK_HOME": str(folder / "home")}
    project = check_project(folder, env)
    async with control_of(Settings(home=folder / "home"), project, env) as control:
        assert await wake_tools(control) == []
        house = asyncio.create_task(keep_house(control))
        app = create_app(control, token=token, stop=stop, patience=Patience(hold_s=HOLD_S, hold_old_s=HOLD_S))
        try:
            await serve(app, port=0, started=started.set_result)
        finally:
            house.cancel()
            await asyncio.gather(house, return_exceptions=True)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gateway")
    log = folder / "logs" / "effects.jsonl"
    log.parent.mkdir()
    (folder / "interlock.yaml").write_text(json.dumps(config(log)))
    token = ensure_token(ensure_home(Settings(home=folder / "home")))
    with serving(lambda stop, started: _run(folder, token, stop, started)) as url:
        yield Running(url, token, log)


@pytest.fixture(scope="module")
def coder(running: Running) -> str:
    return running.token_of("coder")


def words(result: Any) -> str:
    return " ".join(part.text for part in result.content)


@pytest.mark.parametrize("mode", MODES)
async def test_tools_are_listed_as_the_gate_sees_them(running: Running, coder: str, mode: Mode) -> None:
    async with running.agent(coder, mode) as client:
        listed = (await client.list_tools()).tools
    assert [tool.name for tool in listed] == ["log__append", "log__append_keyed", "log__lookup"]
    hints = {tool.name: tool.annotations for tool in listed}
    assert hints["log__lookup"] is not None
    assert hints["log__append"] is not None
    assert (hints["log__lookup"].read_only_hint, hints["log__lookup"].destructive_hint) == (True, False)
    assert (hints["log__append"].read_only_hint, hints["log__append"].destructive_hint) == (False, True)
    assert not hints["log__append"].open_world_hint
    assert {tool.output_schema is None for tool in listed if tool.name != "log__lookup"} == {True}
    async with running.agent(running.token_of("reader"), mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["log__lookup"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_is_made_and_recorded(running: Running, mode: Mode) -> None:
    key, token = new_id(), running.token_of("coder")
    async with running.agent(token, mode) as client:
        result = await client.call_tool("log__append", {"key": key, "text": "x"})
        assert not result.is_error, words(result)
        assert result.structured_content is not None
        looked = await client.call_tool("log__lookup", {"key": key})
        assert not looked.is_error
        wrong = await client.call_tool("log__append", {"key": 7})
        assert wrong.is_error
        with pytest.raises(Exception, match="Unknown tool"):
            await client.call_tool("log__flaky", {})
    assert running.effects(key) == 1
    with running.client() as control:
        task = next(
            one for one in control.tasks(agent="coder")["items"] if one["submitted_by"] == f"token:{token[4:14]}"
        )
        calls = control.task_calls(task["id"])
        assert [(call["tool"], call["state"]) for call in calls] == [
            ("log.append", "done"),
            ("log.lookup", "done"),
            ("log.append", "denied"),
        ]
        events = {record["event"] for record in control.audit(task_id=task["id"])}
        assert {"call.intent", "call.outcome"} <= events
    with running.client() as control:
        control.cancel(task["id"])
        assert control.wait(task["id"], timeout_s=10, final_only=True)["state"] == "cancelled"


async def test_a_new_client_waits_for_a_person_by_itself(running: Running, coder: str) -> None:
    key = new_id()
    async with running.agent(coder, "2026-07-28") as client:
        calling = asyncio.create_task(client.call_tool("log__append_keyed", {"key": key, "text": "x"}))
        await asyncio.sleep(2.5 * HOLD_S)  # more than one round
        assert not calling.done()
        assert running.effects(key) == 0
        approval = await running.answer("approve", key)
        result = await calling
    assert not result.is_error, words(result)
    assert running.effects(key) == 1
    with running.client() as control:
        assert control.approval(approval)["state"] == "consumed"


async def test_a_denial_reaches_a_new_client(running: Running, coder: str) -> None:
    key = new_id()
    async with running.agent(coder, "2026-07-28") as client:
        calling = asyncio.create_task(client.call_tool("log__append_keyed", {"key": key, "text": "x"}))
        await running.answer("deny", key, "not that key")
        result = await calling
    assert result.is_error
    assert "not that key" in words(result)
    assert running.effects(key) == 0


async def test_an_old_client_is_told_to_call_again(running: Running, coder: str) -> None:
    key = new_id()
    wanted = {"key": key, "text": "x"}
    async with running.agent(coder, "legacy") as client:
        pending = await client.call_tool("log__append_keyed", wanted)
        assert pending.is_error
        facts = pending.structured_content
        assert isinstance(facts, dict)
        assert (facts["status"], facts["retry"]) == ("approval_pending", "call again with the same arguments")
        again = await client.call_tool("log__append_keyed", wanted)
        assert again.structured_content == facts, "the same question"
        assert await running.answer("approve", key) == facts["approval"]
        result = await client.call_tool("log__append_keyed", wanted)
        assert not result.is_error, words(result)
        assert running.effects(key) == 1
        anew = await client.call_tool("log__append_keyed", wanted)
        assert isinstance(anew.structured_content, dict)
        assert anew.structured_content["approval"] != facts["approval"], "an approval is good for one call"
        await running.answer("deny", key, "once is enough")
        denied = await client.call_tool("log__append_keyed", wanted)
        assert denied.is_error
        assert "once is enough" in words(denied)
    assert running.effects(key) == 1


async def test_what_a_client_carries_is_bound_to_its_call_and_its_token(running: Running, coder: str) -> None:
    key = new_id()
    wanted = {"key": key, "text": "x"}
    async with running.agent(coder, "2026-07-28") as client:
        first = await client.session.call_tool("log__append_keyed", wanted, allow_input_required=True)
        state = getattr(first, "request_state", None)
        assert state
        assert key not in state
        for name, args in (
            ("log__append_keyed", {"key": key, "text": "y"}),
            ("log__append", wanted),
        ):
            with pytest.raises(Exception, match="requestState"):
                await client.session.call_tool(name, args, request_state=state, allow_input_required=True)
        for tampered in (f"{state}x", state[:-2], "v1.AAAA", ""):
            with pytest.raises(Exception, match="requestState"):
                await client.session.call_tool(
                    "log__append_keyed", wanted, request_state=tampered, allow_input_required=True
                )
        async with running.agent(running.token_of("coder"), "2026-07-28") as other:
            with pytest.raises(Exception, match="requestState"):
                await other.session.call_tool("log__append_keyed", wanted, request_state=state)
        await running.answer("approve", key)
        results = await asyncio.gather(
            *(client.session.call_tool("log__append_keyed", wanted, request_state=state) for _ in range(3))
        )
    assert {words(result) for result in results} == {words(results[0])}
    assert running.effects(key) == 1


def call_body(number: int, name: str, args: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": args}}


def bare(running: Running, token: str | None, **more: str) -> httpx.Client:
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25", **more}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return httpx.Client(base_url=running.url, headers=headers, trust_env=False, timeout=30)


def test_only_an_agent_s_token_opens_it_and_it_opens_nothing_else(running: Running, coder: str) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for token in (None, "wrong", running.token, new_token()):
        with bare(running, token) as http:
            answer = http.post("/mcp", json=ping)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"].startswith("Bearer")
    with bare(running, coder) as http:
        assert http.post("/mcp", json=ping).status_code == 200
        assert http.get("/api/v1/status").status_code == 401
        assert http.get("/mcp").status_code == 405
        assert http.delete("/mcp").status_code == 405
        assert http.post("/mcp?token=x", json=ping).status_code == 422


def test_pages_and_foreign_hosts_are_kept_out(running: Running, coder: str) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with bare(running, coder, Origin="https://evil.example") as http:
        assert http.post("/mcp", json=ping).status_code == 403
    with bare(running, coder, Host="evil.example") as http:
        assert http.post("/mcp", json=ping).status_code == 421


def test_what_can_not_be_is_told(running: Running, coder: str) -> None:
    with bare(running, coder) as http:
        assert http.post("/mcp", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
        large = http.post("/mcp", content=b" " * (16 * 1024 * 1024 + 1), headers={"Content-Type": "application/json"})
        assert large.status_code == 413
        for args in ({"key": "\0", "text": "x"}, {"key": "a", "text": "x", "delay_s": 2**60}):
            found = http.post("/mcp", json=call_body(1, "log__append", args)).json()["result"]
            assert found["isError"]
            assert found["structuredContent"]["code"] == "invalid_request"
        infinite = json.dumps(call_body(1, "log__append", {"key": "a", "text": "x"})).replace('"x"', "NaN")
        answer = http.post("/mcp", content=infinite, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400 or answer.json()["result"]["isError"]
        unknown = http.post("/mcp", json=call_body(1, "nothing", {})).json()
        assert unknown["error"]["code"] == -32602


def test_a_client_that_hangs_up_hears_the_outcome_when_it_calls_again(running: Running, coder: str) -> None:
    key = new_id()
    body = call_body(1, "log__append", {"key": key, "text": "x", "delay_s": 1.0})
    with bare(running, coder) as http:
        with pytest.raises(httpx.ReadTimeout):
            http.post("/mcp", json=body, timeout=0.4)
        result = http.post("/mcp", json=body).json()["result"]
        assert not result.get("isError"), result
        assert running.effects(key) == 1
        http.post("/mcp", json=body)
        assert running.effects(key) == 2, "now it was heard, so the same again is meant"


def test_tokens_are_made_listed_revoked_and_never_shown_again(running: Running) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with running.client() as client:
        made = client.create_token("reader", expires="1h")
        assert (made["state"], made["agent"], made["task"]) == ("active", "reader", None)
        secret = made["token"]
        with bare(running, secret) as http:
            assert http.post("/mcp", json=ping).status_code == 200
            listed = {one["id"]: one for one in client.tokens()}
            assert listed[made["id"]]["used_at"] is not None
            assert "token" not in listed[made["id"]]
            assert secret not in json.dumps([*listed.values(), *client.audit(limit=1000)])
            assert client.revoke_token(made["id"])["state"] == "revoked"
            with pytest.raises(Conflict):
                client.revoke_token(made["id"])
            for _ in range(30):
                answer = http.post("/mcp", json=ping)
                if answer.status_code == 401:
                    break
                asyncio.run(asyncio.sleep(0.1))
            assert answer.status_code == 401
        events = {one["event"] for one in client.audit(limit=1000)}
        assert {"token.created", "token.revoked"} <= events
        with pytest.raises(UnknownAgent, match="configured are: coder, reader"):
            client.create_token("nobody")
        with pytest.raises(UserError, match="expires"):
            client.create_token("reader", expires="soon")
        with pytest.raises(NotFound):
            client.revoke_token("0123456789")
