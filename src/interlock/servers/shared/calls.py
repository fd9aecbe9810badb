"""A call as a built-in server sees it: what is said about it beside its arguments, and what it answers."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What a call answers: `text` for a model, `structured` for programs, `failed` when it is an error."""

    text: str
    structured: dict[str, Any] | None = None
    failed: bool = False


@dataclass(frozen=True)
class CallNotes:
    """What the caller says about a call beside its arguments.

    Attributes:
        expect_state_sha256: refuse, or keep nothing, unless what it touches is in the state that was shown.
        key: the caller's name for the call.
    """

    expect_state_sha256: str | None = None
    key: str | None = None
