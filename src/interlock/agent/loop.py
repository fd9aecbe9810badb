"""One run of one agent: answer the open calls through `act`, ask for the next turn through `think`, until done.

All of it is resumable: whatever happens, the history says what is still to be answered.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from interlock.agent.loops import Patience, loop_in, since_note
from interlock.model import (
    ActOutcome,
    CallRequest,
    Denied,
    Done,
    Handed,
    Held,
    InDoubt,
    ModelAnswer,
    ModelTurn,
    Observation,
    Turn,
    unanswered,
)

Think: TypeAlias = Callable[[tuple[Turn, ...]], Awaitable[ModelAnswer]]
Act: TypeAlias = Callable[[CallRequest], Awaitable[ActOutcome]]


@dataclass(frozen=True)
class Save:
    """How the loop keeps what happened: `answer` numbers the calls and returns the turn that was stored."""

    answer: Callable[[ModelAnswer], Awaitable[ModelTurn]]
    observation: Callable[[Observation], Awaitable[None]]


@dataclass(frozen=True)
class Finished:
    """The agent gave its result."""

    text: str


@dataclass(frozen=True)
class Waiting:
    """At least one call waits for a person, or for another task; the segment is over."""

    held: tuple[Held | Handed, ...]


@dataclass(frozen=True)
class Doubtful:
    """A call is in doubt; a person must look."""

    call: InDoubt


@dataclass(frozen=True)
class TurnsUsedUp:
    """The run has had as many turns as it may."""

    max_turns: int


@dataclass(frozen=True)
class Circling:
    """The run does the same again and again."""

    how: str


@dataclass(frozen=True)
class Bounds:
    """Where a run is stopped.

    Attributes:
        max_turns: model answers, counted from the last note on.
        patience: when it counts as a loop; None where repeating is no mistake, as in a playbook.
    """

    max_turns: int
    patience: Patience | None = None


Ending: TypeAlias = Finished | Waiting | Doubtful | TurnsUsedUp | Circling


async def run(turns: tuple[Turn, ...], think: Think, act: Act, save: Save, bounds: Bounds) -> Ending:
    """Go on with a run from its history until it ends or must wait."""
    while True:
        held: list[Held | Handed] = []
        for call in unanswered(turns):
            outcome = await act(call)
            match outcome:
                case Done(observation) | Denied(observation):
                    await save.observation(observation)
                    turns = (*turns, observation)
                case Held() | Handed():
                    held.append(outcome)
                case InDoubt():
                    return Doubtful(outcome)
        if held:
            return Waiting(tuple(held))
        last = _last_model_turn(turns)
        if last is not None and not last.calls and turns[-1] is last:
            return Finished(last.text)
        if sum(isinstance(turn, ModelTurn) for turn in since_note(turns)) >= bounds.max_turns:
            return TurnsUsedUp(bounds.max_turns)
        circle = loop_in(turns, bounds.patience) if bounds.patience is not None else None
        if circle is not None:
            return Circling(circle)
        turns = (*turns, await save.answer(await think(turns)))


def _last_model_turn(turns: tuple[Turn, ...]) -> ModelTurn | None:
    return next((turn for turn in reversed(turns) if isinstance(turn, ModelTurn)), None)
