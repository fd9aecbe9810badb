"""Tasks that may not begin now: halts, a paused queue, a full house; and how they go on."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from interlock.model import UserError
from interlock.testing.postgres import TestPostgres

from .conftest import FAST, FINAL, PERSON, House, append, config, house_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PLAYBOOKS = {
    "single": {"steps": [append("a", delay_s=0.3)]},
    "many": {"steps": [append("a", "log.append_keyed", delay_s=0.5), append("b", "log.append_keyed")]},
    "long": {"steps": [append("a", "log.append_keyed", delay_s=30.0)]},
}
STARTS_WITHIN_S = 1.0


def configured(log: Path) -> dict[str, Any]:
    agents: dict[str, Any] = {
        name: {"model": f"playbook:{name}", "tools": ["log.*"], "limits": FAST} for name in PLAYBOOKS
    }
    agents["single"]["concurrency"] = 1
    return {"tools": {"log": config(log)["tools"]["log"]}, "agents": agents}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(interlock_postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house_of(interlock_postgres, tmp_path_factory.mktemp("parking"), configured, PLAYBOOKS) as built:
        yield built


async def reaches(house: House, task_id: str, call_state: str) -> None:
    """Wait until the first call of a task is in a state."""
    async with asyncio.timeout(20.0):
        while [c["state"] for c in (await house.control.task(task_id))["calls"]][:1] != [call_state]:
            await asyncio.sleep(0.02)


async def test_tasks_of_an_agent_with_one_place_run_one_after_the_other(house: House) -> None:
    ids = [await house.submit("single", f"one-{n}") for n in range(5)]
    most = 0
    states: list[str] = []
    while len(states) < len(ids) or not set(states) <= set(FINAL):
        page = await house.control.tasks(None, "single", None, 50)
        states = [task["state"] for task in page["items"]]
        most = max(most, sum(task["state"] in ("running", "verifying") for task in page["items"]))
        waiting = [task["state_reason"] for task in page["items"] if task["state"] == "queued"]
        assert all("in the queue" in why or "it begins when one has ended" in why for why in waiting), waiting
        await asyncio.sleep(0.05)
    views = [await house.control.task(task_id) for task_id in ids]
    assert [view["state"] for view in views] == ["completed"] * 5
    assert most == 1
    assert [house.effects(f"one-{n}") for n in range(5)] == [["a"]] * 5


async def test_a_paused_queue_takes_tasks_in_and_begins_none(house: House) -> None:
    running = await house.submit("long", "before")
    await reaches(house, running, "started")
    await house.control.halt("queue:all", "deploying", PERSON)
    later = await house.submit("many", "paused")
    await asyncio.sleep(1.5)
    view = await house.control.task(later)
    assert (view["state"], view["state_reason"]) == ("queued", "the queue is paused by person:ann: deploying")
    assert (await house.control.task(running))["state"] == "running", "what runs goes on"
    assert "queue:all is paused by person:ann: deploying" in (await house.control.status())["warnings"]
    await house.control.halt("queue:all", None, PERSON)
    assert (await house.rest(later))["state"] == "completed"
    await house.control.cancel(running, PERSON)


@pytest.mark.parametrize("scope", ["all", "agent:many"])
async def test_after_a_halt_no_call_starts_and_the_run_goes_on_where_it_was(house: House, scope: str) -> None:
    key = f"halt-{scope}"
    task_id = await house.submit("many", key)
    await reaches(house, task_id, "started")
    await house.control.halt(scope, "look into it", PERSON)
    await asyncio.sleep(2.0)
    assert house.effects(key) == ["a"], "the call under way ended by itself, the next one did not start"
    view = await house.control.task(task_id)
    assert view["state"] == "queued"
    assert view["state_reason"].endswith("halted by person:ann: look into it")
    await house.control.halt(scope, None, PERSON)
    view = await house.rest(task_id)
    assert (view["state"], view["run"]) == ("completed", 1)
    assert house.effects(key) == ["a", "b"]


async def test_a_halt_that_stops_ends_what_is_under_way_and_says_why(house: House) -> None:
    task_id = await house.submit("long", "stopped")
    await reaches(house, task_id, "started")
    begun_s = time.monotonic()
    await house.control.halt("agent:long", "fire", PERSON, stops=True)
    view = await house.rest(task_id, "queued", "escalated")
    assert time.monotonic() - begun_s < STARTS_WITHIN_S + 1.5
    assert view["state_reason"] == "halted by person:ann: fire"
    await asyncio.sleep(1.2)
    assert (await house.control.task(task_id))["state"] == "queued", "it is not taken up again"
    await house.control.cancel(task_id, PERSON)
    await house.control.halt("agent:long", None, PERSON)
    assert (await house.control.task(task_id))["state"] == "cancelled"


@pytest.mark.parametrize(
    ("scope", "stops", "words"),
    [
        ("agents:x", False, "scope: 'agents:x' is neither"),
        ("queue:tool:x", False, "is neither"),
        ("agent:", False, "is neither"),
        ("agent:nobody", False, "there is no agent 'nobody'"),
        ("tool:log.append", True, "stop: only all agents or one"),
        ("queue:all", True, "stop: only all agents or one"),
    ],
)
async def test_a_halt_of_nothing_is_refused(house: House, scope: str, stops: bool, words: str) -> None:
    with pytest.raises(UserError) as refused:
        await house.control.halt(scope, "x", PERSON, stops=stops)
    assert words in refused.value.message
