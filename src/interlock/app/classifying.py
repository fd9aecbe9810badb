"""The class of a tool from its definition as JSON, for whoever has nothing but that."""

from collections.abc import Mapping
from typing import Any

from interlock.guardrails import opinion
from interlock.model import ToolDefinition, ToolRef, UserError

_HINT = "one line is {server, tool, title, description, input_schema, annotations}"


def classify_definition(document: Mapping[str, Any], *, trusted_hints: bool) -> dict[str, Any]:
    """What a tool does; shape `{server, tool, class, egress, arg_dependent, reasons}`.

    Args:
        document: `{server, tool, title?, description?, input_schema?, annotations?}`.
        trusted_hints: believe what the server says of itself; else its hints only raise.

    Raises:
        UserError: a field is missing or has the wrong type.
    """
    server, tool = _text(document, "server", None), _text(document, "tool", None)
    definition = ToolDefinition(
        ref=ToolRef(server, tool),
        title=_text(document, "title", ""),
        description=_text(document, "description", ""),
        input_schema=_object(document, "input_schema"),
        annotations=_object(document, "annotations"),
    )
    found = opinion(definition, trusted_hints=trusted_hints)
    return {
        "server": server,
        "tool": tool,
        "class": str(found.action_class),
        "egress": found.egress,
        "arg_dependent": found.arg_dependent,
        "reasons": list(found.reasons),
    }


def _text(document: Mapping[str, Any], key: str, default: str | None) -> str:
    value = document.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or (default is None and not value):
        found = "empty" if value == "" else _kind(value)
        raise UserError(f"'{key}' is {found}; expected text", hint=_HINT)
    if default is None and any("\ud800" <= character <= "\udfff" for character in value):
        raise UserError(f"'{key}' holds half a character; expected text", hint=_HINT)
    return value


def _object(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"'{key}' is {_kind(value)}; expected an object", hint=_HINT)
    return value


def _kind(value: Any) -> str:
    kinds = {type(None): "missing", str: "a text", bool: "true or false", list: "a list", dict: "an object"}
    return kinds.get(type(value), "a number")
