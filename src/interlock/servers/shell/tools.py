"""The tools as the server lists them, in the JSON of MCP, and the check of a call's arguments against their schemas."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from interlock.model import UserError
from interlock.servers.shared.arguments import fault_of
from interlock.servers.shared.schemas import INTERNAL, object_schema
from interlock.servers.shell.limits import (
    COMMAND_CHARACTERS,
    STDIN_CHARACTERS,
    TIMEOUT_MAX_S,
    TIMEOUT_S,
    TOUCHED_PATHS,
)
from interlock.servers.workspace.limits import PATH_BYTES
from interlock.servers.workspace.tools import TOOLS as WORKSPACE_TOOLS

RUN: dict[str, Any] = {
    "name": "run",
    "title": "Run a command",
    "description": (
        "Run one shell command in the project folder and return its output, its exit status and the files that it "
        "changed. It runs confined: only this folder can be written, and what it starts ends with it. A command that "
        "runs out of time changes nothing."
    ),
    "inputSchema": object_schema(
        {
            "command": {
                "type": "string",
                "minLength": 1,
                "maxLength": COMMAND_CHARACTERS,
                "description": "The command line, as for 'bash -c'. Nobody can answer questions that it asks.",
            },
            "timeout_s": {
                "type": "integer",
                "minimum": 1,
                "maximum": TIMEOUT_MAX_S,
                "default": TIMEOUT_S,
                "description": "After so many seconds it is ended.",
            },
            "stdin": {
                "type": "string",
                "maxLength": STDIN_CHARACTERS,
                "default": "",
                "description": "What it reads from standard input.",
            },
            "cwd": {
                "type": "string",
                "minLength": 1,
                "maxLength": PATH_BYTES,
                "default": ".",
                "description": "The folder to start in, relative to the project folder.",
            },
        },
        ["command"],
    ),
    "annotations": {
        "readOnlyHint": False,
        "destructiveHint": True,
        "idempotentHint": False,
        "openWorldHint": False,
    },
}


def _inherited(name: str, **changed: dict[str, Any]) -> dict[str, Any]:
    """An internal tool of the workspace server, some of its arguments changed."""
    tool = WORKSPACE_TOOLS[name]
    schema = tool["inputSchema"]
    properties = {field: {**value, **changed.get(field, {})} for field, value in schema["properties"].items()}
    return {**tool, "inputSchema": {**schema, "properties": properties}}


# A command touches any number of paths, or none.
_ANY_PATHS = {"minItems": 0, "maxItems": TOUCHED_PATHS}

TOOLS: Mapping[str, dict[str, Any]] = {
    tool["name"]: tool
    for tool in (
        RUN,
        _inherited("preview", tool={"enum": ["run"]}),
        _inherited("capture", paths=_ANY_PATHS),
        _inherited("content"),
        _inherited("restore", paths=_ANY_PATHS, entries={"minItems": 0}),
    )
}


def listed(*, network: bool) -> list[dict[str, Any]]:
    """The definitions; one that reaches the network says so."""
    run = {**RUN, "annotations": {**RUN["annotations"], "openWorldHint": network}}
    return [run, *(tool for tool in TOOLS.values() if INTERNAL in tool.get("_meta", {}))]


def check_arguments(tool: str, args: Mapping[str, Any]) -> None:
    """Check that the tool exists and takes these arguments.

    Raises:
        UserError: it does not; the sentence names the field and what it should be.
    """
    if tool not in TOOLS:
        raise UserError("There is no such tool here; the tool is: run.")
    error = next(_validator(tool).iter_errors(args), None)
    if error is not None:
        raise UserError(f"Wrong arguments for '{tool}': {fault_of(error)}.")


@cache
def _validator(tool: str) -> Draft202012Validator:
    return Draft202012Validator(TOOLS[tool]["inputSchema"])
