"""`interlock bench`: what it says, and its exit status; what the benchmarks themselves do is tested with them."""

import json
from typing import Any

import pytest

from interlock.app.benchmarks.report import Bar, Order, Report
from interlock.app.benchmarks.running import BENCHMARKS
from interlock.cli import main
from interlock.cli.bench import bench_lines
from interlock.cli.output import Paint

MACHINE = {"cpu": "a cpu", "cpus": 2, "load_1m": 0.5}
ROWS: list[dict[str, Any]] = [
    {"part": "front", "name": "direct", "c1_p50_ms": 1.5, "note": ""},
    {"name": "kills", "note": "no such thing"},
]


def _bench(*bars: Bar, seen: list[Order] | None = None):
    async def bench(order: Order) -> Report:
        if seen is not None:
            seen.append(order)
        order.tell("at work")
        return Report("quick", MACHINE, ROWS, list(bars))

    return bench


def test_an_unknown_name_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "speed"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "error: there is no benchmark 'speed'; there are: dispatch, tools"


@pytest.mark.parametrize("words", [["--seconds", "0"], ["--kills", "0"], ["--seconds", "1.5"], ["--kills", "1000000"]])
def test_an_amount_out_of_bounds_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "tools", *words]) == 2
    assert words[0] in capsys.readouterr().err.splitlines()[0]


def test_the_json_has_what_checks_rely_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Order] = []
    monkeypatch.setitem(BENCHMARKS, "quick", _bench(Bar("ratio", 1.23456, "<=", 2), seen=seen))
    assert main(["bench", "quick", "--seconds", "3", "--kills", "7", "--peers", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert {key: document[key] for key in ("bench", "machine", "rows")} == {
        "bench": "quick",
        "machine": MACHINE,
        "rows": ROWS,
    }
    assert document["bars"] == [{"name": "ratio", "value": 1.235, "target": 2, "op": "<=", "holds": True}]
    assert "at work" in err
    assert (seen[0].effort.seconds, seen[0].effort.kills, seen[0].effort.peers) == (3, 7, True)


@pytest.mark.parametrize("bar", [Bar("ratio", 2.5, "<=", 2), Bar("peer", None, ">=", 10)])
def test_a_bar_that_does_not_hold_fails(
    bar: Bar, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(BENCHMARKS, "quick", _bench(Bar("leaks", 0, "==", 0), bar))
    assert main(["bench", "quick", "--json"]) == 1
    leaks, other = json.loads(capsys.readouterr().out)["bars"]
    assert leaks["holds"]
    assert (other["value"], other["holds"]) == (bar.value, False)


def test_people_see_rows_notes_and_bars() -> None:
    report = Report("quick", MACHINE, ROWS, [Bar("leaks", 0, "==", 0), Bar("peer", None, ">=", 10)])
    lines = bench_lines(report.to_json(), Paint())
    text = "\n".join(lines)
    assert lines[0] == "bench quick  2 x a cpu, load 0.5"
    assert "front / direct\n  c1_p50_ms 1.5" in text
    assert "kills\n  no such thing" in text
    assert [line.split() for line in lines[-2:]] == [
        ["leaks", "0", "==", "0", "yes"],
        ["peer", "not", "measured", ">=", "10", "no"],
    ]
