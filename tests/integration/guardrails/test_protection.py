"""Through the gate: limits, breakers, tools that stand in, results that are still good, what people have declined."""

from pathlib import Path
from typing import Any

import pytest

from interlock.model import Denied, Done, Held, ToolRef

from .conftest import READ, Build, faulty

pytestmark = pytest.mark.integration
WRITE = {"class": "write", "egress": False, "output": "trusted", "control": ["key"]}


def told(outcome: Any) -> dict[str, Any]:
    assert isinstance(outcome, Done), outcome
    assert outcome.observation.structured is not None
    return outcome.observation.structured


async def test_a_rate_limit_tells_when_to_try_again_and_holds_for_everyone(scene: Build, tmp_path: Path) -> None:
    server = faulty(tmp_path / "log", contracts={"lookup": {**READ, "rate": "2/h"}})
    made = await scene({"log": server}, ["log.*"])
    for _ in range(2):
        assert (await made.done("log.lookup", {"key": "k"})).observation.ok
    limited = told(await made.act("log.lookup", {"key": "k"}))
    assert (limited["unavailable"], limited["why"]) == ("log.lookup", "rate_limit")
    assert 1 <= limited["retry_after_s"] <= 1800


async def test_an_agents_rate_covers_all_of_its_tools(scene: Build, tmp_path: Path) -> None:
    server = faulty(tmp_path / "log", contracts={"lookup": READ, "echo": READ})
    made = await scene({"log": server}, ["log.*"], limits={"agent_rate": "1/h"})
    assert (await made.done("log.lookup", {"key": "k"})).observation.ok
    assert told(await made.act("log.echo", {"text": "x"}))["why"] == "rate_limit"


async def test_a_tool_that_keeps_failing_is_left_alone_and_the_next_one_stands_in(scene: Build, tmp_path: Path) -> None:
    fallback = {"tool": "good.lookup", "args": {"key": "{text}"}}
    bad = faulty(tmp_path / "bad", "hang-on-call", call_timeout=0.4, breaker={"failures": 2, "cooldown": "1h"})
    bad["contracts"] = {"echo": {**READ, "fallbacks": [fallback]}}
    made = await scene({"bad": bad, "good": faulty(tmp_path / "good", contracts={"lookup": READ})}, ["bad.*", "good.*"])
    for _ in range(3):  # two that time out and are made at the other one, and one that goes there at once
        assert (await made.done("bad.echo", {"text": "k"})).observation.ok
    events = await made.events()
    stood_in = [detail for event, detail in events if event == "call.stand_in"]
    assert [(detail["tool"], detail["stands_in_for"]) for detail in stood_in] == [("good.lookup", "bad.echo")] * 3
    assert "left alone" in stood_in[2]["why"] or "breaker" in stood_in[2]["why"]
    intents = [detail["tool"] for event, detail in events if event == "call.intent"]
    assert intents == ["bad.echo", "bad.echo", "good.lookup"]


async def test_nothing_of_a_higher_class_stands_in(scene: Build, tmp_path: Path) -> None:
    bad = faulty(tmp_path / "bad", "hang-on-call", call_timeout=0.4)
    fallback = {"tool": "good.append", "args": {"key": "{text}", "text": "x"}}
    bad["contracts"] = {"echo": {**READ, "fallbacks": [fallback]}}
    good = faulty(tmp_path / "good", contracts={"append": {**WRITE, "inverse": {"tool": "good.append", "args": {}}}})
    made = await scene({"bad": bad, "good": good}, ["bad.*", "good.*"])
    answer = told(await made.act("bad.echo", {"text": "k"}))
    assert (answer["why"], answer["tried"]) == ("timeout", ["good.append"])
    assert not (tmp_path / "good").exists() or not (tmp_path / "good").read_text()


