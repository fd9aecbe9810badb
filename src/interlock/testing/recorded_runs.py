"""Recorded runs in tests: read what `interlock tasks export` wrote, and play its answers back to an agent under test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.model import RecordedCall, Recording, UserError, canonical_json

_SHOWN_CHARS = 120
_MAX_NAMED = 5


class ReplayMismatch(AssertionError):
    """What was called is not what was recorded; the message says what differs."""


class RecordedRun(Recording):
    """One recorded run: `request`, `tools` by name, `plan`, `calls`, `approvals`, `models`, `result`."""

    def replay_tools(self, *, in_order: bool = True) -> "RecordedTools":
        """Tools that answer as they did in this run; see `RecordedTools`."""
        return RecordedTools(self, in_order=in_order)


def load_recorded_runs(path: Path | str) -> list[RecordedRun]:
    """All runs of a file, in the order of their first lines. Fields that are not known are passed over.

    Raises:
        UserError: the file can't be read, or a line is none of version 1; the message names file, line and field.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            return RecordedRun.read(file, str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: it is no UTF-8 text, so no recorded run", hint="interlock tasks export ID") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", hint="interlock tasks export ID --out FILE") from error


@dataclass
class RecordedTools:
    """Answers calls as they were answered in a recorded run, each once; whatever differs is a `ReplayMismatch`.

    Attributes:
        run: what was recorded.
        in_order: calls must come in the recorded order; else any that is left may come next.
        left: the recorded calls that were not played back yet.
    """

    run: Recording
    in_order: bool = True
    left: list[RecordedCall] = field(init=False)

    def __post_init__(self) -> None:
        self.left = list(self.run.calls)

    def call(self, tool: str, args: Mapping[str, Any]) -> RecordedCall:
        """The recorded call: `result` is what the model read, or `error`, when it failed or was refused.

        Raises:
            ReplayMismatch: it is not the next one, or none that is left; nothing is played back then.
        """
        candidates = self.left[:1] if self.in_order else self.left
        for number, recorded in enumerate(candidates):
            if not differences(recorded, tool, args):
                return self.left.pop(number)
        if not candidates:
            raise ReplayMismatch(f"{tool}: every recorded call was played back; this one was not recorded")
        nearest = min(candidates, key=lambda one: (one.tool != tool, len(differences(one, tool, args))))
        said = "; ".join(differences(nearest, tool, args)[:_MAX_NAMED])
        which = "the next call recorded is" if self.in_order else "the most similar call left is"
        raise ReplayMismatch(f"{which} call {nearest.n} ({nearest.tool}): {said}")

    def finish(self) -> None:
        """Say that no more calls come.

        Raises:
            ReplayMismatch: recorded calls are left.
        """
        if self.left:
            named = ", ".join(f"call {call.n} ({call.tool})" for call in self.left[:_MAX_NAMED])
            raise ReplayMismatch(f"{len(self.left)} recorded calls were not made: {named}")


def differences(recorded: RecordedCall, tool: str, args: Mapping[str, Any]) -> list[str]:
    """In what a call is not the recorded one, a sentence each; numbers are compared as JSON has them."""
    found = [] if recorded.tool == tool else [f"tool: recorded {recorded.tool}, given {tool}"]
    for name in sorted({*recorded.args, *args}):
        before = _shown(recorded.args[name]) if name in recorded.args else None
        now = _shown(args[name]) if name in args else None
        if before != now:
            found.append(f"args.{name}: recorded {_cut(before)}, given {_cut(now)}")
    return found


def _shown(value: Any) -> str:
    return canonical_json(value).decode()


def _cut(text: str | None) -> str:
    if text is None:
        return "nothing"
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"
