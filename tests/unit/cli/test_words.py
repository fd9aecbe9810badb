"""Small pieces of text."""

import datetime

import pytest

from interlock.cli import words

NOW = datetime.datetime(2026, 12, 24, 18, 0, tzinfo=datetime.UTC)


def test_a_short_id_is_the_end_of_the_id() -> None:
    assert words.short("01a20f94-296e-7e8b-9903-1fe400161aec") == "00161aec"
    assert words.short(None) == "-"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_span_of_time(seconds: float, said: str) -> None:
    assert words.span(seconds) == said


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (5_600_000, "5.6 MB"), (7e9, "7.0 GB")]
)
def test_a_size(number: float, said: str) -> None:
    assert words.size(number) == said


def test_moments_are_shown_in_utc_with_their_zone() -> None:
    assert words.moment("2026-12-24T19:00:00.123+01:00") == "2026-12-24 18:00:00Z"
    assert words.time_of_day("2026-12-24T18:00:00.123+00:00") == "18:00:00Z"
    assert words.age("2026-12-24T17:58:00+00:00", NOW) == "2 min"
    assert words.moment(None) == words.time_of_day(None) == words.age(None, NOW) == "-"


def test_texts_of_others_can_not_steer_the_terminal() -> None:
    evil = "a\x1b[2Jb\x07c\u202egnp.exe\u200b\r"
    shown = words.clean(evil)
    assert shown.isprintable()
    assert "\\x1b" in shown
    assert "\\u202e" in shown
    assert words.clean("umlaut ä, line\nbreak") == "umlaut ä, line\nbreak"


def test_long_texts_say_that_they_are_cut() -> None:
    assert words.one_line("a\n b   c") == "a b c"
    assert words.one_line("x" * 20, 10) == "x" * 9 + "…"
    block = words.block("\n".join("abc"), 2, max_lines=2)
    assert block == ["  a", "  b", "  … 1 more line; --json shows all"]


def test_counting() -> None:
    assert [words.count(n, "task") for n in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]


def test_arguments_and_names_are_shown_exactly() -> None:
    assert words.compact({"a": "two  spaces\nand a line"}) == '{"a": "two  spaces\\nand a line"}'
    assert words.exact("two  spaces\n.md") == "two  spaces\\n.md"
    assert words.compact("x" * 50, 10) == '"' + "x" * 8 + "…"
