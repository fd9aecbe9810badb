"""Pieces of the schemas that tools publish."""

from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"
INTERNAL = "interlock/internal"  # in `_meta` of a tool: it belongs to the gate, and no agent sees it


def object_schema(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """A schema of arguments that takes these properties and no others."""
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