async def test_a_server_that_is_gone_is_replaced_where_that_is_declared_and_else_told(
    scene: Build, tmp_path: Path
) -> None:
    gone = faulty(tmp_path / "gone", "exit", start_timeout=3)
    gone["contracts"] = {"lookup": {**READ, "fallbacks": [{"tool": "good.lookup"}]}, "echo": READ}
    made = await scene(
        {"gone": gone, "good": faulty(tmp_path / "good", contracts={"lookup": READ})}, ["gone.*", "good.*"]
    )
    assert (await made.done("gone.lookup", {"key": "k"})).observation.ok
    assert told(await made.act("gone.echo", {"text": "x"}))["why"] == "not_ready"


async def test_an_equal_read_is_answered_again_until_something_changes(scene: Build, tmp_path: Path) -> None:
    contracts = {
        "lookup": {**READ, "cache": "1h"},
        "append": {**WRITE, "inverse": {"tool": "log.append", "args": {"key": "undo-{key}", "text": "u"}}},
    }
    made = await scene({"log": faulty(tmp_path / "log", contracts=contracts)}, ["log.*"])
    first = told(await made.act("log.lookup", {"key": "k"}))
    assert told(await made.act("log.lookup", {"key": "k"})) == first
    assert [event for event, _ in await made.events()].count("call.reused") == 1
    assert (await made.done("log.append", {"key": "k", "text": "x"})).observation.ok
    assert told(await made.act("log.lookup", {"key": "k"}))["count"] == first["count"] + 1


async def test_people_are_not_asked_again_what_they_declined(scene: Build, tmp_path: Path) -> None:
    made = await scene({"log": faulty(tmp_path / "log", contracts={"append": {**WRITE}})}, ["log.*"])
    held = await made.held("log.append", {"key": "a", "text": "x"})
    await made.decide(held, "deny", "not today")
    assert isinstance(await made.act("log.append", {"key": "a", "text": "x"}, 1), Denied)
    again = await made.act("log.append", {"key": "a", "text": "x"})
    assert isinstance(again, Denied)
    assert "not today" in again.observation.text
    for key in ("b", "c"):
        held = await made.held("log.append", {"key": key, "text": "x"})
        await made.decide(held, "deny")
    tired = await made.act("log.append", {"key": "d", "text": "x"})
    assert isinstance(tired, Denied)
    assert "refused 3 calls" in tired.observation.text


async def test_a_call_of_a_changed_tool_does_not_speak_against_it(scene: Build, tmp_path: Path) -> None:
    made = await scene({"log": faulty(tmp_path / "log", contracts={"lookup": READ})}, ["log.*"])
    assert (await made.done("log.lookup", {"key": "k"})).observation.ok
    async with made.database.transaction() as tx:
        rows = await tx.rows("select key from breaker")
    assert rows == []
    assert str(ToolRef("log", "lookup")) == "log.lookup"


async def test_what_needs_a_person_still_does_when_it_stands_in(scene: Build, tmp_path: Path) -> None:
    gone = faulty(tmp_path / "gone", "exit", start_timeout=3)
    gone["contracts"] = {"append": {**WRITE, "fallbacks": [{"tool": "good.append"}]}}
    made = await scene(
        {"gone": gone, "good": faulty(tmp_path / "good", contracts={"append": WRITE})}, ["gone.*", "good.*"]
    )
    outcome = await made.act("gone.append", {"key": "k", "text": "x"})
    assert not isinstance(outcome, Held)
    assert told(outcome)["tried"] == ["good.append"]


async def test_what_is_too_large_for_a_model_is_kept_beside_the_call(scene: Build, tmp_path: Path) -> None:
    made = await scene({"log": faulty(tmp_path / "log", contracts={"big": READ})}, ["log.*"])
    done = await made.done("log.big", {"bytes": 1_000_000})
    assert done.observation.ok
    assert len(done.observation.text) < 400_000
    assert "--artifact" in done.observation.text
    async with made.database.transaction() as tx:
        rows = await tx.rows("select size from blob")
    assert any(row["size"] >= 1_000_000 for row in rows)
