"""SIGKILL: of a server while others work, and of the process that the servers belong to."""

import asyncio
import os
import signal
import sys
import time
from typing import Any

import pytest

from interlock.config import ToolServerConfig
from interlock.model import ServerState, ToolLost
from interlock.tools import Pace

pytestmark = pytest.mark.integration

KILLS = 20

WORKER = """
import asyncio, os, sys
from pathlib import Path
from interlock.config import SystemClock, ToolServerConfig
from interlock.tools import Surroundings, Toolbox

async def main(folder, modes):
    def server(mode):
        args = ["-m", "interlock.testing.faulty_server", "--mode", mode, "--log", str(folder / "log")]
        return ToolServerConfig(command=sys.executable, args=args, sandbox={"write": ["."]})
    where = Surroundings(folder, folder.parent / "state", dict(os.environ))
    box = Toolbox({mode: server(mode) for mode in modes}, where, SystemClock())
    await asyncio.wait({asyncio.create_task(box.start())}, timeout=4)
    print("started", flush=True)
    await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
"""


async def test_twenty_kills_of_one_server_are_no_error_at_another(tooling: Any) -> None:
    box = tooling.box(Pace(first_s=0.1, cap_s=1), victim=tooling.faulty(), other=tooling.faulty())
    await box.start()
    failures, calls, over = [], 0, False

    async def keep_calling() -> None:
        nonlocal calls
        while not over:
            answer = await tooling.call(box, "other.echo", text="x")
            failures.extend([] if answer.ok else [answer])
            calls += 1
            await asyncio.sleep(0.002)

    callers = [asyncio.create_task(keep_calling()) for _ in range(4)]
    slowest_s = 0.0
    for number in range(KILLS):
        under_way = asyncio.create_task(tooling.call(box, "victim.append", key=str(number), text="t", delay_s=5))
        await asyncio.sleep(0.05)
        killed = tooling.health(box, "victim").pid
        os.kill(killed, signal.SIGKILL)
        started = time.monotonic()
        with pytest.raises(ToolLost, match="was killed by SIGKILL during the call"):
            await under_way
        assert (await tooling.call(box, "victim.lookup", key="0")).structured == {"count": 0}
        slowest_s = max(slowest_s, time.monotonic() - started)
        assert tooling.health(box, "victim").pid != killed
    over = True
    await asyncio.gather(*callers)
    assert failures == []
    assert calls > KILLS * 10
    assert slowest_s < 5
    assert tooling.health(box, "victim").restarts == KILLS
    assert tooling.health(box, "other").restarts == 0
    assert len(tooling.servers()) == 2


async def test_servers_do_not_outlive_a_killed_worker(tooling: Any) -> None:
    command = [sys.executable, "-c", WORKER, str(tooling.folder), "ok", "hang-start", "hang-on-call"]
    worker = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"started\n"
        await tooling.until(lambda: len(tooling.servers()) == 4, 30)
    finally:
        worker.kill()
        await worker.wait()
    started = time.monotonic()
    await tooling.until(lambda: not tooling.running(), 5)
    assert time.monotonic() - started < 5


async def test_a_call_right_after_a_kill_waits_for_the_next_life(tooling: Any) -> None:
    box = tooling.box(ours=tooling.faulty())
    for _ in range(5):
        assert (await tooling.call(box, "ours.echo", text="x")).ok
        before = tooling.effects()
        os.kill(tooling.health(box, "ours").pid, signal.SIGKILL)
        try:
            assert (await tooling.call(box, "ours.append", key="k", text="t")).ok
        except ToolLost:
            # It was in the pipe of a dying server, which nobody can know; what confines it is gone a moment before it.
            assert len(tooling.effects()) <= len(before) + 1
    assert (await tooling.call(box, "ours.echo", text="x")).ok


async def test_what_a_server_started_goes_with_it(tooling: Any) -> None:
    script = f"sh -c 'sleep 300; : {tooling.folder}' & exec \"$@\""
    ours = tooling.faulty()
    box = tooling.box(ours=ToolServerConfig(command="sh", args=["-c", script, "sh", ours.command, *ours.args]))
    assert (await tooling.call(box, "ours.echo", text="x")).ok
    await tooling.until(lambda: len(tooling.servers()) == 2)
    os.kill(tooling.health(box, "ours").pid, signal.SIGKILL)
    await tooling.until(lambda: tooling.health(box, "ours").state is not ServerState.READY)
    await tooling.until(lambda: tooling.health(box, "ours").state is ServerState.READY)
    await tooling.until(lambda: len(tooling.servers()) == 2)
    await box.stop()
    await tooling.until(lambda: not tooling.running(), 2)
