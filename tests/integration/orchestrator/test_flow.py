"""A task from submission to its end, with everything that can come between; effects are read in the server's log."""

import asyncio
import datetime
import time
from typing import Any

import psycopg
import pytest

from interlock.config import SystemClock
from interlock.guardrails import Pulse
from interlock.guardrails.pulse import PULSE_S
from interlock.model import ConfigError, Conflict, ToolRef, ToolUnavailable
from interlock.tools import Delivery, Expectation

from .conftest import FINAL, PERSON, House

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
STOPS_WITHIN_S = 2.5


def calls_of(view: dict[str, Any]) -> list[tuple[str, str]]:
    return [(call["tool"], call["state"]) for call in view["calls"]]


async def running_call(house: House, task_id: str) -> None:
    """Wait until a call of the task is with its tool."""
    async with asyncio.timeout(20.0):
        while ("log.append", "started") not in calls_of(await house.control.task(task_id)):
            await asyncio.sleep(0.05)


async def test_a_task_is_done_step_by_step(house: House) -> None:
    view = await house.rest(await house.submit("simple", "simple"))
    assert (view["state"], view["result"]) == ("completed", {"text": "done", "run": 1})
    assert calls_of(view) == [("log.append", "done"), ("log.append", "done")]
    assert house.effects("simple") == ["a", "b"]
    assert [call["class"] for call in view["calls"]] == ["write", "write"]


async def test_the_same_request_is_the_same_task_until_it_is_final(house: House) -> None:
    body = {"agent": "simple", "text": "go", "inputs": {"key": "dedupe"}, "delay": "1s"}
    first, created = await house.control.submit(body, PERSON)
    again, created_again = await house.control.submit({**body, "text": " go\n"}, PERSON)
    assert (created, created_again, again["id"]) == (True, False, first["id"])
    await house.rest(first["id"], *FINAL)
    assert house.effects("dedupe") == ["a", "b"]
    later, created_later = await house.control.submit({**body, "delay": None}, PERSON)
    assert created_later
    assert later["id"] != first["id"]
    await house.rest(later["id"], *FINAL)


async def test_a_delayed_task_waits(house: House) -> None:
    before = SystemClock().now()
    view = await house.control.task(await house.submit("simple", "delayed", delay="1.5s"))
    assert view["state"] == "delayed"
    await asyncio.sleep(0.7)
    assert house.effects("delayed") == []
    view = await house.rest(view["id"], *FINAL)
    assert view["state"] == "completed"
    assert (datetime.datetime.fromisoformat(view["started_at"]) - before).total_seconds() >= 1.4


async def test_a_tool_that_fails_twice_is_tried_three_times_and_nothing_is_repeated(house: House) -> None:
    view = await house.rest(await house.submit("flaky", "flaky"))
    assert (view["state"], len(view["runs"])) == ("completed", 3)
    assert house.effects("flaky") == ["a"]
    assert "run 2" in view["turns"][-1]["body"].get("text", "") or view["runs"][0]["outcome"] == "failed"


async def test_out_of_runs_a_person_decides(house: House) -> None:
    view = await house.rest(await house.submit("hopeless", "hopeless"))
    assert view["state"] == "escalated"
    assert "run 2 of 2, the last" in view["state_reason"]
    await house.control.resolve(view["id"], {"resolution": "fail", "reason": "it never works"}, PERSON)
    view = await house.rest(view["id"], "failed")
    assert "it never works" in view["state_reason"]


async def test_a_cancelled_task_stops_at_once_and_says_that_its_call_is_in_doubt(house: House) -> None:
    task_id = await house.submit("slow", "cancelled")
    await running_call(house, task_id)
    asked = time.monotonic()
    await house.control.cancel(task_id, PERSON)
    view = await house.rest(task_id, *FINAL)
    assert time.monotonic() - asked < STOPS_WITHIN_S
    assert (view["state"], view["state_reason"]) == ("cancelled", f"cancelled by {PERSON}")
    assert calls_of(view) == [("log.append", "in_doubt")]
    call = await house.control.resolve_call(view["calls"][0]["id"], {"outcome": "not_done", "reason": "log"}, PERSON)
    assert call["state"] != "in_doubt"


async def test_a_task_that_is_too_slow_is_stopped(house: House) -> None:
    view = await house.rest(await house.submit("hasty", "hasty"), *FINAL)
    assert view["state"] == "timed_out"
    began = datetime.datetime.fromisoformat(view["started_at"])
    took = datetime.datetime.fromisoformat(view["finished_at"]) - began
    assert 1.0 <= took.total_seconds() < 1.0 + STOPS_WITHIN_S
    assert house.effects("hasty") == []


async def test_an_approved_call_goes_on_and_repeats_nothing(house: House) -> None:
    task_id = await house.submit("asks", "approved")
    approval = await house.question(task_id)
    assert approval["shown"]["tool"] == "log.append_keyed"
    assert house.effects("approved") == ["a"]
    await house.answer(approval, "approve")
    view = await house.rest(task_id, *FINAL)
    assert view["state"] == "completed"
    assert house.effects("approved") == ["a", "b", "c"]
    states = {a["id"]: a["state"] for a in await house.control.approvals(pending_only=False)}
    assert states[approval["id"]] == "consumed"
    with pytest.raises(Conflict):
        await house.answer(approval, "approve")


