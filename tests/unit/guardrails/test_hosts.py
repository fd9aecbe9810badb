"""A tool whose files are on another machine is refused, whoever asks for it."""

import datetime

import pytest

from interlock.config import AgentConfig
from interlock.guardrails import Subject
from interlock.guardrails.validate import check_host
from interlock.model import Lease, RequestTurn, Task, TaskKind, TaskLimits, TaskState, ToolRef, ToolRefused

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
TOOL = ToolRef("files", "write")


def subject_on(host: str | None) -> Subject:
    task = Task(
        "t", "a", TaskKind.AGENT, TaskState.RUNNING, "x", 5, 1, 0, 1, 0, 0.0, False, TaskLimits(), "sha", "person:ann",
        NOW, NOW, host=host,
    )  # fmt: skip
    return Subject(Lease("t", 1, 0, 1, "w"), task, AgentConfig(), RequestTurn("go", {}))


@pytest.mark.parametrize(
    ("host", "bound", "machine"),
    [(None, None, "alpha"), (None, "alpha", "alpha"), ("alpha", "first", "alpha"), ("beta", "alpha", "")],
)
def test_here_is_right(host: str | None, bound: str | None, machine: str) -> None:
    check_host(subject_on(host), TOOL, bound, machine)


@pytest.mark.parametrize(
    ("host", "bound", "said"),
    [
        (None, "beta", "the files of files.write are on the machine 'beta', and this is 'alpha'"),
        ("beta", "first", "the files of files.write are on the machine 'beta', and this is 'alpha'"),
        (None, "first", "this task is not bound to any"),
        ("first", "first", "this task is not bound to any"),
    ],
)
def test_elsewhere_is_refused(host: str | None, bound: str, said: str) -> None:
    with pytest.raises(ToolRefused, match=said):
        check_host(subject_on(host), TOOL, bound, "alpha")
