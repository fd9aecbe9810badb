"""Durations as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config import parse_duration_s

UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90", 90),
        ("10s", 10),
        (" 5m ", 300),
        ("2h", 7200),
        ("1d", 86_400),
        ("250ms", 0.25),
        (1.5, 1.5),
        (0, 0),
        ("1.5 h", 5400),
    ],
)
def test_reads(value: object, seconds: float) -> None:
    assert parse_duration_s(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "5 minutes",
        "-1s",
        -1,
        True,
        None,
        [],
        {},
        "1e3",
        "inf",
        math.inf,
        math.nan,
        "1m30s",
        "٣s",
        "9" * 400,
        10**400,
        "11000d",
    ],
)
def test_refuses(value: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_duration_s(value)


@given(st.integers(0, 3660), st.sampled_from(sorted(UNITS)))
def test_every_whole_number_with_every_unit(number: int, unit: str) -> None:
    assert parse_duration_s(f"{number}{unit}") == pytest.approx(number * UNITS[unit])


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none()))
def test_anything_is_a_sane_number_or_a_value_error(value: object) -> None:
    try:
        seconds = parse_duration_s(value)
    except ValueError:
        return
    assert 0 <= seconds < 4e8
