"""SIGKILL at random moments, of servers that are all being called: `INTERLOCK_TEST_KILLS=1000` for the long one."""

import asyncio
import gc
import os
import resource
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.torture.stage import Dice

from interlock.model import ServerState, ToolLost, ToolResult, ToolUnavailable
from interlock.tools import Pace

KILLS = int(os.environ.get("INTERLOCK_TEST_KILLS", "60"))
SERVERS = ("one", "two", "three")
READY_S = 5.0

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120 + KILLS * 2)]


@dataclass
class Story:
    """What happened, by the monotonic clock."""

    kills: list[tuple[str, float]] = field(default_factory=list)
    errors: list[tuple[str, float, float, str]] = field(default_factory=list)
    calls: int = 0

    def unexplained(self) -> list[tuple[str, float, float, str]]:
        """Errors at a server that was not killed during the call, nor just before it."""
        return [
            error
            for error in self.errors
            if not any(name == error[0] and error[1] - READY_S <= at <= error[2] for name, at in self.kills)
        ]


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def _keep_calling(tooling: Any, box: Any, server: str, story: Story) -> None:
    while True:
        started = time.monotonic()
        try:
            answer: ToolResult = await tooling.call(box, f"{server}.echo", 10, text="x")
            assert answer.ok
            story.calls += 1
        except (ToolLost, ToolUnavailable) as error:
            story.errors.append((server, started, time.monotonic(), error.message))
        await asyncio.sleep(0.005)


async def test_kills_at_random_moments_harm_no_other_server_and_leak_nothing(tooling: Any) -> None:
    dice, story = Dice(20_261), Story()
    box = tooling.box(Pace(), **{name: tooling.faulty() for name in SERVERS})
    await box.start()
    callers = [asyncio.create_task(_keep_calling(tooling, box, name, story)) for name in SERVERS for _ in range(2)]
    await asyncio.sleep(0.5)
    gc.collect()
    processes, descriptors, resident_mb = len(tooling.running()), _descriptors(), _resident_mb()
    slowest_s = 0.0
    while len(story.kills) < KILLS:
        victim = SERVERS[dice.below(len(SERVERS))]
        await asyncio.sleep(dice.between(0, 0.4))
        pid = tooling.health(box, victim).pid
        if pid is None or not _kill(pid):
            continue
        started = time.monotonic()
        story.kills.append((victim, started))
        if dice.random() < 0.7:  # otherwise the next kill may meet it while it starts
            await tooling.until(lambda pid=pid, victim=victim: _anew(tooling, box, victim, pid), READY_S)
            slowest_s = max(slowest_s, time.monotonic() - started)
    await tooling.until(lambda: all(tooling.health(box, name).state is ServerState.READY for name in SERVERS), READY_S)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    gc.collect()
    await tooling.until(lambda: len(tooling.running()) == processes, 5)
    grown_mb = _resident_mb() - resident_mb
    print(
        f"\n{len(story.kills)} kills, {story.calls} calls, {len(story.errors)} lost with their server;"
        f" ready again after {slowest_s:.2f} s at most; {grown_mb:+.1f} MB"
    )
    assert story.unexplained() == []
    assert story.calls > KILLS
    assert _descriptors() <= descriptors + 2  # a connection or a pipe may be on its way
    assert grown_mb < 30
    assert not any(caller.done() and not caller.cancelled() for caller in callers)


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False  # it has just been killed, and nobody has heard of it yet
    return True


def _anew(tooling: Any, box: Any, server: str, before: int) -> bool:
    health = tooling.health(box, server)
    return health.state is ServerState.READY and health.pid != before
