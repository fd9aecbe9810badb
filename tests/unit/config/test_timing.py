"""When schedules are due: time zones, clocks that are changed, steps, jitter."""

import datetime
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.timing import Timing, cron_fault, timezone_fault

UTC = datetime.UTC
BERLIN = "Europe/Berlin"


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def ticks(timing: Timing, first: str, last: str) -> list[datetime.datetime]:
    end = at(last)
    return list(takewhile(lambda tick: tick <= end, timing.after(at(first))))


def local(timing: Timing, first: str, last: str) -> list[str]:
    return [f"{tick.astimezone(ZoneInfo(timing.timezone)):%m-%d %H:%M}" for tick in ticks(timing, first, last)]


def test_ticks_are_in_utc_and_after_the_moment() -> None:
    timing = Timing("a", "30 6 * * MON-FRI", None, BERLIN)
    found = list(islice(timing.after(at("2026-06-05T04:30:00+00:00")), 2))
    assert found == [at("2026-06-08T04:30:00+00:00"), at("2026-06-09T04:30:00+00:00")]
    assert all(tick.tzinfo is UTC for tick in found)


def test_an_hour_that_is_left_out_is_made_up_for_right_after_it() -> None:
    timing = Timing("a", "30 2 * * *", None, BERLIN)
    assert local(timing, "2026-03-27T12:00:00+00:00", "2026-03-30T12:00:00+00:00") == [
        "03-28 02:30",
        "03-29 03:00",
        "03-30 02:30",
    ]


def test_an_hour_that_comes_twice_has_a_fixed_time_once_and_every_quarter_of_it_twice() -> None:
    fixed = Timing("a", "30 2 * * *", None, BERLIN)
    assert local(fixed, "2026-10-24T12:00:00+00:00", "2026-10-26T12:00:00+00:00") == ["10-25 02:30", "10-26 02:30"]
    quarters = Timing("a", "*/15 * * * *", None, BERLIN)
    found = ticks(quarters, "2026-10-24T23:59:00+00:00", "2026-10-25T02:00:00+00:00")
    assert len(found) == 9  # from 02:00 in summer to 03:00 in winter: two hours
    assert len(set(found)) == 9


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"])
def test_a_year_has_each_day_once(zone: str) -> None:
    timing = Timing("a", "30 2 * * *", None, zone)
    found = ticks(timing, "2026-01-01T12:00:00+00:00", "2027-01-01T12:00:00+00:00")
    days = [tick.astimezone(ZoneInfo(zone)).date() for tick in found]
    assert len(days) == len(set(days)) == 365
    assert found == sorted(found)


def test_steps_are_the_same_for_all_who_look() -> None:
    timing = Timing("a", None, 900.0)
    first = list(islice(timing.after(at("2026-01-01T00:07:00+00:00")), 3))
    assert [f"{tick:%H:%M}" for tick in first] == ["00:15", "00:30", "00:45"]
    assert next(timing.after(first[0])) == first[1]
    assert next(timing.after(first[0] - datetime.timedelta(microseconds=1))) == first[0]


@given(st.floats(1.6e9, 2.2e9), st.integers(1, 10_000_000))
def test_a_step_follows_the_other(stamp_s: float, step_s: int) -> None:
    moment = datetime.datetime.fromtimestamp(stamp_s, UTC)
    one, two = islice(Timing("a", None, float(step_s)).after(moment), 2)
    assert moment < one <= moment + datetime.timedelta(seconds=step_s)
    assert two - one == datetime.timedelta(seconds=step_s)


def test_jitter_is_the_same_for_all_who_look_and_differs_by_name_and_tick() -> None:
    one, other = (Timing(name, "0 * * * *", None, jitter_s=600.0) for name in ("one", "other"))
    hours = list(islice(one.after(at("2026-01-01T00:00:00+00:00")), 50))
    delays = [(one.fires_at(tick) - tick).total_seconds() for tick in hours]
    assert delays == [(one.fires_at(tick) - tick).total_seconds() for tick in hours]
    assert all(0 <= delay < 600 for delay in delays)
    assert len(set(delays)) == 50
    assert delays != [(other.fires_at(tick) - tick).total_seconds() for tick in hours]
    assert Timing("a", "0 * * * *", None).fires_at(hours[0]) == hours[0]


def test_the_shortest_gap() -> None:
    assert Timing("a", "*/5 * * * *", None).least_gap_s == 300
    assert Timing("a", "0,10 * * * *", None).least_gap_s == 600
    assert Timing("a", None, 7.0).least_gap_s == 7


def test_what_is_no_cron_line_or_time_zone() -> None:
    assert cron_fault("0 6 * * MON-FRI") is None
    for wrong in ("", "* * * *", "0 0 6 * * *", "61 * * * *", "@daily", "0 6 * * XXX"):
        assert "expected five fields" in (cron_fault(wrong) or "")
    assert timezone_fault(BERLIN) is None
    for wrong in ("Berlin", "", "../../etc/passwd", "Europe/Nowhere", "/etc/localtime"):
        assert "expected the name of a time zone" in (timezone_fault(wrong) or "")
