"""Checking a call's arguments against the very schema that the tool publishes."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from interlock.model import UserError
from interlock.servers.shared.arguments import fault_of
from interlock.servers.shared.schemas import INTERNAL
from interlock.servers.sql.tools import CHANGING, TOOLS, offered


def check_arguments(tool: str, args: Mapping[str, Any], *, read_only: bool) -> None:
    """Check that the tool exists and takes these arguments.

    Raises:
        UserError: it does not; the sentence names the field and what it should be.
    """
    if read_only and tool in CHANGING:
        raise UserError("This database is open for reading only; nothing can be changed here.")
    if tool not in TOOLS:
        names = [name for name, definition in offered(read_only).items() if INTERNAL not in definition.get("_meta", {})]
        raise UserError(f"There is no tool '{tool[:60]}' here; the tools are: {', '.join(names)}.")
    error = next(_validator(tool).iter_errors(args), None)
    if error is not None:
        raise UserError(f"Wrong arguments for '{tool}': {fault_of(error)}.")


@cache
def _validator(tool: str) -> Draft202012Validator:
    return Draft202012Validator(TOOLS[tool]["inputSchema"])
