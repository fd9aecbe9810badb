"""What a program takes from its surroundings and a test replaces: the clock, ids and fault points."""

import datetime
import os
import secrets
import signal
import time
import uuid
from dataclasses import dataclass, field
from typing import Protocol


class Clock(Protocol):
    """Tells the time; injected everywhere, so that tests can move it."""

    def now(self) -> datetime.datetime:
        """The present moment, with zone UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime.datetime:
        """The present moment, with zone UTC."""
        return datetime.datetime.now(datetime.UTC)


@dataclass
class ManualClock:
    """A clock that only moves when told to; for tests."""

    at: datetime.datetime = field(default_factory=lambda: datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))

    def now(self) -> datetime.datetime:
        """The moment it was set to."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`."""
        self.at += datetime.timedelta(seconds=seconds)


def new_id() -> str:
    """A new id in time order (UUID version 7, RFC 9562), as text with dashes."""
    millis = time.time_ns() // 1_000_000
    value = (millis & (2**48 - 1)) << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def fault_point(name: str) -> None:
    """A named place where a test can make this process die, as by a power cut.

    `INTERLOCK_FAULT=name` kills the process with SIGKILL on reaching it; without it, this costs a dict look-up.
    """
    if os.environ.get("INTERLOCK_FAULT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
