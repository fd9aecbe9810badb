"""One run of one agent: assemble, think, act, save, until it is done or must wait."""

from interlock.agent.loop import Doubtful, Ending, Finished, Save, TurnsUsedUp, Waiting, run

__all__ = ["Doubtful", "Ending", "Finished", "Save", "TurnsUsedUp", "Waiting", "run"]
