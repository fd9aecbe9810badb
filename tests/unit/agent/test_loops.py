"""Runs that go round in circles, and runs that only look like it."""

from hypothesis import given
from hypothesis import strategies as st

from interlock.agent.loops import Patience, loop_in
from interlock.model import CallRequest, ModelTurn, NoteTurn, Observation, RequestTurn, Turn

PATIENCE = Patience(same_call=3, stuck_turns=4)


def story(*answers: tuple[str, str]) -> tuple[Turn, ...]:
    """A run of one call per model answer: what it was called with, and what came back."""
    turns: list[Turn] = [RequestTurn("go")]
    for number, (asked, text) in enumerate(answers, start=1):
        turns.append(ModelTurn("", (CallRequest(number, "files.read", {"path": asked}),), "m"))
        turns.append(Observation(number, "files.read", True, text))
    return tuple(turns)


def test_the_same_call_with_the_same_answer_is_a_circle() -> None:
    assert loop_in(story(("a", "x"), ("a", "x")), PATIENCE) is None
    found = loop_in(story(("a", "x"), ("a", "x"), ("a", "x")), PATIENCE)
    assert found == "files.read was called 3 times with the same arguments and gave the same answer"


def test_polling_that_sees_something_new_is_none() -> None:
    assert loop_in(story(*[("status", f"{n} %") for n in range(50)]), PATIENCE) is None


def test_news_in_between_makes_repeating_harmless() -> None:
    answers = [pair for n in range(20) for pair in (("a", "x"), (f"b{n}", "y"))]
    assert loop_in(story(*answers), PATIENCE) is None


def test_going_back_and_forth_is_a_circle() -> None:
    found = loop_in(story(*[("a", "x"), ("b", "y")] * 3), Patience(same_call=100, stuck_turns=3))
    assert found == "the last 3 answers of the model brought nothing new"


def test_a_note_begins_anew() -> None:
    turns = story(("a", "x"), ("a", "x"), ("a", "x"))
    assert loop_in((*turns, NoteTurn("A person answers: look at b")), PATIENCE) is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), min_size=40, max_size=60))
def test_nobody_goes_on_for_ever_in_a_small_world(answers: list[tuple[str, str]]) -> None:
    assert loop_in(story(*answers), PATIENCE) is not None


@given(st.integers(0, 60))
def test_what_is_always_new_never_is_a_circle(length: int) -> None:
    assert loop_in(story(*[(str(n), str(n)) for n in range(length)]), PATIENCE) is None
