"""Workers that die, and workers that only stop for a while: what they held goes on elsewhere, and they can't disturb it."""

import asyncio
import os
import signal
import time

import pytest
from tests.torture.stage import gone

from interlock.app import this_host
from interlock.orchestrator import reap

from .fleet import PATIENCE_S, PERSON, WorkerFleet

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
TAKEOVER_S = 10.0  # 5 on a machine that is not busy


async def test_what_a_killed_worker_held_goes_on_elsewhere_within_seconds(fleet: WorkerFleet) -> None:
    task_id = await fleet.submit("probed", "killed", 2.0)
    await fleet.spawn()
    await fleet.called(task_id)
    await fleet.spawn()  # the other one can't have it
    holder = await fleet.holder(task_id)
    assert holder is not None
    await fleet.workers.kill(holder)
    killed = time.monotonic()
    while await fleet.holder(task_id) in (holder, None):
        assert time.monotonic() - killed < TAKEOVER_S
        await asyncio.sleep(0.02)
    view = await fleet.until(task_id, "completed")
    assert (view["crashes"], [fleet.stage.count(f"killed/{place}") for place in "abc"]) == (1, [1, 1, 1])
    assert "call.taken_over" in await fleet.events(task_id)


async def test_a_stopped_worker_loses_its_run_and_its_late_result_is_refused(fleet: WorkerFleet) -> None:
    task_id = await fleet.submit("plain", "zombie", 2.0)
    zombie = await fleet.spawn()
    await fleet.called(task_id)
    os.kill(zombie, signal.SIGSTOP)  # its tool server works on
    try:
        await fleet.take_over(task_id)
        await fleet.spawn()
        view = await fleet.until(task_id, "escalated")
        call = view["calls"][0]
        assert call["state"] == "in_doubt"
        assert call["id"] in view["state_reason"]
        async with asyncio.timeout(PATIENCE_S):
            while fleet.stage.count("zombie/a") == 0:
                await asyncio.sleep(0.05)
    finally:
        os.kill(zombie, signal.SIGCONT)
    async with asyncio.timeout(PATIENCE_S):
        while "call.late_outcome" not in await fleet.events(task_id):
            await asyncio.sleep(0.05)
    await gone(zombie, PATIENCE_S)
    fleet.workers.pids.remove(zombie)
    view = await fleet.control.task(task_id)
    assert (view["state"], view["calls"][0]["state"]) == ("escalated", "in_doubt")
    await fleet.control.resolve_call(call["id"], {"outcome": "done", "reason": "it is in the log"}, PERSON)
    await fleet.until(task_id, "completed")
    keys = [effect["key"] for effect in fleet.stage.effects() if effect["key"].startswith("zombie/")]
    assert keys == ["zombie/a", "zombie/b", "zombie/c"]


async def test_a_worker_that_is_only_slow_keeps_its_run(fleet: WorkerFleet) -> None:
    task_id = await fleet.submit("plain", "slow", 1.0)
    worker = await fleet.spawn()
    await fleet.called(task_id)
    os.kill(worker, signal.SIGSTOP)
    try:
        await asyncio.sleep(0.5)
        assert await reap(fleet.control.database, this_host().name) == 0
    finally:
        os.kill(worker, signal.SIGCONT)
    view = await fleet.until(task_id, "completed")
    assert (view["crashes"], fleet.stage.count("slow/a")) == (0, 1)


async def test_one_that_was_stopped_in_the_middle_of_a_commit_does_not_hold_up_the_others(fleet: WorkerFleet) -> None:
    """A session that holds a task's row is what a process leaves that is stopped within a transaction."""
    stuck, free = await fleet.submit("plain", "stuck", 3.0), await fleet.submit("probed", "free", 1.0)
    first = await fleet.spawn()
    await fleet.called(stuck)
    await fleet.called(free)
    async with fleet.control.database.transaction() as tx:
        await tx.row("select 1 from task where id = %s for update", [stuck])
        await fleet.workers.kill(first)
        await fleet.spawn()
        other = await fleet.submit("probed", "other", 0.0)
        await fleet.until(other, "completed")
    for task_id, key in ((stuck, "stuck"), (free, "free")):
        await fleet.until(task_id, "completed")  # the tool servers outlived the worker, and know what it had sent
        assert [fleet.stage.count(f"{key}/{place}") for place in "abc"] == [1, 1, 1]


async def test_what_a_worker_sent_before_it_was_given_up_is_in_doubt_however_the_check_answers(
    fleet: WorkerFleet,
) -> None:
    """The declared check would say "not done", and a moment later it would be done: the tool server still works."""
    worker = await fleet.spawn()
    task_id = await fleet.submit("probed", "given-up", 6.0)
    await fleet.called(task_id)
    async with fleet.control.database.transaction() as tx:
        await tx.run("delete from executor where pid = %s", [worker])
    await fleet.take_over(task_id)
    await fleet.spawn()
    view = await fleet.until(task_id, "escalated")
    assert [call["state"] for call in view["calls"]] == ["in_doubt"]
    await gone(worker, PATIENCE_S)  # it finds out that it was given up, and leaves
    fleet.workers.pids.remove(worker)
    outcome = "done" if fleet.stage.count("given-up/a") else "not_done"
    await fleet.control.resolve_call(view["calls"][0]["id"], {"outcome": outcome, "reason": "the log"}, PERSON)
    await fleet.until(task_id, "completed")
    assert [fleet.stage.count(f"given-up/{place}") for place in "abc"] == [1, 1, 1]


async def test_a_worker_that_is_told_to_go_hands_over_and_nothing_is_done_twice(fleet: WorkerFleet) -> None:
    task_id = await fleet.submit("probed", "drained", 1.5)
    worker = await fleet.spawn()
    await fleet.called(task_id)
    os.kill(worker, signal.SIGTERM)  # a segment may end by itself for a while
    await gone(worker, PATIENCE_S)
    fleet.workers.pids.remove(worker)
    await fleet.spawn()
    view = await fleet.until(task_id, "completed")
    assert view["crashes"] == 0
    assert [fleet.stage.count(f"drained/{place}") for place in "abc"] == [1, 1, 1]
