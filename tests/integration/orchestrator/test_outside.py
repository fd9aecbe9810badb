"""Calls of agents outside: one effect for the same call, one use of an approval, and nothing lost when servers die."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from interlock.app import Control, Fleet, Foundation, Gateway, check_project, gateway_of, keep_version
from interlock.app.tool_host import hosted_tools
from interlock.config import Settings, new_id
from interlock.model import (
    VERSION,
    Conflict,
    Denied,
    Done,
    Exhausted,
    Held,
    InDoubt,
    ToolRef,
    Unauthorized,
    Unavailable,
)
from interlock.orchestrator import OutsideAnswer
from interlock.store import AgentToken, Database, executor_rows
from interlock.testing.postgres import TestPostgres, open_database

APPEND, KEYED, LOOKUP = ToolRef("log", "append"), ToolRef("log", "append_keyed"), ToolRef("log", "lookup")
DOOMED = ToolRef("doomed", "append")
PERSON = "person:ann"
PATIENCE_S = 30.0
READ = {"class": "read", "egress": False, "output": "trusted"}
WRITE = {"class": "write", "egress": False, "control": ["key"], "output": "trusted"}


def faulty(mode: str, log: Path, **contracts: Any) -> dict[str, Any]:
    """A tool server that misbehaves in one way."""
    command = ["-m", "interlock.testing.faulty_server", "--mode", mode, "--log", str(log)]
    return {
        "command": sys.executable,
        "args": command,
        "contracts": contracts,
        "sandbox": {"write": [str(log.parent)]},
    }


def config(log: Path) -> dict[str, Any]:
    """Agents outside: one that may do as it likes, one that must ask, and one whose server dies in each call."""
    undo = {"tool": "log.append", "args": {"key": "undo-{key}", "text": "undone"}}
    writes = {"append": {**WRITE, "inverse": undo}, "append_keyed": {**WRITE, "inverse": undo}, "lookup": READ}
    doomed = faulty("die-on-call", log, append={**WRITE, "inverse": {**undo, "tool": "doomed.append"}})
    agents: dict[str, Any] = {
        "free": {"tools": ["log.*"]},
        "asks": {"tools": ["log.*"]},
        "asks-briefly": {"tools": ["log.*"], "approval_ttl": "1s"},
        "doomed": {"tools": ["doomed.*"]},
    }
    ask = {"when": {"agent": "asks*", "tool": "log.append_keyed"}, "then": "ask"}
    return {
        "tools": {"log": faulty("ok", log, **writes), "doomed": doomed},
        "agents": agents,
        "policy": {"rules": [{"id": "ask-first", **ask}]},
    }


@dataclass
class Ground:
    """A database, a project, and as many servers on it as a test wants."""

    database: Database
    foundation: Foundation
    settings: Settings
    control: Control
    log: Path
    env: dict[str, str]
    gateways: list[Gateway]

    def server(self, **changes: Any) -> Gateway:
        """One more server process, as far as calls from outside are concerned."""
        tools = hosted_tools(self.settings, self.control.project, self.env)
        gateway = gateway_of(self.foundation, self.settings, self.control.project, tools)
        for name, value in changes.items():
            setattr(gateway.runs, name, value)
        self.gateways.append(gateway)
        return gateway

    async def token(self, agent: str) -> AgentToken:
        """A token of an agent, as a server sees it."""
        made = await self.control.tokens.create({"agent": agent}, PERSON)
        return (await self.gateways[0].who(made["token"])).token

    async def answer(self, approval_id: str, decision: str, reason: str = "") -> None:
        """Decide."""
        seen = await self.control.approval(approval_id)
        verdict = {"decision": decision, "reason": reason, "binding_sha256": seen["binding_sha256"]}
        await self.control.decide(approval_id, verdict, PERSON)

    async def task(self, token: AgentToken, *states: str) -> dict[str, Any]:
        """The last task of a token, once it is in one of these states."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                items = (await self.control.tasks(None, token.agent, None, 50))["items"]
                found = next(one for one in items if one["submitted_by"] == f"token:{token.id}")
                if not states or found["state"] in states:
                    return await self.control.task(found["id"])
                await asyncio.sleep(0.05)

    def effects(self, key: str) -> int:
        """How often a key was written, by the tool's own record."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return sum(line["key"] == key for line in lines)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(interlock_postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    folder = tmp_path_factory.mktemp("outside")
    log = folder / "logs" / "effects.jsonl"
    log.parent.mkdir()
    (folder / "interlock.yaml").write_text(json.dumps(config(log)))
    env = {**os.environ, "INTERLOCK_HOME": str(folder / "home")}
    settings, project = Settings.from_env(env), check_project(folder, env)
    settings.home.mkdir(mode=0o700)
    conninfo, url = interlock_postgres.fresh()
    async with open_database(conninfo) as database:
        tools = hosted_tools(settings, project, env)
        await keep_version(database, project)
        control = Control(database, project, Fleet(database, project, tools), VERSION)
        assert not await control.fleet.accept_first_seen(PERSON)
        found = Ground(database, Foundation(database, conninfo, url, "test"), settings, control, log, env, [])
        found.server()
        try:
            yield found
        finally:
            for gateway in found.gateways:
                await gateway.runs.leave()
            await tools.stop()


@contextlib.asynccontextmanager
async def watched(*gateways: Gateway) -> AsyncIterator[None]:
    """What their processes do beside."""
    watches = [asyncio.create_task(gateway.runs.watch()) for gateway in gateways]
    try:
        yield
    finally:
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)


def args(key: str, delay_s: float = 0.0) -> dict[str, Any]:
    return {"key": key, "text": "x", "delay_s": delay_s}


def done(answer: OutsideAnswer) -> str:
    assert isinstance(answer.outcome, Done), answer
    assert answer.outcome.observation.ok, answer
    return answer.outcome.observation.text


async def die(ground: Ground, gateway: Gateway) -> None:
    """End a server as a kill would: nothing is written, its session is gone, its calls go on at the tool host."""
    runs = gateway.runs
    for session in list(runs._sessions.values()):
        runs._drop(session)
    await runs.presence.lock.release()
    runs.presence.joined = False
    async with ground.database.transaction() as tx:
        await executor_rows.remove(tx, runs.presence.executor_id)


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_same_call_while_it_is_under_way_or_unheard_is_one_call(ground: Ground) -> None:
    server, token, key = ground.gateways[0], await ground.token("free"), new_id()
    first, second = await asyncio.gather(*(server.runs.call(token, APPEND, args(key, 0.5)) for _ in range(2)))
    third = await server.runs.call(token, APPEND, args(key, 0.5))
    assert {answer.call_id for answer in (first, second, third)} == {first.call_id}
    assert done(first) == done(third)
    assert ground.effects(key) == 1
    server.runs.told(token, first.call_id)
    fourth = await server.runs.call(token, APPEND, args(key, 0.5))
    assert (fourth.call_no, ground.effects(key)) == (2, 2), "what was heard is over: this is meant"


async def test_whoever_hangs_up_ends_nothing_and_hears_it_later(ground: Ground) -> None:
    server, token, key = ground.gateways[0], await ground.token("free"), new_id()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(server.runs.call(token, APPEND, args(key, 1.0)), 0.3)
    again = await server.runs.call(token, APPEND, args(key, 1.0))
    assert (done(again) != "", again.call_no, ground.effects(key)) == (True, 1, 1)


async def test_a_read_that_nobody_heard_is_made_anew(ground: Ground) -> None:
    server, token, key = ground.gateways[0], await ground.token("free"), new_id()
    before = done(await server.runs.call(token, LOOKUP, {"key": key}))
    done(await server.runs.call(token, APPEND, args(key)))
    assert done(await server.runs.call(token, LOOKUP, {"key": key})) != before


async def test_an_approval_is_used_once(ground: Ground) -> None:
    server, token, key = ground.gateways[0], await ground.token("asks"), new_id()
    held = await server.runs.call(token, KEYED, args(key))
    assert isinstance(held.outcome, Held)
    again = await server.runs.call(token, KEYED, args(key))
    assert again.outcome == held.outcome, "asking again asks nobody again"
    assert not await server.runs.decided(held.outcome.approval_id, 0.1)
    await ground.answer(held.outcome.approval_id, "approve")
    assert await server.runs.decided(held.outcome.approval_id, 5.0)
    answers = await asyncio.gather(*(server.runs.call(token, KEYED, args(key)) for _ in range(4)))
    assert {done(answer) for answer in answers} == {done(answers[0])}
    assert ground.effects(key) == 1
    assert (await ground.control.approval(held.outcome.approval_id))["state"] == "consumed"
    server.runs.told(token, answers[0].call_id)
    by_id = await server.runs.call(token, KEYED, args(key), held.call_id)
    assert (done(by_id), ground.effects(key)) == (done(answers[0]), 1), "a late round hears what became of it"
    server.runs.told(token, by_id.call_id)
    anew = await server.runs.call(token, KEYED, args(key))
    assert isinstance(anew.outcome, Held), "and the same again needs an approval of its own"
    assert anew.call_id != held.call_id


async def test_a_denial_is_told_with_its_reason_and_remembered(ground: Ground) -> None:
    server, token, key = ground.gateways[0], await ground.token("asks"), new_id()
    held = await server.runs.call(token, KEYED, args(key))
    assert isinstance(held.outcome, Held)
    await ground.answer(held.outcome.approval_id, "deny", "not on a Friday")
    told = await server.runs.call(token, KEYED, args(key))
    assert isinstance(told.outcome, Denied)
    assert "not on a Friday" in told.outcome.observation.text
    assert told.call_id == held.call_id
    server.runs.told(token, told.call_id)
    again = await server.runs.call(token, KEYED, args(key))
    assert isinstance(again.outcome, Denied)
    assert "not on a Friday" in again.outcome.observation.text
    assert ground.effects(key) == 0


async def test_what_nobody_answers_expires(ground: Ground) -> None:
    from interlock.orchestrator.decisions import expire_approvals

    server, token, key = ground.gateways[0], await ground.token("asks-briefly"), new_id()
    held = await server.runs.call(token, KEYED, args(key))
    assert isinstance(held.outcome, Held)
    await asyncio.sleep(1.1)
    assert await expire_approvals(ground.database) == 1
    told = await server.runs.call(token, KEYED, args(key))
    assert isinstance(told.outcome, Denied)
    assert "nobody answered" in told.outcome.observation.text


async def test_another_server_takes_the_task_over(ground: Ground) -> None:
    one, two, token, key = ground.gateways[0], ground.server(), await ground.token("free"), new_id()
    first = await one.runs.call(token, APPEND, args(key))
    second = await two.runs.call(token, APPEND, args(key))
    assert second.call_id == first.call_id, "its outcome was never heard"
    two.runs.told(token, second.call_id)
    assert (await two.runs.call(token, APPEND, args(f"{key}-2"))).call_no == 2
    back = await one.runs.call(token, APPEND, args(f"{key}-3"))
    assert back.call_no == 3, "the first one is fenced, and takes it back"
    assert [ground.effects(name) for name in (key, f"{key}-2", f"{key}-3")] == [1, 1, 1]


async def test_a_call_under_way_at_a_living_server_is_left_alone(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.orchestrator.outside_tasks.HOLDER_PATIENCE_S", 0.3)
    one, two, token, key = ground.gateways[0], ground.server(), await ground.token("free"), new_id()
    slow = asyncio.create_task(one.runs.call(token, APPEND, args(key, 2.0)))
    await asyncio.sleep(0.7)
    with pytest.raises(Unavailable, match="under way at another server"):
        await two.runs.call(token, APPEND, args(f"{key}-2"))
    done(await slow)
    assert (await two.runs.call(token, APPEND, args(f"{key}-2"))).call_no == 2
    assert ground.effects(key) == 1


async def test_a_call_of_a_killed_server_is_heard_from_the_next(ground: Ground) -> None:
    doomed, heir, token, key = ground.server(), ground.server(), await ground.token("free"), new_id()
    asked = asyncio.create_task(doomed.runs.call(token, APPEND, args(key, 1.5)))
    await asyncio.sleep(0.7)
    await die(ground, doomed)
    with pytest.raises(Conflict):
        await asked
    answer = await heir.runs.call(token, APPEND, args(key, 1.5))
    assert (done(answer) != "", answer.call_no, ground.effects(key)) == (True, 1, 1)


async def test_what_a_dead_server_left_is_looked_after_without_its_agent(ground: Ground) -> None:
    doomed, heir, token, key = ground.server(), ground.server(idle_s=1.0), await ground.token("free"), new_id()
    with contextlib.suppress(Conflict):
        asked = asyncio.create_task(doomed.runs.call(token, APPEND, args(key, 1.0)))
        await asyncio.sleep(0.5)
        await die(ground, doomed)
        await asked
    async with watched(heir):
        task = await ground.task(token, "completed")
    assert [call["state"] for call in task["calls"]] == ["done"]
    assert ground.effects(key) == 1


async def test_a_call_in_doubt_sets_the_task_aside_until_a_person_knows(ground: Ground) -> None:
    server, token, key = ground.gateways[0], await ground.token("doomed"), new_id()
    answer = await server.runs.call(token, DOOMED, args(key))
    assert isinstance(answer.outcome, InDoubt)
    task = await ground.task(token, "escalated")
    assert answer.call_id in task["state_reason"]
    with pytest.raises(Conflict, match="a person must decide first"):
        await server.runs.call(token, DOOMED, args(key))
    body = {"outcome": "done", "reason": "the log has it"}
    await ground.control.resolve_call(answer.call_id, body, PERSON)
    again = await server.runs.call(token, DOOMED, args(key))
    assert (again.call_id, ground.effects(key)) == (answer.call_id, 1), "the outcome is heard, not made again"
    assert "a person found" in done(again)


async def test_cancelling_the_task_ends_its_calls(ground: Ground) -> None:
    server, token, key = ground.server(), await ground.token("free"), new_id()
    async with watched(server):
        asked = asyncio.create_task(server.runs.call(token, APPEND, args(key, 20.0)))
        await asyncio.sleep(0.5)
        await ground.control.cancel((await ground.task(token))["id"], PERSON)
        with pytest.raises(Conflict, match="ended while the call was under way"):
            await asyncio.wait_for(asked, PATIENCE_S)
        await ground.task(token, "cancelled")
        assert (await server.runs.call(token, APPEND, args(f"{key}-2"))).call_no == 1, "the next call gets a new task"


async def test_a_question_of_a_cancelled_task_is_not_put_again(ground: Ground) -> None:
    server, token, key = ground.server(), await ground.token("asks"), new_id()
    async with watched(server):
        held = await server.runs.call(token, KEYED, args(key))
        await ground.control.cancel((await ground.task(token))["id"], PERSON)
        await ground.task(token, "cancelled")
        with pytest.raises(Conflict, match="the task of that call is over"):
            await server.runs.call(token, KEYED, args(key), held.call_id)


async def test_a_silent_agent_s_task_is_over_but_not_while_a_person_is_asked(ground: Ground) -> None:
    server = ground.server(idle_s=1.0)
    free, asks, key = await ground.token("free"), await ground.token("asks"), new_id()
    await server.runs.call(free, APPEND, args(key))
    held = await server.runs.call(asks, KEYED, args(key))
    assert isinstance(held.outcome, Held)
    async with watched(server):
        await ground.task(free, "completed")
        await asyncio.sleep(1.5)
        assert (await ground.task(asks))["state"] == "running"
        await ground.answer(held.outcome.approval_id, "approve")
        done(await server.runs.call(asks, KEYED, args(key)))
        await ground.task(asks, "completed")


async def test_a_server_that_was_given_up_starts_again(ground: Ground) -> None:
    server, token, key = ground.server(), await ground.token("free"), new_id()
    await server.runs.call(token, APPEND, args(key))
    async with ground.database.transaction() as tx:
        await executor_rows.remove(tx, server.runs.presence.executor_id)
    server.runs.presence._last_beat_s = 0.0
    async with watched(server):
        async with asyncio.timeout(PATIENCE_S):
            while server.runs.presence.joined:
                await asyncio.sleep(0.05)
        assert (await server.runs.call(token, APPEND, args(f"{key}-2"))).call_no == 2
    assert server.runs.presence.joined


async def test_what_was_heard_outlives_the_server(ground: Ground) -> None:
    one, two, token, key = ground.server(), ground.server(), await ground.token("free"), new_id()
    first = await one.runs.call(token, APPEND, args(key))
    one.runs.told(token, first.call_id)
    await one.runs.leave()
    second = await two.runs.call(token, APPEND, args(key))
    assert (second.call_no, ground.effects(key)) == (2, 2)


async def test_bounds_and_refusals(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    server, token, key = ground.gateways[0], await ground.token("free"), new_id()
    monkeypatch.setattr("interlock.orchestrator.outside.MAX_CALLS", 2)
    slow = [asyncio.create_task(server.runs.call(token, APPEND, args(f"{key}-{n}", 1.0))) for n in range(2)]
    await asyncio.sleep(0.3)
    with pytest.raises(Exhausted):
        await server.runs.call(token, APPEND, args(key))
    await asyncio.gather(*slow)
    with pytest.raises(Unauthorized):
        await server.runs.call(replace(token, id="other", agent="gone"), APPEND, args(key))
    real = (await ground.control.tokens.create({"agent": "free"}, PERSON))["token"]
    with pytest.raises(Unauthorized):
        await server.who(real[:-1] + ("x" if real[-1] != "x" else "y"))
    unknown = await server.runs.call(token, ToolRef("log", "nothing"), {})
    assert isinstance(unknown.outcome, Denied)
