"""The worker processes that `up` starts: watched, started again when they die, stopped when `up` stops."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

log = logging.getLogger("interlock.crew")
STOP_PATIENCE_S = 40.0
LONGEST_PAUSE_S = 30.0
FIRST_PAUSE_S = 0.5
LIVED_WELL_S = 60.0
PARENT_PID = "INTERLOCK_PARENT_PID"
_PR_SET_PDEATHSIG = 1


@dataclass
class Crew:
    """A number of equal processes.

    Attributes:
        command: what each of them runs.
        env: their environment.
        size: how many.
    """

    command: Sequence[str]
    env: Mapping[str, str]
    size: int
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _living: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)
    _keepers: list["asyncio.Task[None]"] = field(default_factory=list)

    def start(self) -> None:
        """Start all of them, and keep them running."""
        self._keepers = [asyncio.create_task(self._keep(n), name=f"worker-{n}") for n in range(self.size)]

    def pids(self) -> list[int]:
        """The processes that live."""
        return sorted(process.pid for process in self._living.values() if process.returncode is None)

    async def stop(self, patience_s: float = STOP_PATIENCE_S) -> None:
        """Let them drain; whoever is not gone after `patience_s` is killed, and its runs go on elsewhere."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        if self._keepers:
            _, late = await asyncio.wait(self._keepers, timeout=patience_s)
            if late:
                log.warning("workers.killed number=%d", len(late))
                self.kill()
                await asyncio.wait(late)

    def kill(self) -> None:
        """End them at once."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._living.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    async def _keep(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stopping.is_set():
            began = loop.time()
            status = await self._one_life(number)
            if self._stopping.is_set():
                return
            failures = 1 if loop.time() - began > LIVED_WELL_S else failures + 1
            pause_s = pause_after(failures)
            log.warning("worker.ended status=%s restart_in_s=%.1f", _words(status), pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _one_life(self, number: int) -> int:
        process = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for `up`, which then lets them drain
            env={**self.env, PARENT_PID: str(os.getpid())},
        )
        self._living[number] = process
        if self._stopping.is_set():
            process.terminate()
        try:
            return await process.wait()
        finally:
            del self._living[number]


def pause_after(failures: int) -> float:
    """How long to wait before the next start, after so many failures in a row."""
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures - 1, 10)))


def _words(status: int) -> str:
    if status >= 0:
        return str(status)
    try:
        return signal.Signals(-status).name
    except ValueError:
        return str(status)


def drain_with_parent(env: Mapping[str, str]) -> bool:
    """Have the kernel ask this process to drain when the `up` that started it dies; False if that is gone already."""
    text = env.get(PARENT_PID, "")
    if not text.isdecimal():
        return True
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    return os.getppid() == int(text)
