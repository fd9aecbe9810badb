"""Tasks that other tasks bring about: given away by agents, and the undo before another try."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from interlock.testing.postgres import TestPostgres

from .conftest import FAST, PERSON, House, append, call, config, house_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

DELEGATE = "interlock.delegate"


def give(step: str, agent: str, text: str = "do a part") -> dict[str, Any]:
    inputs = {"key": "{{ inputs.key }}/" + step}
    return {**call(step, DELEGATE, agent=agent, text=text, inputs=inputs), "on_error": "continue"}


SAID = "{{ steps.d.ok }}: {{ steps.d.text }}"
write = call("w", "files.write", path="{{ inputs.key }}.md", content="made by {{ inputs.key }}")
PLAYBOOKS: dict[str, dict[str, Any]] = {
    "part": {"steps": [append("p")], "result": "the part is done"},
    "quiet-part": {"steps": [{"set": {"begun": True}}], "result": "done"},
    "slow-part": {"steps": [append("p", delay_s=30.0)], "result": "done"},
    "asking-part": {"steps": [append("b", "log.append_keyed")], "result": "done"},
    "lone": {"steps": [append("p", delay_s="{{ inputs.delay_s | default(30) }}")], "result": "done"},
    "broken-part": {"steps": [{"fail": "it can't be done"}], "result": "done"},
    "boss": {"steps": [append("a"), give("d", "part")], "result": SAID},
    "boss-of-slow": {"steps": [give("d", "slow-part")], "result": SAID},
    "boss-of-asking": {"steps": [give("d", "asking-part")], "result": SAID},
    "boss-of-lone": {"steps": [give("d", "lone")], "result": SAID},
    "boss-of-broken": {"steps": [give("d", "broken-part")], "result": SAID},
    "deep": {"steps": [give("d", "deep")], "result": SAID},
    "busy": {"steps": [give("c", "quiet-part"), give("b", "quiet-part"), give("d", "quiet-part")], "result": SAID},
    "stranger": {"steps": [give("d", "part")], "result": SAID},
    "asked-boss": {"steps": [give("d", "part")], "result": SAID},
    "frugal": {"steps": [append("a"), give("d", "greedy")], "result": SAID},
    "greedy": {"steps": [{**append("p"), "on_error": "continue"}], "result": "{{ steps.p.ok }}: {{ steps.p.text }}"},
    "careless": {"steps": [write], "result": "wrong"},
    "sender": {"steps": [append("s")], "result": "wrong"},
    "careful": {"steps": [{"set": {"begun": True}}], "result": "right"},
    "careless-boss": {"steps": [give("d", "writing-part")], "result": "wrong"},
    "writing-part": {"steps": [write], "result": "done"},
}


def configured(log: Path) -> dict[str, Any]:
    base = config(log)
    files = {"builtin": "workspace", "root": str(log.parent.parent / "work")}
    (log.parent.parent / "work").mkdir()
    tools = ["files.*", "log.*"]
    agents: dict[str, Any] = {name: {"model": f"playbook:{name}", "tools": tools, "limits": FAST} for name in PLAYBOOKS}
    for boss, part in {
        "boss": "part", "boss-of-slow": "slow-part", "boss-of-asking": "asking-part", "boss-of-lone": "lone",
        "boss-of-broken": "broken-part",
        "deep": "deep", "busy": "quiet-part", "asked-boss": "part", "frugal": "greedy", "careless-boss": "writing-part",
    }.items():  # fmt: skip
        agents[boss]["delegates"] = [part]
    agents["lone"]["concurrency"] = 1
    agents["deep"]["limits"] = {**FAST, "depth": 2}
    agents["busy"]["limits"] = {**FAST, "children": 2}
    agents["frugal"]["limits"] = {**FAST, "calls_per_minute": 3}
    agents["careless"]["stronger"] = agents["careless-boss"]["stronger"] = ["playbook:careful"]
    rules = [
        {"id": "ask-first", "when": {"agent": "asking*", "tool": "log.append_keyed"}, "then": "ask"},
        {"id": "ask-to-give", "when": {"agent": "asked-boss", "tool": DELEGATE}, "then": "ask"},
    ]
    return {
        "tools": {"log": base["tools"]["log"], "files": files},
        "agents": agents,
        "policy": {"rules": rules},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(interlock_postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house_of(interlock_postgres, tmp_path_factory.mktemp("families"), configured, PLAYBOOKS) as built:
        yield built


async def child_of(house: House, task_id: str) -> dict[str, Any]:
    """The first task that a task has brought about, once there is one."""
    async with asyncio.timeout(30.0):
        while not (found := (await house.control.task(task_id))["children"]):
            await asyncio.sleep(0.05)
    return await house.control.task(found[0]["id"])


async def test_a_part_is_given_away_and_its_result_is_the_answer_of_the_call(house: House) -> None:
    view = await house.rest(await house.submit("boss", "whole"))
    assert view["state"] == "completed", view["state_reason"]
    assert view["result"]["text"] == "true: the part is done"
    assert house.effects("whole") == ["a", "d/p"]
    (child,) = view["children"]
    assert (child["agent"], child["state"]) == ("part", "completed")
    whole = await house.control.task(child["id"])
    assert (whole["parent"], whole["text"], whole["submitted_by"]) == (view["id"], "do a part", "agent:boss")
    assert view["tainted"], "what another agent says is not to be trusted"
    asked = next(one for one in view["calls"] if one["tool"] == DELEGATE)
    assert (asked["state"], asked["class"]) == ("done", "read")


async def test_who_waits_for_a_part_holds_no_place(house: House) -> None:
    task_id = await house.submit("boss-of-slow", "waits")
    view = await house.rest(task_id, "waiting_children")
    assert (view["state_reason"], view["worker"]) == ("waits for a task that it gave to others", None)
    child = await child_of(house, task_id)
    await house.control.cancel(child["id"], PERSON)
    view = await house.rest(task_id)
    assert view["state"] == "completed", view["state_reason"]
    assert "false: The task of 'slow-part' was cancelled" in view["result"]["text"]


async def test_who_cancels_a_task_cancels_what_it_gave_away(house: House) -> None:
    task_id = await house.submit("boss-of-slow", "cancelled")
    await house.rest(task_id, "waiting_children")
    child = await child_of(house, task_id)
    await house.rest(child["id"], "running")
    await house.control.cancel(task_id, PERSON)
    assert (await house.rest(task_id))["state"] == "cancelled"
    gone = await house.rest(child["id"])
    assert gone["state"] == "cancelled"
    assert "the task that gave it away, which is cancelled" in gone["state_reason"]
    asked = next(one for one in (await house.control.task(task_id))["calls"] if one["tool"] == DELEGATE)
    assert asked["state"] == "failed", "it is not in doubt: it changed nothing itself"


async def test_a_part_that_needs_a_person_is_waited_for(house: House) -> None:
    task_id = await house.submit("boss-of-asking", "person")
    child = await child_of(house, task_id)
    question = await house.question(child["id"])
    assert (await house.control.task(task_id))["state"] == "waiting_children"
    await house.answer(question, "approve")
    view = await house.rest(task_id)
    assert (view["state"], view["result"]["text"]) == ("completed", "true: done")


async def test_that_a_part_failed_is_told(house: House) -> None:
    task_id = await house.submit("boss-of-broken", "broken")
    child = await child_of(house, task_id)
    await house.rest(child["id"], "escalated")
    await house.control.resolve(child["id"], {"resolution": "fail", "reason": "nobody can"}, PERSON)
    view = await house.rest(task_id)
    assert "false: The task of 'broken-part' failed" in view["result"]["text"]
    assert "nobody can" in view["result"]["text"]


async def test_nesting_has_a_bound(house: House) -> None:
    view = await house.rest(await house.submit("deep", "deep"))
    assert "below a task of 'deep' tasks may be nested 2 deep" in view["result"]["text"]
    assert view["result"]["text"].startswith("true: true: false: ")


async def test_how_many_are_given_away_has_a_bound(house: House) -> None:
    view = await house.rest(await house.submit("busy", "busy"))
    assert "this task has given away 2 tasks, as many as it may" in view["result"]["text"]
    assert len(view["children"]) == 2


async def test_an_agent_that_may_give_nothing_away_is_refused(house: House) -> None:
    view = await house.rest(await house.submit("stranger", "stranger"))
    assert view["result"]["text"].startswith("false: Not done: there is no tool server 'interlock'")
    assert not view["children"]


async def test_the_policy_may_ask_before_work_is_given_away(house: House) -> None:
    task_id = await house.submit("asked-boss", "asked")
    question = await house.question(task_id)
    assert not (await house.control.task(task_id))["children"]
    await house.answer(question, "approve")
    assert (await house.rest(task_id, "completed"))["result"]["text"] == "true: the part is done"
    task_id = await house.submit("asked-boss", "refused")
    await house.answer(await house.question(task_id), "deny", "do it yourself")
    view = await house.rest(task_id, "completed", "escalated")
    assert not view["children"]


async def test_those_below_share_the_bounds_of_the_task_above(house: House) -> None:
    view = await house.rest(await house.submit("frugal", "frugal"))
    assert view["state"] == "completed", view["state_reason"]
    assert house.effects("frugal") == ["a", "d/p"]
    used = {row["resource"]: row["used"] for row in view["allowances"]}
    assert used["calls"] == 3, "its own two, and the one of the task below"


async def test_a_halt_of_the_agent_above_stops_those_below(house: House) -> None:
    task_id = await house.submit("boss-of-slow", "halted")
    child = await child_of(house, task_id)
    await house.rest(child["id"], "running")
    await house.control.halt("agent:boss-of-slow", "fire", PERSON, stops=True)
    try:
        view = await house.rest(child["id"], "queued")
        assert "halted by" in view["state_reason"]
    finally:
        await house.control.halt("agent:boss-of-slow", None, PERSON)
    await house.control.cancel(task_id, PERSON)
    await house.rest(child["id"], "cancelled")


async def test_one_that_a_halt_from_above_keeps_is_in_nobodys_way(house: House) -> None:
    """Its agent has one place, and others wait for that."""
    await house.control.halt("agent:boss-of-lone", "fire", PERSON)
    try:
        kept = await house.submit("boss-of-lone", "kept")
        assert (await house.rest(kept, "queued"))["state"] == "queued"
        await house.control.halt("agent:boss-of-lone", None, PERSON)
        child = await child_of(house, kept)
        await house.rest(child["id"], "running")
        await house.control.halt("agent:boss-of-lone", "fire", PERSON, stops=True)
        await house.rest(child["id"], "queued")
        first, second = [await house.submit("lone", key, inputs={"key": key, "delay_s": 0}) for key in ("one", "two")]
        for task_id in (first, second):
            assert (await house.rest(task_id, "completed"))["state"] == "completed"
        assert (await house.control.task(child["id"]))["state"] == "queued"
    finally:
        await house.control.halt("agent:boss-of-lone", None, PERSON)
    await house.control.cancel(kept, PERSON)
    await house.rest(child["id"], "cancelled")


async def test_effects_are_taken_back_before_a_stronger_model_tries_again(house: House) -> None:
    made = house.log.parent.parent / "work" / "undone.md"
    checks = [{"schema": {"const": "never"}}]
    task_id = await house.submit("careless", "undone", checks=checks)
    view = await house.rest(task_id)
    assert view["state"] == "escalated"
    assert [run["clean"] for run in view["runs"]] == [True, True, True]
    assert not made.exists()
    (child,) = view["children"]
    assert (child["kind"], child["state"]) == ("undo", "completed")
    assert [one["undo"] for one in view["calls"] if one["tool"] == "files.write"] == ["restored"]
    assert "its effects are taken back first: all of them are as before" in view["runs"][1]["note"]


async def test_what_a_task_gave_away_is_taken_back_with_it(house: House) -> None:
    made = house.log.parent.parent / "work" / "parts" / "d.md"
    made.parent.mkdir()
    view = await house.rest(await house.submit("careless-boss", "parts", checks=[{"schema": {"const": "never"}}]))
    assert view["state"] == "escalated"
    assert {child["kind"] for child in view["children"]} == {"agent", "undo"}
    assert not made.exists()


async def test_what_a_task_gave_away_is_undone_with_it_and_the_plan_says_whose_it_is(house: House) -> None:
    (house.log.parent.parent / "work" / "by-hand").mkdir()
    view = await house.rest(await house.submit("careless-boss", "by-hand"))
    assert view["state"] == "completed", view["state_reason"]
    plan = await house.control.undo(view["id"], PERSON, kind="task", dry_run=True)
    assert [step["task"] for step in plan["steps"]] == [view["children"][0]["id"]]
    assert plan["of"] == view["id"]
    lines = [line async for line in house.control.export_task(view["id"], None)]
    tool = next(line for line in lines if line.get("tool") == DELEGATE and line["type"] == "tool")
    assert tool["contract"] == {"class": "read", "egress": False, "output": "untrusted"} | {
        key: value for key, value in tool["contract"].items() if key in ("control", "content", "inverse")
    }


async def test_effects_that_can_not_all_be_taken_back_are_left_and_the_next_run_knows_of_them(house: House) -> None:
    view = await house.rest(await house.submit("sender", "inverse", checks=[{"schema": {"const": "never"}}]))
    assert view["state"] == "escalated"
    assert not view["runs"][1]["clean"], "of what only has an inverse nobody can say that it is as before"
    assert not view["children"]
