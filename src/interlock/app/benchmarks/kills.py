"""SIGKILL, many times, of tool servers that are being called, as `up` runs them: in their sandbox, below the tool host.

Several servers are killed at the same time, one more is never touched. What is looked at: how long until a killed one
is ready again, whether a call failed whose server was not killed, and what is left over at the end.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.app.benchmarks.processes import below, descriptors, with_mark
from interlock.app.benchmarks.report import Order, Row
from interlock.app.benchmarks.stage import LOOK_EVERY_S, throwaway, write_project
from interlock.app.checking import check_project
from interlock.app.tool_host import hosted_tools
from interlock.config import Settings
from interlock.model import ServerState, ServerUnavailable, ToolRef, Unavailable
from interlock.tools import Delivery, HostedTools

VICTIMS = ("one", "two", "three", "four")
BYSTANDER = "untouched"
CALLERS = 2
PATIENCE_S = 30.0  # to get ready again, before the storm is given up
SETTLE_S = 10.0
_CALL_S = 20.0
_PAUSE_S = 0.01
_LONGEST_WAIT_S = 0.3
_TOLD_EVERY = 100


@dataclass
class Story:
    """What happened, by the monotonic clock.

    Attributes:
        kills: server and moment.
        ready_s: how long each took to be ready again.
        calls: that were answered.
        errors: server, begin and end of a call that was not.
        words: how the first error of a server that was not killed reads.
    """

    kills: list[tuple[str, float]] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)
    calls: int = 0
    errors: list[tuple[str, float, float, str]] = field(default_factory=list)

    def of_others(self) -> list[tuple[str, float, float, str]]:
        """Calls that failed although their server was neither killed during them, nor coming back from a kill."""
        return [error for error in self.errors if not self._explained(error)]

    def _explained(self, error: tuple[str, float, float, str]) -> bool:
        name, began_s, ended_s, _ = error
        returning = zip(self.kills, self.ready_s, strict=False)
        return any(server == name and at <= ended_s and began_s <= at + took_s for (server, at), took_s in returning)


@dataclass(frozen=True)
class KillsFound:
    """What came of the storm; None for what was not found out."""

    row: Row
    ready_s_max: float | None = None
    other_errors: float | None = None
    leaked_processes: float | None = None
    leaked_descriptors: float | None = None


@dataclass(frozen=True)
class _Holdings:
    processes: int
    descriptors: int


@dataclass(frozen=True)
class _Storm:
    """The servers, and whatever watches them."""

    tools: HostedTools
    mark: str
    story: Story

    def host_pid(self) -> int:
        """The tool host of this stage.

        Raises:
            ServerUnavailable: there is none.
        """
        for pid in with_mark(f"tool-host --project {self.mark}"):
            return pid
        raise ServerUnavailable("the tool host of the benchmark is gone", hint="interlock doctor")

    def holdings(self, host: int) -> _Holdings:
        """What there is of ours now: processes below the tool host or of the stage, and open descriptors."""
        processes = {*below(host), *with_mark(self.mark)}
        return _Holdings(len(processes), descriptors(host) + descriptors(os.getpid()))

    async def settled(self, host: int, known: _Holdings | None = None) -> _Holdings:
        """What there is when nothing is under way any more; waits until it is no more than what is known."""
        deadline_s = time.monotonic() + SETTLE_S
        while True:
            now = await asyncio.to_thread(self.holdings, host)
            fine = known and now.processes <= known.processes and now.descriptors <= known.descriptors
            if fine or time.monotonic() > deadline_s or known is None:
                return now
            await asyncio.sleep(LOOK_EVERY_S)

    async def pid_of(self, server: str) -> int | None:
        """The process of a server that is ready."""
        for health in await self.tools.states():
            if health.server == server and health.state is ServerState.READY:
                return health.pid
        return None

    async def keep_calling(self, server: str) -> None:
        """Call, until cancelled."""
        while True:
            began_s = time.monotonic()
            try:
                result = await self.tools.call(ToolRef(server, "lookup"), {"key": "a"}, Delivery(_CALL_S))
                error = "" if result.ok else result.text
            except Unavailable as lost:
                error = lost.message
            if error:
                self.story.errors.append((server, began_s, time.monotonic(), error))
            else:
                self.story.calls += 1
            await asyncio.sleep(_PAUSE_S)

    async def keep_killing(self, server: str, number: int, tell: Callable[[str], None]) -> None:
        """Kill a server so often, each time at a random moment after it is ready again.

        Raises:
            ServerUnavailable: it does not come back.
        """
        dice = secrets.SystemRandom()
        pid = await self._ready_again(server, None)
        for _ in range(number):
            await asyncio.sleep(dice.uniform(0, _LONGEST_WAIT_S))
            family = [pid, *await asyncio.to_thread(below, pid)]
            began_s = time.monotonic()
            # Either what the tool host started, or the innermost process, which is the server itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice([family[0], family[-1]]), signal.SIGKILL)
            pid = await self._ready_again(server, pid)
            self.story.kills.append((server, began_s))
            self.story.ready_s.append(time.monotonic() - began_s)
            if len(self.story.kills) % _TOLD_EVERY == 0:
                tell(f"{len(self.story.kills)} kills, ready again after {max(self.story.ready_s):.2f} s at most")

    async def _ready_again(self, server: str, before: int | None) -> int:
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            pid = await self.pid_of(server)
            if pid is not None and pid != before:
                return pid
            await asyncio.sleep(LOOK_EVERY_S / 5)
        raise ServerUnavailable(f"the server {server} did not come back within {PATIENCE_S:g} s")


async def measure_kills(order: Order) -> KillsFound:
    """Kill tool servers as often as was ordered; trouble is in the note of the row."""
    try:
        async with _stage(order.env) as storm:
            return await _measure(storm, order)
    except Unavailable as error:
        return KillsFound({"name": "kills", "note": error.message})


@asynccontextmanager
async def _stage(env: Mapping[str, str]) -> AsyncIterator[_Storm]:
    async with throwaway(env, "kills") as (folder, own):
        names = (*VICTIMS, BYSTANDER)
        write_project(folder, {name: _server(folder, name) for name in names}, [f"{name}.*" for name in names])
        project = await asyncio.to_thread(check_project, folder, own)
        tools = hosted_tools(Settings.from_env(own), project, own)
        try:
            await tools.start()
            yield _Storm(tools, str(folder), Story())
        finally:
            await tools.stop()


def _server(folder: Path, name: str) -> dict[str, Any]:
    args = ["-m", "interlock.testing.faulty_server", "--mode", "ok", "--log", str(folder / f"{name}.jsonl")]
    contract = {"class": "read", "egress": False, "output": "trusted"}
    return {"command": sys.executable, "args": args, "sandbox": {"write": ["."]}, "contracts": {"lookup": contract}}


async def _measure(storm: _Storm, order: Order) -> KillsFound:
    host, story, wanted = storm.host_pid(), storm.story, order.effort.kills
    known = await storm.settled(host)
    callers = [asyncio.create_task(storm.keep_calling(name)) for name in (*VICTIMS, BYSTANDER) for _ in range(CALLERS)]
    began_s = time.monotonic()
    try:
        shares = [wanted // len(VICTIMS) + (n < wanted % len(VICTIMS)) for n in range(len(VICTIMS))]
        killers = zip(VICTIMS, shares, strict=True)
        await asyncio.gather(*(storm.keep_killing(name, share, order.tell) for name, share in killers))
    finally:
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
    seconds = time.monotonic() - began_s
    left, others = await storm.settled(host, known), story.of_others()
    row = {
        "name": "kills",
        "kills": len(story.kills),
        "servers": len(VICTIMS),
        "seconds": round(seconds, 1),
        "calls": story.calls,
        "calls_lost_with_their_server": len(story.errors) - len(others),
        "ready_s_p50": round(sorted(story.ready_s)[len(story.ready_s) // 2], 3) if story.ready_s else None,
        "processes": left.processes,
        "descriptors": left.descriptors,
        "note": others[0][3] if others else "",
    }
    return KillsFound(
        row,
        max(story.ready_s, default=None),
        float(len(others)),
        float(max(0, left.processes - known.processes)),
        float(max(0, left.descriptors - known.descriptors)),
    )
