"""Which buckets a call takes from, and what the model reads when one is empty."""

import pytest

from interlock.config import AgentConfig, LimitsConfig, Rate, parse_rate
from interlock.guardrails import Subject
from interlock.guardrails.rates import buckets_of, sentence
from interlock.model import Lease, RateLimited, RequestTurn, Task, TaskKind, TaskLimits, TaskState, ToolRef
from interlock.store import Bucket, Shortage

from .test_policy import NOW

REF = ToolRef("mail", "send")


def subject(kind: TaskKind = TaskKind.AGENT, agent_rate: str | None = None) -> Subject:
    task = Task(
        "t", "tidy", kind, TaskState.RUNNING, "x", 5, 1, 0, 1, 0, 0.0, False, TaskLimits(), "sha", "ann", NOW, NOW
    )
    agent = AgentConfig(limits=LimitsConfig(agent_rate=agent_rate, calls_per_minute=30))
    return Subject(Lease("t", 1, 0, 1, "w"), task, agent, RequestTurn("x"))


def test_the_tools_the_agents_and_the_tasks() -> None:
    assert buckets_of(subject(), REF, None) == ()
    found = buckets_of(subject(agent_rate="600/h burst 50"), REF, "60/m burst 10", task=True)
    assert found == (
        Bucket("tool:mail.send", Rate(60.0, 60.0, 10.0)),
        Bucket("agent:tidy", Rate(600.0, 3600.0, 50.0)),
        Bucket("task:t", Rate(30.0, 60.0, 30.0)),
    )


def test_going_back_is_never_stopped() -> None:
    assert buckets_of(subject(TaskKind.UNDO, "1/d"), REF, "1/d", task=True) == ()


@pytest.mark.parametrize(
    ("key", "rate", "wait_s", "text"),
    [
        (
            "tool:mail.send",
            "60/m burst 10",
            0.3,
            "mail.send may be called 60 times a minute, 10 at once by all agents together; try again in 1 s",
        ),
        (
            "agent:tidy",
            "1/h",
            1800.2,
            "the agent 'tidy' may make calls 1 time an hour in all its tasks together; try again in 1801 s",
        ),
        ("task:t", "30/m", 2.0, "the task may make calls 30 times a minute; try again in 2 s"),
    ],
)
def test_the_sentence(key: str, rate: str, wait_s: float, text: str) -> None:
    assert sentence(Shortage(Bucket(key, parse_rate(rate)), wait_s)) == text


def test_the_error_says_when() -> None:
    error = RateLimited("x", retry_after_s=12.5)
    assert (error.retry_after_s, error.retryable) == (12.5, True)
