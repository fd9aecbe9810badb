"""Logging: lines for people and for programs, without tracebacks."""

import json
import logging
import sys

import pytest

from interlock.cli.logs import JsonFormat, PlainFormat


def a_record(level: int = logging.INFO, error: bool = False, **extra: object) -> logging.LogRecord:
    logger = logging.getLogger("interlock.test")
    info = None
    if error:
        try:
            raise ValueError("odd\nvery odd")
        except ValueError:
            info = sys.exc_info()
    return logger.makeRecord(logger.name, level, "f", 1, "worker.ready n=%d", (3,), info, extra=extra)


def test_a_line_for_people() -> None:
    line = PlainFormat().format(a_record(task="1"))
    assert line[8:] == "Z worker.ready n=3 task=1"
    assert "warning worker.ready" in PlainFormat().format(a_record(logging.WARNING))


def test_a_line_for_programs() -> None:
    found = json.loads(JsonFormat().format(a_record(task="1")))
    assert found["v"] == 1
    assert (found["level"], found["logger"]) == ("info", "interlock.test")
    assert (found["event"], found["task"]) == ("worker.ready n=3", "1")
    assert found["at"].endswith("Z")


@pytest.mark.parametrize("form", [PlainFormat(), JsonFormat()])
def test_an_error_is_one_line(form: logging.Formatter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERLOCK_DEBUG", raising=False)
    line = form.format(a_record(logging.ERROR, error=True))
    assert "\n" not in line
    assert "Traceback" not in line
    assert "ValueError: odd" in line


def test_a_traceback_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_DEBUG", "1")
    assert "Traceback" in PlainFormat().format(a_record(logging.ERROR, error=True))
