"""A segment in hand: what stops it, and how long what is stopped is waited for."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from interlock.model import Event, Lease, StopCause, Stopped, Task

LET_GO_S = 1.0  # for work that is stopped: after that its late writes are refused, as those of a lost lease are
HAND_OVER_S = 10.0  # for work that goes on elsewhere


@dataclass(frozen=True)
class Ended:
    """How the work of a segment ended; `result` is what came out, if the event is all that is left to be done."""

    event: Event
    result: dict[str, Any] | None = None


@dataclass
class Active:
    """A segment in hand: how to stop it, and why it was stopped; the first reason counts."""

    lease: Lease
    work: "asyncio.Task[Ended]"
    cause: StopCause | None = None
    why: str = ""
    fenced: bool = False
    told: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def stop(self, cause: StopCause, why: str = "") -> None:
        """End the work."""
        if self.cause is None:
            self.cause, self.why = cause, why
        self._end(cause)

    def fence(self) -> None:
        """End the work: another worker has the run, or will have it."""
        self.fenced = True
        self._end("fenced")

    def _end(self, why: str) -> None:
        self.work.cancel(why)
        if not self.told.done():
            self.told.set_result(None)


def overdue(task: Task) -> Stopped:
    """What becomes of a task whose working time is used up."""
    return Stopped(StopCause.TIMED_OUT, f"its working time of {task.limits.max_duration_s:g} s is used up")


def look_at(work: "asyncio.Task[Ended]") -> None:
    """So that nobody calls the failure of work forgotten which is over either way."""
    if not work.cancelled():
        work.exception()
