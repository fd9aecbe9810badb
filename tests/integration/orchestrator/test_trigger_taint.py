"""What a trigger brings in is untrusted to the gate: what runs by itself for a person asks here."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from interlock.config import TriggerConfig
from interlock.orchestrator import events_of, submit_again, take_delivery
from interlock.store import Database, task_rows

from .conftest import PERSON, House

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


async def started(house: House, key: str, **more: Any) -> str:
    config = TriggerConfig.model_validate(
        {"kind": "json", "agent": "simple", "text": "go", "secret": "secret://x", "inputs": {"key": "/key"}, **more}
    )
    project = house.control.project
    project = replace(project, config=project.config.model_copy(update={"triggers": {"t": config}}))
    events = events_of(config, {"key": key}, None)
    return (await take_delivery(house.control.database, project, "t", events)).tasks[0].task_id


async def is_tainted(database: Database, task_id: str) -> bool:
    async with database.transaction() as tx:
        return (await task_rows.get(tx, task_id)).tainted


async def test_an_argument_that_somebody_outside_chose_asks(house: House) -> None:
    by_a_person = await house.submit("simple", "ours")
    assert (await house.rest(by_a_person))["state"] == "completed"
    task_id = await started(house, "theirs")
    asked = await house.question(task_id)
    assert asked["shown"]["tainted"]
    assert house.effects("theirs") == []
    await house.answer(asked, "deny", "no")
    await house.control.cancel(task_id, PERSON)
    await house.rest(task_id, "cancelled", "failed", "completed", "escalated")
    assert house.effects("theirs") == []


async def test_a_retry_does_not_wash_it_off(house: House) -> None:
    task_id = await started(house, "again")
    await house.question(task_id)
    await house.control.cancel(task_id, PERSON)
    await house.rest(task_id, "cancelled")
    for _ in range(2):
        task_id = (await submit_again(house.control.database, house.control.project, task_id, PERSON)).task.id
        assert await is_tainted(house.control.database, task_id)
        await house.question(task_id)
        await house.control.cancel(task_id, PERSON)
        await house.rest(task_id, "cancelled")
    assert house.effects("again") == []


async def test_what_the_text_names_runs_by_itself(house: House) -> None:
    task_id = await started(house, "named", text="append named/a and then named/b")
    view = await house.rest(task_id)
    assert (view["state"], view["tainted"]) == ("completed", True)
    assert house.effects("named") == ["a", "b"]


async def test_a_halt_is_as_for_what_people_submit(house: House) -> None:
    await house.control.halt("agent:simple", "stop", PERSON)
    try:
        task_id = await started(house, "halted", text="append halted/a and then halted/b")
        view = await house.rest(task_id, "queued")
        await asyncio.sleep(1.5)
        view = await house.control.task(task_id)
        assert view["state_reason"] == "agent simple is halted by person:ann: stop"
        assert house.effects("halted") == []
    finally:
        await house.control.halt("agent:simple", None, PERSON)
    assert (await house.rest(task_id))["state"] == "completed"


async def test_a_recorded_run_says_that_it_began_tainted(house: House) -> None:
    theirs = await started(house, "recorded", text="append recorded/a and then recorded/b")
    ours = await house.submit("simple", "not-tainted")
    for task_id, tainted in ((theirs, True), (ours, False)):
        await house.rest(task_id, "completed")
        (request,) = [line async for line in house.control.export_task(task_id, None) if line["type"] == "request"]
        assert request.get("tainted", False) is tainted
        assert ("tainted" in request) is tainted
