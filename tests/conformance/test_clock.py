"""What every clock promises, run against each of them."""

import datetime

import pytest

from interlock.config import Clock, ManualClock, SystemClock


@pytest.fixture(params=[SystemClock, ManualClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_it_tells_the_time_with_zone_utc(clock: Clock) -> None:
    assert clock.now().utcoffset() == datetime.timedelta(0)


def test_it_never_goes_back(clock: Clock) -> None:
    moments = [clock.now() for _ in range(100)]
    assert moments == sorted(moments)
