"""A circuit breaker: what keeps failing is left alone for a while, then tried by exactly one call. Pure, no clock.

Closed: everything goes through. Open, after so many failures in a row: nothing does. Half-open, when the cooldown is
over: one call is the probe. It closes the breaker, or opens it again for twice as long. A probe that is never heard
of again stands in nobody's way after its deadline.

Only the probe is heard while the breaker is not closed. Calls that were under way when it opened end in their own
time; if their failures counted, a burst of them would double the wait at once.
"""

import datetime
from dataclasses import dataclass, replace

from interlock.model import Breaker, BreakerPhase

MAX_OPEN_S = 600.0


@dataclass(frozen=True)
class BreakerRule:
    """When a breaker opens, and for how long.

    Attributes:
        failures: in a row until it opens.
        cooldown_s: until the first probe; doubled with each one that fails, up to ten minutes or, if that is longer,
            to the cooldown itself.
    """

    failures: int
    cooldown_s: float

    def next_open_s(self, before_s: float) -> float:
        """How long it stays open after a probe failed that came after `before_s` of being open."""
        return min(max(MAX_OPEN_S, self.cooldown_s), 2 * max(before_s, self.cooldown_s))


@dataclass(frozen=True)
class Admission:
    """Whether a call may be made.

    Attributes:
        allowed: if not, it must not be sent.
        probe: it is the one that tries; its outcome must be told with `probe=True`, or given up.
        retry_after_s: seconds until it is worth asking again.
        reason: why not.
        since: since when the breaker has been open.
        noted: something is remembered, so a success has something to forget.
    """

    allowed: bool
    probe: bool = False
    retry_after_s: float = 0.0
    reason: str = ""
    since: datetime.datetime | None = None
    noted: bool = False


def phase(breaker: Breaker, now: datetime.datetime) -> BreakerPhase:
    """Closed, open, or half-open: a probe is out or may go."""
    if breaker.opened_at is None:
        return BreakerPhase.CLOSED
    over = breaker.opened_at + datetime.timedelta(seconds=breaker.opened_for_s)
    return BreakerPhase.HALF_OPEN if now >= over else BreakerPhase.OPEN


def look(breaker: Breaker, now: datetime.datetime) -> Admission:
    """What a call that asks now is told; claims nothing. `probe` means that it could be the one that tries."""
    noted = breaker != Breaker()
    if breaker.opened_at is None or breaker.retry_at is None:
        return Admission(True, noted=noted)
    wait_s = (breaker.retry_at - now).total_seconds()
    return Admission(wait_s <= 0, wait_s <= 0, max(0.0, wait_s), breaker.reason, breaker.opened_at, noted)


def claimed(breaker: Breaker, now: datetime.datetime, patience_s: float) -> Breaker:
    """The breaker while the call that `look` let through as the probe is out, for at most `patience_s`."""
    return replace(breaker, probe_until=now + datetime.timedelta(seconds=patience_s))


def given_up(breaker: Breaker) -> Breaker:
    """The probe was not sent after all: the next call may be it."""
    return replace(breaker, probe_until=None)


def succeeded(breaker: Breaker, *, probe: bool = False) -> Breaker:
    """After a success: failures are no longer in a row; that of a probe closes an open breaker."""
    return Breaker() if probe or breaker.opened_at is None else breaker


def failed(breaker: Breaker, rule: BreakerRule, now: datetime.datetime, reason: str, *, probe: bool = False) -> Breaker:
    """After a failure: one more in a row, open when they are enough, open for longer when the probe failed."""
    if breaker.opened_at is not None:
        if not probe or breaker.probe_until is None:
            return breaker
        longer_s = rule.next_open_s(breaker.opened_for_s)
        return Breaker(breaker.failures + 1, now, longer_s, None, reason)
    failures = breaker.failures + 1
    if failures < rule.failures:
        return Breaker(failures, reason=reason)
    return Breaker(failures, now, rule.cooldown_s, None, reason)
