"""What was declined before in a run, as an answer to the next call."""

import datetime

import pytest

from interlock.guardrails.declined import remembered
from interlock.model import Call, CallState
from interlock.store import DeclinedCall

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def call(sha: str = "same", call_no: int = 9) -> Call:
    return Call("c", "t", 1, call_no, "mail.send", {}, sha, "", CallState.PROPOSED, 1, NOW)


def test_nothing_was_declined() -> None:
    assert remembered([], call()) is None


@pytest.mark.parametrize(
    ("declined", "answer"),
    [
        (DeclinedCall(4, "same", "person", "not to them"), "a person refused call 4, exactly the same: not to them"),
        (DeclinedCall(4, "same", "policy", "no mail"), "call 4, exactly the same, was denied: no mail"),
        (
            DeclinedCall(4, "same", "nobody", ""),
            "call 4, exactly the same, needed a person's agreement, and nobody answered in time",
        ),
    ],
)
def test_exactly_the_same_call(declined: DeclinedCall, answer: str) -> None:
    assert remembered([declined], call()) == answer
    assert remembered([declined], call("other")) is None


def test_after_three_no_further_call_of_the_tool_is_asked_about() -> None:
    three = [DeclinedCall(number, f"sha{number}", "person", "no") for number in (5, 4, 3)]
    assert remembered(three[:2], call()) is None
    assert remembered(three, call()) == (
        "people have refused 3 calls of this tool in this run; it is not asked about again"
    )
    late = [*three[:2], DeclinedCall(2, "x", "nobody", "")]
    assert remembered(late, call()) == (
        "3 questions about this tool were refused or not answered in this run; it is not asked about again"
    )


def test_what_rules_denied_does_not_count_and_later_calls_do_not_speak_of_earlier_ones() -> None:
    by_rule = [DeclinedCall(number, f"sha{number}", "policy", "no") for number in range(5)]
    assert remembered(by_rule, call()) is None
    later = [DeclinedCall(number, "same", "person", "no") for number in (12, 11, 10)]
    assert remembered(later, call()) is None
