"""Servers that rest when nobody calls them, are started anew when they are old, and take so many calls at one time."""

import asyncio
import time
from typing import Any

import pytest
from tests.integration.tools.remote_servers import Scripted

from interlock.config import ToolServerConfig
from interlock.model import ServerState, ToolLost, ToolUnavailable
from interlock.tools import Pace

pytestmark = pytest.mark.integration


async def test_a_server_that_is_not_called_rests_until_the_next_call(tooling: Any) -> None:
    box = tooling.box(ours=tooling.faulty(idle_timeout=0.6), other=tooling.faulty())
    await box.start()
    for _ in range(4):  # calls keep it awake
        await asyncio.sleep(0.3)
        assert (await tooling.call(box, "ours.echo", text="x")).ok
    await tooling.until(lambda: tooling.health(box, "ours").state is ServerState.STOPPED)
    health = tooling.health(box, "ours")
    assert health.reason.startswith("idle: tool server 'ours' was not called for 0.6 s")
    assert (health.pid, health.restarts) == (None, 0)
    await tooling.until(lambda: len(tooling.servers()) == 1)
    assert (await tooling.call(box, "ours.echo", text="x")).ok
    assert tooling.health(box, "ours").state is ServerState.READY


async def test_a_long_call_keeps_its_server_awake(tooling: Any) -> None:
    box = tooling.box(ours=tooling.faulty(idle_timeout=0.3))
    assert (await tooling.call(box, "ours.append", key="k", text="t", delay_s=1.2)).ok


async def test_calls_around_the_moment_of_rest_are_all_made(tooling: Any) -> None:
    box = tooling.box(ours=tooling.faulty(idle_timeout=0.05))
    for number in range(25):
        assert (await tooling.call(box, "ours.append", key="k", text=str(number))).ok
        await asyncio.sleep(0.045 + number % 3 * 0.005)
    assert [line["text"] for line in tooling.effects()] == [str(number) for number in range(25)]


@pytest.mark.parametrize("pause_s", [0.1, 0.0])
async def test_a_server_is_started_anew_when_it_is_old_and_no_call_fails(tooling: Any, pause_s: float) -> None:
    box = tooling.box(Pace(), ours=tooling.faulty(max_age=0.8, call_timeout=1))
    await box.start()
    pids, made, ends_s = set(), 0, time.monotonic() + 6

    async def keep_calling() -> None:
        nonlocal made
        while time.monotonic() < ends_s:
            delay_s = 0.2 if pause_s == 0 else 0.0  # without a pause there is never a quiet moment
            assert (await tooling.call(box, "ours.append", key="k", text="t", delay_s=delay_s)).ok
            made += 1
            pids.add(tooling.health(box, "ours").pid)
            await asyncio.sleep(pause_s)

    await asyncio.gather(*(keep_calling() for _ in range(3)))
    assert len(tooling.effects()) == made
    assert len(pids) >= 3
    assert tooling.health(box, "ours").restarts == 0


async def test_only_so_many_calls_are_under_way_at_one_time(tooling: Any) -> None:
    box = tooling.box(ours=tooling.faulty(concurrency=2))
    await box.start()
    started = time.monotonic()
    calls = [tooling.call(box, "ours.append", key="k", text="t", delay_s=0.3) for _ in range(6)]
    assert all(answer.ok for answer in await asyncio.gather(*calls))
    assert time.monotonic() - started > 0.85
    holding = [asyncio.create_task(tooling.call(box, "ours.append", key="k", text="t", delay_s=1)) for _ in range(2)]
    await asyncio.sleep(0.2)
    with pytest.raises(ToolUnavailable, match="has 2 calls under way; this one was not sent"):
        await tooling.call(box, "ours.append", 0.3, key="k", text="t")
    await asyncio.gather(*holding)


async def test_after_a_useful_life_the_next_one_begins_at_once(tooling: Any) -> None:
    box = tooling.box(Pace(first_s=20), ours=tooling.faulty("die-on-call"))
    for _ in range(3):
        assert (await tooling.call(box, "ours.lookup", key="k")).ok
        with pytest.raises(ToolLost):
            await tooling.call(box, "ours.append", key="k", text="t")
    assert (await tooling.call(box, "ours.lookup", key="k")).ok


async def test_a_remote_server_is_asked_for_its_list_now_and_then(
    tooling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.tools.upkeep.LOOK_EVERY_S", 0.2)
    far = Scripted()
    await far.start()
    box = tooling.box(far=ToolServerConfig(url=far.url))
    await box.start()
    lists = len([asked for asked in far.asked if asked.message["method"] == "tools/list"])
    await asyncio.sleep(0.7)
    assert len([asked for asked in far.asked if asked.message["method"] == "tools/list"]) >= lists + 2
    await far.stop()
    await tooling.until(lambda: tooling.health(box, "far").state is ServerState.DEGRADED)
    assert "can't be reached" in tooling.health(box, "far").reason


async def test_a_remote_server_that_hangs_while_it_is_opened_is_given_up_and_stopped(tooling: Any) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/mcp"
    box = tooling.box(far=ToolServerConfig(url=url, start_timeout=0.5), slow=ToolServerConfig(url=url))
    with pytest.raises(ToolUnavailable, match=r"did not get ready within 0.5 s"):
        await tooling.call(box, "far.say", text="x")
    starting = asyncio.create_task(box.start(["slow"]))
    await asyncio.sleep(0.3)
    started = time.monotonic()
    await box.stop()
    await starting
    assert time.monotonic() - started < 5
    silent.close()
