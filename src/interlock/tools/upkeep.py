"""What is due at a server that is ready: a look at its list, a rest when nobody calls it, a new life when it is old."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from interlock.model import ToolUnavailable
from interlock.tools.peer import Peer

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig
    from interlock.tools.client import Connection

LOOK_EVERY_S = 60.0  # at a server that does not say how long its list holds
LOOK_AT_MOST_EVERY_S = 10.0
LOOK_AT_LEAST_EVERY_S = 300.0
_DRAIN_S = 10.0  # for calls under way at a server that seems to be gone


class Rest(StrEnum):
    """Why a life of a server ends."""

    OVER = "over"
    STOPPED = "stopped"
    IDLE = "idle"
    AGED = "aged"
    CUT_OFF = "cut off"


@dataclass(frozen=True)
class Told:
    """Whom the upkeep tells.

    Attributes:
        listed: the list was read again.
        leaving: no more calls are taken, for this reason; those under way still end.
    """

    listed: Callable[[], None]
    leaving: Callable[[str], None]


class Upkeep:
    """Of one connection, by the task that holds it."""

    def __init__(self, config: "ToolServerConfig", peer: Peer, connection: "Connection", told: Told) -> None:
        self._config = config
        self._peer = peer
        self._connection = connection
        self._told = told
        self._born_s = time.monotonic()
        self._leaving: tuple[Rest, float] | None = None
        self._cut_off_s: float | None = None
        self.stale = False

    async def hold(self, stop: asyncio.Event, wake: asyncio.Event) -> Rest:
        """Do what is due until the life ends; `wake` is set by whoever has news.

        Raises:
            ToolUnavailable: a process no longer lists its tools.
        """
        while True:
            if stop.is_set():
                return Rest.STOPPED
            if self._peer.over:
                return Rest.OVER
            if (rest := self._rest(time.monotonic())) is not None:
                return rest
            if self._leaving is None and self._wants_look(time.monotonic()):
                await self._look()
                continue
            await _within(wake, self._next_s(time.monotonic()))

    def _rest(self, now_s: float) -> Rest | None:
        """Whether the life may end now; from this moment on no call is taken."""
        connection, config = self._connection, self._config
        if self._leaving is not None:
            return self._leaving[0] if connection.busy == 0 or now_s >= self._leaving[1] else None
        quiet = connection.busy == 0
        if self._peer.works_on and config.builtin is None and (rest := self._cut_off(now_s)) is not None:
            return rest
        if quiet and config.idle_timeout is not None and now_s >= connection.used_s + config.idle_timeout:
            connection.close()
            return Rest.IDLE
        if config.max_age is None or now_s < self._born_s + config.max_age:
            return None
        if quiet:
            connection.close()
            return Rest.AGED
        if now_s >= self._born_s + config.max_age + config.call_timeout:  # never a quiet moment: make one
            self._leave(Rest.AGED, config.call_timeout, f"it has run for {config.max_age:g} s")
        return None

    def _cut_off(self, now_s: float) -> Rest | None:
        """It may work on at a call that was cut off: it is ended as soon as nobody else has a call there."""
        if self._connection.busy == 0:
            self._connection.close()
            return Rest.CUT_OFF
        if self._cut_off_s is None:
            self._cut_off_s = now_s
        elif now_s >= self._cut_off_s + self._config.call_timeout:  # never a quiet moment: make one
            self._leave(Rest.CUT_OFF, self._config.call_timeout, "it did not end a call that was cut off")
        return None

    def _leave(self, rest: Rest, patience_s: float, reason: str) -> None:
        self._connection.close()
        self._leaving = (rest, time.monotonic() + patience_s)
        self._told.leaving(reason)

    def _wants_look(self, now_s: float) -> bool:
        return self.stale or self._peer.take_suspicion() or now_s >= self._look_s()

    def _look_s(self) -> float:
        """When to look at the list again, a moment of the monotonic clock."""
        connection = self._connection
        ttl_s = connection.catalogue.ttl_s
        if not self._peer.polled and connection.used_s <= connection.listed_s:
            return float("inf")  # nobody has called it since, so nobody relies on it
        every_s = LOOK_AT_LEAST_EVERY_S if not self._peer.polled else LOOK_EVERY_S
        if ttl_s > 0:
            every_s = min(LOOK_AT_LEAST_EVERY_S, max(LOOK_AT_MOST_EVERY_S, ttl_s))
        return connection.listed_s + every_s

    async def _look(self) -> None:
        self.stale = False
        try:
            await self._connection.relist()
        except ToolUnavailable:
            if not self._peer.polled:
                raise
            if not self._peer.over:
                why = self._peer.trouble or "does not list its tools any more"
                self._leave(Rest.OVER, _DRAIN_S, why)
                self._peer.condemn(why)
            return
        self._told.listed()

    def _next_s(self, now_s: float) -> float:
        """Seconds until something is due."""
        config, connection = self._config, self._connection
        if self._leaving is not None:
            return max(0.0, self._leaving[1] - now_s)
        due_s = self._look_s()
        if config.idle_timeout is not None and connection.busy == 0:
            due_s = min(due_s, connection.used_s + config.idle_timeout)
        if config.max_age is not None:
            aged_s = self._born_s + config.max_age
            due_s = min(due_s, aged_s if now_s < aged_s else aged_s + config.call_timeout)
        if self._cut_off_s is not None:
            due_s = min(due_s, self._cut_off_s + config.call_timeout)
        return max(0.0, due_s - now_s)


async def _within(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(None if seconds == float("inf") else seconds):
            await wake.wait()
    except TimeoutError:
        return
    wake.clear()
