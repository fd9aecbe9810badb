"""A run that goes round in circles: the same calls with the same answers, and nothing new.

News is an answer that the run has not had yet to a call that is exactly the same. Only what came after the last note is
looked at: a person's answer, or the start of another run, begins anew.
"""

import hashlib
import json
from dataclasses import dataclass

from interlock.model import ModelTurn, NoteTurn, Observation, Turn


@dataclass(frozen=True)
class Patience:
    """How long a run may bring nothing new.

    Attributes:
        same_call: how often the same call may give the same answer, with nothing new in between.
        stuck_turns: model answers in a row that bring nothing new.
    """

    same_call: int
    stuck_turns: int


def since_note(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """What came after the last note."""
    start = max((index + 1 for index, turn in enumerate(turns) if isinstance(turn, NoteTurn)), default=0)
    return turns[start:]


def loop_in(turns: tuple[Turn, ...], patience: Patience) -> str | None:
    """A sentence about the circle that a run goes in, or None."""
    asked: dict[int, str] = {}
    known: set[str] = set()
    repeated: dict[str, int] = {}
    fruitless = 0
    for turn in since_note(turns):
        if isinstance(turn, ModelTurn):
            fruitless += 1
            asked |= {call.call_no: f"{call.tool} {json.dumps(call.args, sort_keys=True)}" for call in turn.calls}
        elif isinstance(turn, Observation):
            key = _key(asked.get(turn.call_no, turn.tool), turn)
            if key not in known:
                known.add(key)
                repeated, fruitless = {}, 0
            repeated[key] = repeated.get(key, 0) + 1
            if repeated[key] >= patience.same_call:
                return f"{turn.tool} was called {repeated[key]} times with the same arguments and gave the same answer"
    if fruitless > patience.stuck_turns:
        return f"the last {patience.stuck_turns} answers of the model brought nothing new"
    return None


def _key(asked: str, answer: Observation) -> str:
    return hashlib.sha256(f"{asked}\0{answer.ok}\0{answer.text}".encode(errors="replace")).hexdigest()
