"""The tools as the server lists them, in the JSON of MCP. The schema that is published is the one that is checked."""

from collections.abc import Mapping
from typing import Any

from interlock.servers.shared.schemas import INTERNAL, object_schema
from interlock.servers.sql.limits import (
    NAME_CHARACTERS,
    PARAMS,
    ROWS_CAP,
    STATEMENT_CHARACTERS,
    STATEMENTS,
    TIMEOUT_CAP_S,
    TIMEOUT_S,
)

CHANGING = frozenset({"execute", "preview"})


def _statement(description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": STATEMENT_CHARACTERS, "description": description}


def _hints(*, read_only: bool = False) -> dict[str, Any]:
    return {
        "readOnlyHint": read_only,
        "destructiveHint": not read_only,
        "idempotentHint": read_only,
        "openWorldHint": False,
    }


PARAMETERS = {
    "type": "array",
    "maxItems": PARAMS,
    "description": "Values for the places of the statement: $1, $2 in Postgres, ? in SQLite. Never put into the text.",
}
TIMEOUT = {
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": TIMEOUT_CAP_S,
    "default": TIMEOUT_S,
    "description": "Seconds after which the database stops working on it.",
}
ROWS = {
    "type": "integer",
    "minimum": 1,
    "maximum": ROWS_CAP,
    "description": "Return at most so many rows.",
}
SQL_DIALECT = {"enum": ["postgres", "sqlite"], "description": "Of the statement; must be that of the database."}


def _reading() -> list[dict[str, Any]]:
    return [
        {
            "name": "query",
            "title": "Query the database",
            "description": "Run one SELECT that can't change anything. Long results are cut; 'next_offset' says where "
            "to continue, for which the rows need an ORDER BY.",
            "inputSchema": object_schema(
                {
                    "statement": _statement("One SELECT, WITH ... SELECT or VALUES."),
                    "params": PARAMETERS,
                    "dialect": SQL_DIALECT,
                    "max_rows": ROWS,
                    "offset_rows": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": 2**31 - 1,
                        "default": 0,
                        "description": "Leave out so many rows first.",
                    },
                    "timeout_s": TIMEOUT,
                },
                ["statement"],
            ),
            "annotations": _hints(read_only=True),
        },
        {
            "name": "schema",
            "title": "Show the tables",
            "description": "Tables and views with columns, types, keys, indexes and estimated numbers of rows.",
            "inputSchema": object_schema(
                {
                    "table": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": NAME_CHARACTERS,
                        "description": "Only this one: 'orders' or 'sales.orders'.",
                    }
                },
                [],
            ),
            "annotations": _hints(read_only=True),
        },
        {
            "name": "explain",
            "title": "Explain a statement",
            "description": "The plan of one statement with estimated rows, without running it.",
            "inputSchema": object_schema(
                {"statement": _statement("One statement."), "params": PARAMETERS, "dialect": SQL_DIALECT},
                ["statement"],
            ),
            "annotations": _hints(read_only=True),
        },
    ]


def _changing() -> list[dict[str, Any]]:
    visible = ["query", "schema", "explain", "execute"]
    return [
        {
            "name": "execute",
            "title": "Change the database",
            "description": f"Run up to {STATEMENTS} statements in one transaction: all of them take effect, or none.",
            "inputSchema": object_schema(
                {
                    "statement": _statement("One statement, or several with ; between them."),
                    "params": {**PARAMETERS, "description": f"{PARAMETERS['description']} For one statement only."},
                    "dialect": SQL_DIALECT,
                    "max_rows": {**ROWS, "description": "Return at most so many rows of RETURNING or SELECT."},
                    "timeout_s": TIMEOUT,
                },
                ["statement"],
            ),
            "annotations": _hints(),
        },
        {
            "name": "preview",
            "title": "Preview a call",
            "description": "Internal: what a call would change; it is done, measured and taken back.",
            "inputSchema": object_schema(
                {
                    "tool": {"enum": visible, "description": "The tool that would be called."},
                    "args": {"type": "object", "description": "Its arguments."},
                },
                ["tool", "args"],
            ),
            "annotations": _hints(read_only=True),
            "_meta": {INTERNAL: True},
        },
    ]


TOOLS: Mapping[str, dict[str, Any]] = {tool["name"]: tool for tool in (*_reading(), *_changing())}


def offered(read_only: bool) -> dict[str, dict[str, Any]]:
    """The tools of a server; one that is read-only has none that change anything."""
    return {name: tool for name, tool in TOOLS.items() if not (read_only and name in CHANGING)}
