"""A YAML file as a pydantic model; every fault is told with file, line, key, what was found and what was expected."""

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from interlock.config.problems import Problem, found_words, quoted, refuse
from interlock.config.yaml_marks import Loc, Locator, yaml_document
from interlock.model import ConfigError, UserError

ModelT = TypeVar("ModelT", bound=BaseModel)

_PRIVATE = re.compile(r"(?i)(^|_)(env|headers?|url|args|password|secret|token|key|dsn|credentials?)($|_)")
_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "string_pattern_mismatch": "a text that matches {pattern}",
}
_TYPE_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


def load_yaml_model(path: Path, model_class: type[ModelT], error_class: type[UserError] = ConfigError) -> ModelT:
    """Read a YAML file as an instance of `model_class`.

    Raises:
        UserError: of `error_class`; its message has one line `file:line: key.path: found; expected …` per fault.
    """
    data, locate = yaml_document(path, error_class)
    return validate_at(data, model_class, locate, error_class)


def validate_at(
    data: dict[str, Any], model_class: type[ModelT], locate: Locator, error_class: type[UserError] = ConfigError
) -> ModelT:
    """Build `model_class` from plain data that stands where `locate` says.

    Raises:
        UserError: of `error_class`, listing every fault.
    """
    try:
        return model_class.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        found = shape_problems(error, model_class, locate)
        refuse(locate.path, found, error_class)


def shape_problems(
    error: ValidationError, model_class: type[BaseModel], locate: Locator, above: Loc = ()
) -> list[Problem]:
    """The faults that pydantic found, in our words and with their lines; `above` is where the model's data stands."""
    schema = model_class.model_json_schema(by_alias=True)
    faults = error.errors(include_url=False)
    return [locate.problem((*above, *fault["loc"]), describe_fault(fault, schema, model_class)) for fault in faults]


def did_you_mean(name: str, known: list[str]) -> str:
    """`did you mean 'x'?` for the nearest known name, else the known names; empty if there are none."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {quoted(near[0])}?"
    if not known:
        return ""
    more = ", …" if len(known) > 20 else ""
    return "expected one of " + ", ".join(sorted(known)[:20]) + more


def describe_fault(fault: ErrorDetails, schema: dict[str, Any], model_class: type[BaseModel]) -> str:
    """What one fault that pydantic found is, in our words; `schema` is that of the model it was found in."""
    loc, kind = fault["loc"], fault["type"]
    if kind == "extra_forbidden":
        return _unknown_key(loc, schema, model_class)
    if kind == "missing":
        return "missing; expected " + _expected_at(schema, loc)
    private = any(isinstance(step, str) and _PRIVATE.search(step) for step in loc)
    found = "found " + found_words(fault["input"], private=private)
    if loc and loc[-1] == "[key]" and kind == "string_pattern_mismatch":
        return f"{found} as a name; expected small letters, digits and '-', as in my-name"
    if kind == "value_error":
        return str(fault.get("ctx", {}).get("error", fault["msg"]))
    template = _EXPECTED.get(kind)
    if template is None:
        return f"{found}; {fault['msg'][:1].lower()}{fault['msg'][1:]}"
    expected = template.format_map(fault.get("ctx", {}))
    is_bare = kind == "string_type" and isinstance(fault["input"], bool | int | float)
    return f"{found}; expected {expected}" + (" (put it in quotes)" if is_bare else "")


def _unknown_key(loc: Loc, schema: dict[str, Any], model_class: type[BaseModel]) -> str:
    key = str(loc[-1])
    if len(loc) == 1 and key in getattr(model_class, "later_blocks", ()):
        return "this block does nothing in this release; expected it to be left out"
    known = sorted({name for part in _parts(schema, schema, loc[:-1]) for name in part.get("properties", {})})
    suggestion = did_you_mean(key, known)
    return "unknown key" + (f"; {suggestion}" if suggestion else "")


def _expected_at(schema: dict[str, Any], loc: Loc) -> str:
    """The type of a missing key in words, with its description if it has one."""
    for part in _parts(schema, schema, loc):
        words = _TYPE_WORDS.get(str(part.get("type")), "a value")
        if "enum" in part:
            words = "one of " + ", ".join(str(value) for value in part["enum"])
        description = str(part.get("description", "")).rstrip(".")
        return f"{words} ({description})" if description else words
    return "a value"


def _parts(schema: dict[str, Any], at: dict[str, Any], loc: Loc) -> list[dict[str, Any]]:
    """The branches of a JSON Schema at `loc`; parts of `loc` that the schema has not are passed over."""
    reached = _branches(schema, at)
    for step in loc:
        below = [child for part in reached for child in _below(part, step)]
        reached = [branch for child in below for branch in _branches(schema, child)] or reached
    return reached


def _branches(schema: dict[str, Any], at: dict[str, Any]) -> list[dict[str, Any]]:
    """Follow `$ref` and unions; a description beside a `$ref` wins."""
    if "$ref" in at:
        target = schema.get("$defs", {}).get(str(at["$ref"]).rpartition("/")[2], {})
        beside = {key: value for key, value in at.items() if key != "$ref"}
        return [part | beside for part in _branches(schema, target)]
    options = [option for key in ("anyOf", "oneOf", "allOf") for option in at.get(key, [])]
    found = [part for option in options for part in _branches(schema, option)]
    return [part for part in found if part.get("type") != "null"] or [at]


def _below(part: dict[str, Any], step: int | str) -> list[dict[str, Any]]:
    if isinstance(step, int):
        inner = [part.get("items")]
    elif step in part.get("properties", {}):
        inner = [part["properties"][step]]
    else:
        inner = [part.get("additionalProperties"), *part.get("patternProperties", {}).values()]
    return [child for child in inner if isinstance(child, dict)]
