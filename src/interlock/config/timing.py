"""When a schedule is due: a cron line in a time zone, or a grid of equal steps. Pure: time is handed in."""

import datetime
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

UTC = datetime.UTC
CRON_FIELDS = 5
_SOME_DAY = datetime.datetime(2026, 1, 1, tzinfo=UTC)
_LOOKED_AT = 100


@dataclass(frozen=True)
class Timing:
    """The ticks of one schedule.

    Attributes:
        name: of the schedule.
        cron: five fields, as cron(8) of Debian reads them, also when clocks are changed: what would be due in an hour
            that is left out is due right after it, and what is due at a fixed time in an hour that comes twice, once.
        every_s: instead of `cron`, the step of a grid that begins with 1970, so that all who look agree.
        timezone: of `cron`.
        jitter_s: each tick fires up to so much later; how much depends on name and tick only, so all agree.
    """

    name: str
    cron: str | None
    every_s: float | None
    timezone: str = "UTC"
    jitter_s: float = 0.0

    def after(self, moment: datetime.datetime) -> Iterator[datetime.datetime]:
        """The ticks after a moment, in UTC and in order; there may be no end of them."""
        if self.cron is not None:
            yield from _cron_ticks(self.cron, self.timezone, moment)
            return
        step_s = self.every_s or 0.0
        number = math.floor(moment.timestamp() / step_s) + 1
        while True:
            yield datetime.datetime.fromtimestamp(number * step_s, UTC)
            number += 1

    @property
    def least_gap_s(self) -> float:
        """The shortest time from one tick to the next, as far as a look at a hundred of them tells."""
        if self.every_s is not None:
            return self.every_s
        seen = list(islice(self.after(_SOME_DAY), _LOOKED_AT))
        return min(((later - tick).total_seconds() for tick, later in pairwise(seen)), default=math.inf)

    def fires_at(self, tick: datetime.datetime) -> datetime.datetime:
        """When a tick is carried out."""
        if not self.jitter_s:
            return tick
        digest = hashlib.sha256(f"{self.name} {tick.isoformat()}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        return tick + datetime.timedelta(seconds=self.jitter_s * share)


def _cron_ticks(cron: str, timezone: str, moment: datetime.datetime) -> Iterator[datetime.datetime]:
    from cronsim import CronSim

    for tick in CronSim(cron, moment.astimezone(ZoneInfo(timezone))):
        yield tick.astimezone(UTC)


def cron_fault(text: str) -> str | None:
    """What is wrong with a cron line, or None."""
    from cronsim import CronSim, CronSimError

    if len(text.split()) != CRON_FIELDS:
        return "expected five fields, minute hour day month weekday, such as 0 6 * * MON-FRI"
    try:
        CronSim(text, _SOME_DAY)
    except CronSimError as error:
        return f"{str(error).lower()}; expected five fields such as 0 6 * * MON-FRI"
    return None


def timezone_fault(text: str) -> str | None:
    """What is wrong with the name of a time zone, or None."""
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # among them: no such file, and a name that leads out of the folder
        return "expected the name of a time zone, such as Europe/Berlin or UTC"
    return None
