"""One run of one agent: assemble, think, act, save, until it is done or must wait."""

from interlock.agent.loop import (
    Bounds,
    Circling,
    Doubtful,
    Ending,
    Finished,
    Save,
    TurnsUsedUp,
    Waiting,
    run,
)
from interlock.agent.loops import Patience

__all__ = [
    "Bounds",
    "Circling",
    "Doubtful",
    "Ending",
    "Finished",
    "Patience",
    "Save",
    "TurnsUsedUp",
    "Waiting",
    "run",
]
