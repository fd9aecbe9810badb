"""Options that many commands share, spelt and explained once."""

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

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
