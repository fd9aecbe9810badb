"""Options that many commands share, spelt and explained once."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter, Token


def whole_number(_: Any, tokens: Sequence[Token]) -> int:
    """A number without a fraction; nothing is rounded in silence.

    Raises:
        ValueError: it is none.
    """
    text = tokens[0].value
    if re.fullmatch(r"[+-]?[0-9]{1,40}", text) is None:
        raise ValueError(f"'{text[:40]}' is no whole number")
    return int(text)


WholeNumber: TypeAlias = Annotated[int, Parameter(converter=whole_number)]
Json: TypeAlias = Annotated[
    bool, Parameter(name="--json", negative="", help="Print JSON on stdout instead of text for people.")
]
Yes: TypeAlias = Annotated[bool, Parameter(name=["--yes", "-y"], negative="", help="Do not ask.")]
Wait: TypeAlias = Annotated[bool, Parameter(name="--wait", negative="", help="Wait for the outcome.")]
Reason: TypeAlias = Annotated[str, Parameter(name="--reason", help="Why; it is recorded.")]
Project: TypeAlias = Annotated[
    Path | None, Parameter(name="--project", help="The folder with interlock.yaml; by default the present one.")
]


def folder_of(project: Path | None) -> Path:
    """The project folder that was meant, absolute."""
    return (project or Path()).absolute()
