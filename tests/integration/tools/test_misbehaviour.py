"""Servers that hang, lie, die or say nonsense: what is told, what is certain, and that others go on."""

import asyncio
import time
from typing import Any

import pytest

from interlock.config import ToolServerConfig
from interlock.model import NotFound, ServerState, ToolLost, ToolRef, ToolTimeout, ToolUnavailable
from interlock.tools import Delivery, Expectation, Pace, compare

pytestmark = pytest.mark.integration

SLOWLY = Pace(first_s=30, cap_s=60)


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("hang-start", "did not get ready within 1.5 s"),
        ("garbage", "no MCP message ('Welcome! This is no MCP message.') and did not get ready within 1.5 s"),
        ("exit", "exited with status 3 before it was ready"),
        ("empty", "lists no tools"),
    ],
)
async def test_a_server_that_does_not_get_ready_says_exactly_why_and_harms_no_other(
    tooling: Any, mode: str, says: str
) -> None:
    box = tooling.box(SLOWLY, bad=tooling.faulty(mode, start_timeout=1.5), good=tooling.faulty())
    started = time.monotonic()
    with pytest.raises(ToolUnavailable) as caught:
        await tooling.call(box, "bad.echo", text="x")
    assert time.monotonic() - started < 8
    assert says in caught.value.message
    assert f"its last output: faulty server, mode {mode}" in caught.value.message
    health = tooling.health(box, "bad")
    assert (health.state, health.tools, health.pid) == (ServerState.DEGRADED, 0, None)
    assert says in health.reason
    assert health.stderr_tail == (f"faulty server, mode {mode}",)
    assert (await tooling.call(box, "good.echo", text="x")).ok


async def test_a_missing_executable_is_named_at_once_and_found_once_it_is_there(tooling: Any) -> None:
    program = tooling.folder / "late"
    box = tooling.box(late=ToolServerConfig(command=str(program), args=tooling.faulty().args))
    started = time.monotonic()
    with pytest.raises(ToolUnavailable, match=r"command not found: .*/late; hint: set the full path"):
        await box.definitions("late")
    assert time.monotonic() - started < 5
    program.write_text(f'#!/bin/sh\nexec {tooling.faulty().command} "$@"\n')
    program.chmod(0o755)
    await tooling.until(lambda: tooling.health(box, "late").state is ServerState.READY)


async def test_secrets_of_a_server_s_environment_are_not_in_its_last_words(tooling: Any) -> None:
    script = "import os, sys; sys.exit(f'bad key {os.environ[\"KEY\"]}')"
    config = ToolServerConfig(command=tooling.faulty().command, args=["-c", script], env={"KEY": "pa55-word-pa55"})
    box = tooling.box(SLOWLY, bad=config)
    with pytest.raises(ToolUnavailable, match=r"its last output: bad key \*\*\*") as caught:
        await box.definitions("bad")
    assert "pa55" not in caught.value.message + repr(box.health())


async def test_fast_exits_park_a_server_until_it_is_restarted(tooling: Any) -> None:
    box = tooling.box(bad=tooling.faulty("exit"))
    box_health = await box.start()
    assert len(box_health) == 1
    await tooling.until(lambda: tooling.health(box, "bad").state is ServerState.PARKED)
    parked = tooling.health(box, "bad")
    assert "after 3 fast exits" in parked.reason
    assert parked.restarts == 2
    started = time.monotonic()
    with pytest.raises(ToolUnavailable, match="parked"):
        await tooling.call(box, "bad.echo", text="x")
    assert time.monotonic() - started < 0.5
    assert (await box.restart("bad")).state is not ServerState.PARKED


@pytest.mark.parametrize(("moment", "done"), [("before", 0), ("after", 1)])
async def test_a_death_during_a_call_leaves_unknown_whether_it_acted(tooling: Any, moment: str, done: int) -> None:
    box = tooling.box(bad=tooling.faulty("die-on-call", "--moment", moment))
    with pytest.raises(ToolLost, match=r"exited with status 3 during the call of bad\.append; whether it acted"):
        await tooling.call(box, "bad.append", key="k", text="t")
    assert (await tooling.call(box, "bad.lookup", key="k")).structured == {"count": done}
    assert tooling.health(box, "bad").restarts == 1


async def test_a_call_that_is_not_answered_times_out_and_the_client_stays_usable(tooling: Any) -> None:
    box = tooling.box(bad=tooling.faulty("hang-on-call"))
    await box.start()
    pid = tooling.health(box, "bad").pid
    started = time.monotonic()
    with pytest.raises(ToolTimeout, match=r"gave no answer within 0.3 s; whether it acted is unknown"):
        await tooling.call(box, "bad.append", 0.3, key="k", text="t")
    assert time.monotonic() - started < 1.5
    assert (await tooling.call(box, "bad.lookup", key="k")).structured == {"count": 1}
    assert tooling.health(box, "bad").pid == pid


async def test_a_timeout_and_a_cancelled_caller_tell_the_server_to_stop(tooling: Any) -> None:
    box = tooling.box(ours=tooling.faulty())
    await box.start()
    with pytest.raises(ToolTimeout):
        await tooling.call(box, "ours.append", 0.2, key="late", text="t", delay_s=0.8)
    given_up = asyncio.create_task(tooling.call(box, "ours.append", key="late", text="t", delay_s=0.8))
    await asyncio.sleep(0.2)
    given_up.cancel()
    assert (await tooling.call(box, "ours.append", key="kept", text="t", delay_s=1.0)).ok
    assert [line["key"] for line in tooling.effects()] == ["kept"]


