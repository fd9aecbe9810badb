"""Checking a call's arguments against the very schema that the tool publishes."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from interlock.model import UserError
from interlock.servers.workspace.tools import TOOLS

TYPES = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def check_arguments(tool: str, args: Mapping[str, Any]) -> None:
    """Check that the tool exists and takes these arguments.

    Raises:
        UserError: it does not; the sentence names the field and what it should be.
    """
    if tool not in TOOLS:
        shown = [name for name, definition in TOOLS.items() if "_meta" not in definition]
        raise UserError(f"There is no tool {_short(tool)} here; the tools are: {', '.join(shown)}.")
    error = next(_validator(tool).iter_errors(args), None)
    if error is not None:
        raise UserError(f"Wrong arguments for '{tool}': {fault_of(error)}.")


@cache
def _validator(tool: str) -> Draft202012Validator:
    return Draft202012Validator(TOOLS[tool]["inputSchema"])


def fault_of(error: ValidationError) -> str:
    """What is wrong with an argument, as the rest of a sentence."""
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
    rule, limit = str(error.validator), error.validator_value
    if rule == "required":
        missing = [name for name in _names(limit) if name not in _names(error.instance)]
        return f"{_inside(field)}the field '{missing[0]}' is missing"
    if rule == "additionalProperties":
        known = list(error.schema.get("properties", {})) if isinstance(error.schema, Mapping) else []
        unknown = [name for name in _names(error.instance) if name not in known]
        return f"{_inside(field)}there is no field {_short(unknown[0])}; the fields are: {', '.join(known)}"
    return f"'{field or 'arguments'}' must {_rule(rule, limit)}"


def _rule(rule: str, limit: Any) -> str:
    rules = {
        "minLength": f"have at least {limit} characters",
        "maxLength": f"have at most {limit} characters",
        "minItems": f"have at least {limit} items",
        "maxItems": f"have at most {limit} items",
        "minimum": f"be at least {limit}",
        "maximum": f"be at most {limit}",
        "uniqueItems": "name each item once",
    }
    if rule == "type":
        return "be " + " or ".join(TYPES.get(name, name) for name in ([limit] if isinstance(limit, str) else limit))
    if rule == "enum":
        return "be one of: " + ", ".join(json.dumps(value) for value in limit)
    return rules.get(rule, f"fit {rule} {json.dumps(limit)}")


def _names(value: Any) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list | Mapping) else []


def _inside(field: str) -> str:
    return f"in '{field}' " if field else ""


def _short(text: str) -> str:
    return json.dumps(text if len(text) <= 60 else f"{text[:60]}...")
