"""What is wrong with a call's arguments, said so that whoever made it can mend it."""

import json
from collections.abc import Mapping
from typing import Any

from jsonschema.exceptions import ValidationError

TYPES = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


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
        return f"{_inside(field)}there is no field {short(unknown[0])}; the fields are: {', '.join(known)}"
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


def short(text: str) -> str:
    """A text of somebody's in quotes, not too long."""
    return json.dumps(text if len(text) <= 60 else f"{text[:60]}...")
