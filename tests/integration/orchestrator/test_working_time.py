"""Working time is durable: however workers die, a task gets no more of it than it may have, and then it is over."""

import asyncio
import time

import pytest
from tests.torture.stage import Dice

from interlock.app import this_host
from interlock.orchestrator import reap
from interlock.store import task_rows

from .fleet import PATIENCE_S, WorkerFleet

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
LIMIT_S = 3.0
OVERRUN_S = 2.5
CALL_S = 9.0
FINAL = ("completed", "failed", "cancelled", "timed_out", "escalated")


async def held(fleet: WorkerFleet, task_id: str) -> bool:
    """Wait until a worker has the task; False when it is over instead."""
    async with asyncio.timeout(PATIENCE_S):
        while (state := (await fleet.control.task(task_id))["state"]) != "running":
            if state in FINAL:
                return False
            await asyncio.sleep(0.01)
    return True


@pytest.mark.parametrize("seed", [1])
async def test_killed_workers_use_the_time_up_together_and_the_call_ends_with_it(fleet: WorkerFleet, seed: int) -> None:
    dice, key, worked_s, kills = Dice(seed), f"killed-{seed}", 0.0, 0
    task_id = await fleet.submit("probed", key, CALL_S, max_duration=f"{LIMIT_S}s")
    sent_s = time.monotonic()
    while True:
        pid = await fleet.spawn()
        if not await held(fleet, task_id):
            break
        began_s = time.monotonic()
        left_s = dice.between(0.3, 1.4)
        while time.monotonic() - began_s < left_s and (await fleet.control.task(task_id))["state"] == "running":
            await asyncio.sleep(0.01)
        worked_s += time.monotonic() - began_s
        if (await fleet.control.task(task_id))["state"] != "running":
            break
        await fleet.workers.kill(pid)
        kills += 1
        async with asyncio.timeout(PATIENCE_S):
            while await reap(fleet.control.database, this_host().place) == 0:
                if (await fleet.control.task(task_id))["state"] in FINAL:  # it was over just before the kill
                    kills -= 1
                    break
                await asyncio.sleep(0.05)
    view = await fleet.until(task_id, *FINAL)
    assert (view["state"], view["crashes"]) == ("timed_out", kills), view["state_reason"]
    assert kills > 0
    assert worked_s <= LIMIT_S + OVERRUN_S
    assert LIMIT_S <= view["worked_s"] <= LIMIT_S + OVERRUN_S
    await asyncio.sleep(max(0.0, sent_s + CALL_S + 1.0 - time.monotonic()))
    assert fleet.stage.count(f"{key}/a") == 0, "the tool worked on for a task that was over"


async def test_a_task_that_is_cancelled_while_nobody_has_it_ends_what_a_dead_worker_sent(
    fleet: WorkerFleet,
) -> None:
    task_id = await fleet.submit("probed", "gone", 4.0)
    first = await fleet.spawn()
    await fleet.called(task_id)
    sent_s = time.monotonic()
    await fleet.workers.kill(first)
    while await reap(fleet.control.database, this_host().place) == 0:
        await asyncio.sleep(0.05)
    await fleet.control.cancel(task_id, "person:ann")
    other = await fleet.submit("probed", "other", 0.0)
    await fleet.spawn()
    await fleet.until(other, "completed")
    await asyncio.sleep(max(0.0, sent_s + 5.0 - time.monotonic()))
    assert fleet.stage.count("gone/a") == 0


async def test_time_that_is_used_up_is_noticed_before_anything_begins(fleet: WorkerFleet) -> None:
    task_id = await fleet.submit("probed", "spent", 0.0, max_duration="1m", delay="1s")
    async with fleet.control.database.transaction() as tx:
        await task_rows.add_worked(tx, task_id, 61.0)
    await fleet.spawn()
    view = await fleet.until(task_id, *FINAL)
    assert (view["state"], view["calls"], view["turns"][1:]) == ("timed_out", [], [])
    assert "working time of 60 s is used up" in view["state_reason"]


async def test_the_time_between_a_death_and_its_discovery_is_nobodys_work(fleet: WorkerFleet) -> None:
    """All were dead for an hour: what counts ends with the last heartbeat."""
    task_id = await fleet.submit("probed", "late", 30.0)
    worker = await fleet.spawn()
    await fleet.called(task_id)
    await fleet.workers.kill(worker)
    async with fleet.control.database.transaction() as tx:
        await tx.run("update executor set heartbeat_at = heartbeat_at - interval '1 hour'")
        await tx.run(
            "update task set working_since = working_since - interval '1 hour 7 seconds' where id = %s", [task_id]
        )
        await tx.run("update turn set at = at - interval '1 hour' where task_id = %s", [task_id])
        await tx.run("update call set started_at = started_at - interval '1 hour' where task_id = %s", [task_id])
    while await reap(fleet.control.database, this_host().place) == 0:
        await asyncio.sleep(0.05)
    assert 7.0 <= (await fleet.control.task(task_id))["worked_s"] < 7.0 + OVERRUN_S
    await fleet.control.cancel(task_id, "person:ann")
