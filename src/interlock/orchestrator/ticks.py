"""Which ticks of a schedule are carried out now, and which never will be. Pure."""

import datetime
from collections import deque
from dataclasses import dataclass

from interlock.config import Timing

MAX_CAUGHT_UP = 100
LOOK_BACK = datetime.timedelta(days=7)
SKIP, ONCE = "skip", "once"


@dataclass(frozen=True)
class Ticks:
    """What is due at one moment.

    Attributes:
        fire: to be carried out, in order.
        missed: how many others were due, as far back as was looked.
        seen_at: all ticks up to here are in one of the two.
    """

    fire: tuple[datetime.datetime, ...]
    missed: int
    seen_at: datetime.datetime


def due_ticks(
    timing: Timing, seen_at: datetime.datetime, now: datetime.datetime, *, misfire: str, grace_s: float
) -> Ticks:
    """Decide about all ticks after `seen_at` that fire up to `now`.

    One that fires more than `grace_s` before `now` was missed. `misfire` says what becomes of those: `skip` all, make
    up for all of them with the last one (`once`; none if another one is on time), or `catch_up` with each, the last
    hundred at most. It is looked a week back, no further.
    """
    found: deque[datetime.datetime] = deque(maxlen=MAX_CAUGHT_UP)
    count = 0
    jitter, grace = (datetime.timedelta(seconds=amount_s) for amount_s in (timing.jitter_s, grace_s))
    for tick in timing.after(max(seen_at, now - LOOK_BACK)):
        if tick > now or (tick + jitter > now and timing.fires_at(tick) > now):
            break
        found.append(tick)
        count += 1
    on_time = tuple(tick for tick in found if timing.fires_at(tick) + grace >= now)
    if misfire == SKIP or (misfire == ONCE and on_time):
        fire = on_time
    elif misfire == ONCE:
        fire = tuple(found)[-1:]
    else:
        fire = tuple(found)
    return Ticks(fire, count - len(fire), found[-1] if found else seen_at)
