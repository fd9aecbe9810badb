"""Calls of this process, one after the other or many at any time, and how long each took."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from interlock.app.benchmarks.rounds import Sample


@dataclass
class Count:
    """What calls took, and what went wrong."""

    took_s: list[float] = field(default_factory=list)
    errors: int = 0
    trouble: str = ""

    def note(self, trouble: str) -> None:
        """A call went wrong."""
        self.errors += 1
        self.trouble = self.trouble or trouble

    def sample(self, seconds: float) -> Sample:
        """All of it, of so many seconds."""
        return Sample.of(self.took_s, seconds, self.errors, self.trouble)


MakeCall: TypeAlias = Callable[[int, Count], Awaitable[None]]


async def one_by_one(call: MakeCall, calls: int) -> Sample:
    """Make calls one after the other, all as the first caller."""
    count = Count()
    began_s = time.perf_counter()
    for _ in range(calls):
        await call(0, count)
    return count.sample(time.perf_counter() - began_s)


async def together(call: MakeCall, callers: int, seconds: float) -> Sample:
    """Have each of so many callers make one call after the other, for so long."""
    count = Count()
    began_s = time.perf_counter()

    async def work(number: int) -> None:
        while time.perf_counter() - began_s < seconds:
            await call(number, count)

    await asyncio.gather(*(work(number) for number in range(callers)))
    return count.sample(time.perf_counter() - began_s)
