import time

import pytest

from interlock.resilience import Deadline, backoff_s


class Fixed:
    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


def test_the_delay_doubles_up_to_the_cap() -> None:
    assert [backoff_s(n, 1, 60, Fixed(0)) for n in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("n", [0, 3, 10_000, -1])
def test_jitter_adds_at_most_a_quarter(n: int) -> None:
    plain = backoff_s(n, 1, 60, Fixed(0))
    assert plain < backoff_s(n, 1, 60, Fixed(0.5)) < backoff_s(n, 1, 60, Fixed(0.999)) < plain * 1.25


def test_a_deadline_runs_out_and_stays_out() -> None:
    deadline = Deadline.after(0.02)
    assert 0 < deadline.remaining_s <= 0.02
    assert not deadline.passed
    time.sleep(0.03)
    assert deadline.remaining_s == 0
    assert deadline.passed
