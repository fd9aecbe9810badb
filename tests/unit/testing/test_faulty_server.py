import json
from pathlib import Path

import pytest

from interlock.config import ManualClock
from interlock.testing.faulty_server import EffectLog, Options, describe, parse


def test_each_effect_is_a_line_of_its_own(tmp_path: Path) -> None:
    log = EffectLog(tmp_path / "log", ManualClock())
    log.append("k", "one", "id-1", once=False)
    log.append("k", "one", "id-1", once=False)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["key"] for line in lines] == ["k", "k"]
    assert set(lines[0]) == {"at", "key", "text", "idempotency_key", "pid"}
    assert log.count("k") == 2
    assert log.count("other") == 0


def test_a_repeated_key_has_no_second_effect_and_the_first_answer(tmp_path: Path) -> None:
    first = EffectLog(tmp_path / "log", ManualClock()).append("k", "one", "id-1", once=True)
    other = EffectLog(tmp_path / "log", ManualClock())
    assert other.append("k", "two", "id-1", once=True) == first
    assert other.append("k", "two", "id-2", once=True)["text"] == "two"
    assert other.count("k") == 2


def test_tries_are_counted_across_processes(tmp_path: Path) -> None:
    assert [EffectLog(tmp_path / "log", ManualClock()).next_try() for _ in range(3)] == [1, 2, 3]


def test_the_changed_mode_changes_one_tool_and_adds_one() -> None:
    before = {tool["name"]: tool for tool in describe(changed=False)}
    after = {tool["name"]: tool for tool in describe(changed=True)}
    assert {name for name in before if before[name] != after[name]} == {"echo"}
    assert after.keys() - before.keys() == {"extra"}


def test_the_command_line(tmp_path: Path) -> None:
    options = parse(["--mode", "flaky:2", "--log", str(tmp_path / "log"), "--moment", "before"])
    assert options == Options("flaky", tmp_path / "log", flaky_times=2, moment="before")
    with pytest.raises(SystemExit):
        parse(["--mode", "nope", "--log", "x"])