async def test_a_denial_is_told_to_the_agent_and_the_run_is_not_repeated(house: House) -> None:
    task_id = await house.submit("asks", "denied")
    await house.answer(await house.question(task_id), "deny", "not on a Friday")
    view = await house.rest(task_id)
    assert house.effects("denied") == ["a"]
    assert calls_of(view)[1] == ("log.append_keyed", "denied")
    assert "not on a Friday" in view["calls"][1]["result"]["text"]
    assert view["state"] in ("failed", "escalated")
    assert len(view["runs"]) == 1


async def test_nobody_answers(house: House) -> None:
    task_id = await house.submit("asks-briefly", "expired")
    approval = await house.question(task_id)
    view = await house.rest(task_id, "failed", "escalated", "completed")
    assert calls_of(view) == [("log.append_keyed", "expired")]
    assert house.effects("expired") == []
    with pytest.raises(Conflict):
        await house.answer(approval, "approve")


async def test_arguments_changed_behind_the_approval_do_not_run(house: House) -> None:
    """Another call's sealed arguments are put in place of those that were shown, by someone who owns the database."""
    other = await house.question(await house.submit("asks", "tampered-other"))
    task_id = await house.submit("asks", "tampered")
    approval = await house.question(task_id)
    async with await psycopg.AsyncConnection.connect(house.owner_conninfo, autocommit=True) as owner:
        await owner.execute(
            "update interlock.call set args = (select args from interlock.call where id = %s) where id = %s",
            [other["call"], approval["call"]],
        )
    with pytest.raises(ConfigError, match="altered or moved"):
        await house.answer(approval, "approve")
    assert (await house.control.approval(approval["id"]))["state"] == "pending", "nothing is half done"
    assert (await house.control.cancel(task_id, PERSON))["state"] == "cancelled"
    assert house.effects("tampered") == ["a"]
    assert house.effects("tampered-other") == ["a"]
    await house.control.cancel(other["task"], PERSON)


async def test_a_binding_changed_in_the_database_is_refused(house: House) -> None:
    task_id = await house.submit("asks", "rebound")
    approval = await house.question(task_id)
    async with await psycopg.AsyncConnection.connect(house.owner_conninfo, autocommit=True) as owner:
        await owner.execute(
            'update interlock.approval set binding = binding || \'{"args_sha256": "0"}\' where id = %s',
            [approval["id"]],
        )
    with pytest.raises(Conflict, match="not what was shown"):
        await house.answer(approval, "approve")
    assert house.effects("rebound") == ["a"]
    await house.control.cancel(task_id, PERSON)


async def test_a_halted_agent_waits_and_goes_on_when_that_ends(house: House) -> None:
    await house.control.halt("agent:halted", "maintenance", PERSON)
    task_id = await house.submit("halted", "halted")
    await asyncio.sleep(2.5)
    view = await house.control.task(task_id)
    assert (view["state"], calls_of(view), house.effects("halted")) == ("queued", [], [])
    assert view["state_reason"] == "agent halted is halted by person:ann: maintenance"
    await house.control.halt("agent:halted", None, PERSON)
    view = await house.rest(task_id)
    assert (view["state"], house.effects("halted")) == ("completed", ["a"])


async def test_a_tool_that_is_not_there_is_refused(house: House) -> None:
    view = await house.rest(await house.submit("unknown", "unknown"))
    assert view["state"] != "completed"
    assert calls_of(view) == [("log.nothing", "denied")]
    assert "has no tool 'nothing'" in view["calls"][0]["result"]["text"]


async def test_a_tool_that_changed_is_refused_until_it_is_accepted(house: House) -> None:
    first = await house.rest(await house.submit("changes", "first"))
    assert calls_of(first) == [("changes.echo", "done")]
    assert first["state"] != "completed"  # it changed after its first call, and the run may not go on with it
    second = await house.rest(await house.submit("changes", "second"))
    assert (second["state"], calls_of(second)) == ("failed", [])
    assert "is not the tool that was accepted" in second["state_reason"]
    await house.control.fleet.pin("changes", PERSON)
    third = await house.rest(await house.submit("changes", "third"))
    assert (third["state"], calls_of(third)) == ("completed", [("changes.echo", "done")])


async def test_the_audit_verifies_and_every_start_has_its_intent(house: House) -> None:
    await house.rest(await house.submit("simple", "audited"))
    assert (await house.control.verify_audit())["ok"]
    async with house.control.database.transaction() as tx:
        rows = await tx.rows(
            "select c.id from call c where c.started_at is not null and not exists (select from audit_record r"
            " where r.event = 'call.intent' and r.task_id = c.task_id)"
        )
    assert rows == []


async def test_a_worker_that_was_silent_for_too_long_sends_nothing(house: House) -> None:
    pulse = Pulse()
    assert pulse.steady
    pulse.beat(time.monotonic() - PULSE_S)
    assert not pulse.steady
    args = {"key": "silent/a", "text": "x"}
    expect = Expectation(still=lambda: pulse.steady)
    with pytest.raises(ToolUnavailable, match="was not sent"):
        await house.control.fleet.toolbox.call(ToolRef("log", "append"), args, Delivery(5.0, expect=expect))
    assert house.effects("silent") == []
    pulse.beat(time.monotonic())
    assert (await house.control.fleet.toolbox.call(ToolRef("log", "append"), args, Delivery(5.0, expect=expect))).ok
    assert house.effects("silent") == ["a"]
