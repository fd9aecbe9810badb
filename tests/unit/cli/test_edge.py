"""Errors at the edge: what is said, and the exit status."""

import json

import pytest

from interlock.cli import edge
from interlock.model import (
    Conflict,
    DeniedError,
    Exhausted,
    InterlockError,
    NotFound,
    PortInUse,
    ServerUnavailable,
    ToolRefused,
    UnknownAgent,
    UserError,
    catalog,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UserError("x"), 2),
        (UnknownAgent("x"), 2),
        (NotFound("x"), 1),
        (Conflict("x"), 1),
        (DeniedError("x"), 3),
        (ToolRefused("x"), 3),
        (Exhausted("x"), 5),
        (ServerUnavailable("x"), 5),
        (PortInUse("x"), 5),
    ],
)
def test_exit_statuses(error: InterlockError, status: int) -> None:
    assert edge.exit_status(error) == status


@pytest.mark.parametrize("kind", catalog().values(), ids=lambda kind: kind.code)
def test_every_error_says_what_happened_and_what_to_do(
    kind: type[InterlockError], capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge.report(kind("it broke"), as_json=False) in range(1, 6)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: it broke\nhint: {kind.hint}\ncode: {kind.code} (docs/errors.md#{kind.code})\n"


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    edge.report(NotFound("no such task", hint="interlock tasks list"), as_json=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err) == {
        "v": 1,
        "error": {
            "code": "not_found",
            "message": "no such task",
            "hint": "interlock tasks list",
            "docs_url": "docs/errors.md#not_found",
            "retryable": False,
        },
    }


def test_a_message_of_several_lines_is_indented() -> None:
    assert edge.lines_of(UserError("a:1: x\na:2: y"))[:2] == ["error: a:1: x", "       a:2: y"]


def test_an_unforeseen_error_is_no_traceback_unless_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTERLOCK_DEBUG", raising=False)
    fault = ZeroDivisionError("division by zero")
    edge.report_unforeseen(ZeroDivisionError, fault, None)
    assert "Traceback" not in (said := capsys.readouterr().err)
    assert said.startswith("error: a fault of interlock itself: ZeroDivisionError: division by zero\nhint: ")
    monkeypatch.setenv("INTERLOCK_DEBUG", "1")
    edge.report_unforeseen(ZeroDivisionError, fault, None)
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().err
