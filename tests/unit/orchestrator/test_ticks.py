"""Each tick is carried out once or counted as missed, whenever somebody looks."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config import Timing
from interlock.orchestrator.ticks import LOOK_BACK, MAX_CAUGHT_UP, due_ticks

UTC = datetime.UTC
NOON = datetime.datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
HOURLY = Timing("hourly", "0 * * * *", None)
MINUTES = Timing("minutes", "* * * * *", None)


def seconds(amount: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=amount)


@pytest.mark.parametrize(
    ("misfire", "fired", "missed"),
    [("skip", [], 3), ("once", [15], 2), ("catch_up", [13, 14, 15], 0)],
)
def test_what_nobody_was_there_for(misfire: str, fired: list[int], missed: int) -> None:
    now = NOON + seconds(3 * 3600 + 1800)
    found = due_ticks(HOURLY, NOON, now, misfire=misfire, grace_s=60)
    assert [tick.hour for tick in found.fire] == fired
    assert (found.missed, found.seen_at.hour) == (missed, 15)


def test_one_on_time_makes_up_for_the_missed_ones() -> None:
    now = NOON + seconds(3 * 3600 + 30)
    for misfire, fired in (("skip", [15]), ("once", [15]), ("catch_up", [13, 14, 15])):
        assert [tick.hour for tick in due_ticks(HOURLY, NOON, now, misfire=misfire, grace_s=60).fire] == fired


def test_nothing_is_due() -> None:
    found = due_ticks(HOURLY, NOON, NOON + seconds(3599), misfire="once", grace_s=60)
    assert (found.fire, found.missed, found.seen_at) == ((), 0, NOON)


def test_a_long_absence_has_a_bound() -> None:
    now = NOON + datetime.timedelta(days=400)
    found = due_ticks(MINUTES, NOON, now, misfire="catch_up", grace_s=60)
    assert len(found.fire) == MAX_CAUGHT_UP
    assert found.fire[-1] == found.seen_at == now
    assert len(found.fire) + found.missed == LOOK_BACK / seconds(60)


def test_jitter_delays_and_keeps_the_order() -> None:
    timing = Timing("late", "0 * * * *", None, jitter_s=1800)
    tick = NOON + seconds(3600)
    fires = timing.fires_at(tick)
    assert due_ticks(timing, NOON, fires - seconds(1), misfire="once", grace_s=60).fire == ()
    assert due_ticks(timing, NOON, fires, misfire="once", grace_s=60).fire == (tick,)


@given(st.lists(st.floats(0.2, 20_000), min_size=1, max_size=40), st.sampled_from(["skip", "once", "catch_up"]))
def test_however_one_looks_no_tick_is_there_twice_and_none_is_forgotten(gaps_s: list[float], misfire: str) -> None:
    timing = Timing("any", "*/10 * * * *", None, jitter_s=120)
    seen_at = now = NOON
    fired: list[datetime.datetime] = []
    missed = 0
    for gap_s in gaps_s:
        now += seconds(gap_s)
        found = due_ticks(timing, seen_at, now, misfire=misfire, grace_s=60)
        fired += found.fire
        missed += found.missed
        seen_at = found.seen_at
    due = 0
    for tick in timing.after(NOON):
        if timing.fires_at(tick) > now:
            break
        due += 1
    assert fired == sorted(set(fired))
    assert len(fired) + missed == due
    if misfire == "catch_up":
        assert missed == max(0, due - len(fired))
