"""Checking a call's arguments against the very schema that the tool publishes."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from interlock.model import UserError
from interlock.servers.shared.arguments import fault_of, short
from interlock.servers.workspace.tools import TOOLS


def check_arguments(tool: str, args: Mapping[str, Any]) -> None:
    """Check that the tool exists and takes these arguments.

    Raises:
        UserError: it does not; the sentence names the field and what it should be.
    """
    if tool not in TOOLS:
        shown = [name for name, definition in TOOLS.items() if "_meta" not in definition]
        raise UserError(f"There is no tool {short(tool)} here; the tools are: {', '.join(shown)}.")
    error = next(_validator(tool).iter_errors(args), None)
    if error is not None:
        raise UserError(f"Wrong arguments for '{tool}': {fault_of(error)}.")


@cache
def _validator(tool: str) -> Draft202012Validator:
    return Draft202012Validator(TOOLS[tool]["inputSchema"])
