"""What is remembered of a tool, or of anything else, that fails: its circuit breaker. `resilience` has the rules."""

import datetime
from dataclasses import dataclass
from enum import StrEnum


class BreakerPhase(StrEnum):
    """Where a breaker is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True)
class Breaker:
    """What is remembered of one thing that can fail; the default is a healthy one.

    Attributes:
        failures: in a row.
        opened_at: None while it is closed.
        opened_for_s: how long it stays open.
        probe_until: while one call tries, until when it is waited for.
        reason: of the last failure that counted.
    """

    failures: int = 0
    opened_at: datetime.datetime | None = None
    opened_for_s: float = 0.0
    probe_until: datetime.datetime | None = None
    reason: str = ""

    @property
    def retry_at(self) -> datetime.datetime | None:
        """When the next call may try; None while it is closed."""
        if self.opened_at is None:
            return None
        over = self.opened_at + datetime.timedelta(seconds=self.opened_for_s)
        return over if self.probe_until is None else max(over, self.probe_until)
