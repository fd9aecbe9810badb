"""Tables, colours and JSON."""

import io
import json

import pytest

from interlock.cli import output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_colour_in_a_pipe_or_when_nobody_wants_any() -> None:
    assert output.paint_for(Terminal(), {}).on
    assert not output.paint_for(Terminal(), {"NO_COLOR": "1"}).on
    assert not output.paint_for(Terminal(), {"TERM": "dumb"}).on
    assert not output.paint_for(io.StringIO(), {}).on


def test_columns_are_aligned_and_the_last_one_is_cut_to_the_width() -> None:
    lines = output.table(["id", "why"], [["a", "short"], ["abcdef", "x" * 40]], output.Paint(), width=20)
    assert lines[0] == "ID      WHY"
    assert lines[1] == "a       short"
    assert lines[2] == "abcdef  " + "x" * 11 + "…"
    assert all(len(line) <= 20 for line in lines)


def test_colours_do_not_shift_the_columns() -> None:
    rows = [["failed", "x"], ["completed", "y"]]
    plain = output.table(["state", "why"], rows, output.Paint(False))
    painted = output.table(["state", "why"], rows, output.Paint(True))
    assert any("\x1b[31m" in line for line in painted)
    for code in ("31", "32", "2", "0"):
        painted = [line.replace(f"\x1b[{code}m", "") for line in painted]
    assert [line.rstrip() for line in painted] == plain


def test_fields_are_aligned_and_empty_ones_left_out() -> None:
    assert output.fields([("a", "1"), ("long", "2\n3"), ("none", None), ("empty", "")], output.Paint()) == [
        "  a     1",
        "  long  2",
        "        3",
    ]


def test_json_has_a_version_and_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit({"a": "ä"}, ["for people"], as_json=True)
    output.emit([1, 2], [], as_json=True)
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first) == {"v": 1, "a": "ä"}
    assert json.loads(second) == {"v": 1, "items": [1, 2]}


def test_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit({"a": 1}, ["one", "two"], as_json=False)
    assert capsys.readouterr().out == "one\ntwo\n"