async def test_a_server_that_does_not_end_a_call_that_was_cut_off_is_ended_and_the_next_call_starts_it(
    tooling: Any,
) -> None:
    box = tooling.box(bad=tooling.faulty("hang-on-call", "--moment", "before"))
    await box.start()
    pid = tooling.health(box, "bad").pid
    calling = asyncio.create_task(tooling.call(box, "bad.append", key="k", text="t"))
    reading = asyncio.create_task(tooling.call(box, "bad.flaky"))
    await asyncio.sleep(0.3)
    calling.cancel()
    await asyncio.sleep(1.5)
    assert tooling.health(box, "bad").pid == pid, "somebody else has a call there"
    reading.cancel()
    await tooling.until(lambda: tooling.health(box, "bad").pid not in (pid, None), 2.5)
    assert (await tooling.call(box, "bad.lookup", key="k")).structured == {"count": 0}
    health = tooling.health(box, "bad")
    assert (health.state, health.restarts) == (ServerState.READY, 1)


async def test_what_was_not_sent_is_certainly_not_done(tooling: Any) -> None:
    box = tooling.box(deaf=tooling.faulty("deaf"))
    for size in (1, 1_000_000):  # the first is the last that it reads, the second fills the pipe
        with pytest.raises(ToolTimeout):
            await tooling.call(box, "deaf.append", 0.3, key="k", text="x" * size)
    with pytest.raises(ToolUnavailable, match=r"does not read its input; the call of deaf\.append was not sent"):
        await tooling.call(box, "deaf.append", 0.3, key="k", text="t")
    with pytest.raises(ToolUnavailable, match="has no tool 'nope'"):
        await tooling.call(box, "deaf.nope")
    with pytest.raises(ToolUnavailable, match="no tool server is named 'nowhere'"):
        await tooling.call(box, "nowhere.nope")
    with pytest.raises(NotFound):
        await box.definitions("nowhere")


async def test_a_result_that_does_not_fit_its_schema_is_done_with_a_bad_result(tooling: Any) -> None:
    box = tooling.box(bad=tooling.faulty("bad-result"))
    result = await tooling.call(box, "bad.echo", text="x")
    assert not result.ok
    assert result.text.startswith("the tool acted but its result does not fit its schema: ")
    assert "5 is not of type 'string'" in result.text


async def test_failures_slowness_and_size_come_back_as_results(tooling: Any) -> None:
    box = tooling.box(flaky=tooling.faulty("flaky:2"), slow=tooling.faulty("slow", "--delay", "0.3"))
    answers = [await tooling.call(box, "flaky.flaky") for _ in range(3)]
    assert [(answer.ok, answer.text) for answer in answers] == [
        (False, "try 1 failed"),
        (False, "try 2 failed"),
        (True, "try 3 succeeded"),
    ]
    started = time.monotonic()
    assert (await tooling.call(box, "slow.echo", text="x")).ok
    assert time.monotonic() - started > 0.3
    big = await tooling.call(box, "flaky.big", bytes=3_000_000)
    assert big.truncated
    assert len(big.text) < 263_000


async def test_many_calls_at_once_are_all_answered_each_with_its_own(tooling: Any) -> None:
    box = tooling.box(ours=tooling.faulty())
    texts = [f"{number}:" + "x" * 20_000 for number in range(400)]
    answers = await asyncio.gather(*(tooling.call(box, "ours.echo", 30, text=text) for text in texts))
    assert [answer.text for answer in answers] == texts


async def test_a_message_without_end_ends_the_server_instead_of_filling_the_memory(tooling: Any) -> None:
    box = tooling.box(bad=tooling.faulty())
    with pytest.raises(ToolLost, match="sent a message longer than 16 MiB"):
        await tooling.call(box, "bad.big", 30, bytes=20 * 1024 * 1024)


async def test_a_changed_definition_is_seen_and_a_call_judged_by_the_old_one_is_not_sent(tooling: Any) -> None:
    box = tooling.box(ours=tooling.faulty("changes"))
    before = await box.definitions("ours")
    pins = {found.ref.name: found.pin_sha256 for found in before}
    assert compare(pins, await box.definitions("ours", refresh=True)).clean

    assert (await tooling.call(box, "ours.echo", text="x")).ok
    await tooling.until(lambda: tooling.health(box, "ours").tools == 7)
    report = compare(pins, await box.definitions("ours"))
    assert (report.changed, report.new) == (("echo",), ("extra",))

    ref = ToolRef("ours", "echo")
    with pytest.raises(ToolUnavailable, match=r"ours\.echo has changed since the call was judged"):
        await box.call(ref, {"text": "x"}, Delivery(5, expect=Expectation(pin_sha256=pins["echo"])))
    assert (await box.call(ref, {"text": "x"}, Delivery(5))).ok


async def test_after_a_stop_only_a_start_brings_servers_back(tooling: Any) -> None:
    box = tooling.box(ours=tooling.faulty())
    assert (await tooling.call(box, "ours.echo", text="x")).ok
    await box.stop()
    assert tooling.running() == []
    assert tooling.health(box, "ours").state is ServerState.STOPPED
    with pytest.raises(ToolUnavailable, match="stopped"):
        await tooling.call(box, "ours.echo", text="x")
    await box.start()
    assert (await tooling.call(box, "ours.echo", text="x")).ok
