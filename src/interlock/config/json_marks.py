"""A JSON file as plain data with the lines of its parts, under the bounds that YAML files have."""

import json
import math
from pathlib import Path
from typing import Any

from interlock.config.problems import Problem, quoted, refuse
from interlock.config.yaml_marks import (
    MAX_DEPTH,
    MAX_INTEGER,
    BadYamlError,
    Locator,
    Node,
    YamlDocument,
    build_nodes,
    read_text,
)
from interlock.model import ConfigError, UserError


class _BadJsonError(ValueError):
    """JSON that the standard library would let through."""


def json_document(path: Path, error_class: type[UserError] = ConfigError) -> YamlDocument:
    """Read a JSON file whose top level is an object; an empty file is an empty object.

    Returns:
        `(data, locate)` as `yaml_document` does.

    Raises:
        UserError: of `error_class`: the file can't be read, is over 1 MiB, no UTF-8, or no such JSON.
    """
    text = read_text(path, error_class)
    try:
        data = json.loads(
            text if text.strip() else "{}",
            object_pairs_hook=_once,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_float,
        )
        _check_values(data, 1)
    except json.JSONDecodeError as error:
        found = f"no valid JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        refuse(path, [Problem(error.lineno, "", found)], error_class)
    except _BadJsonError as error:
        refuse(path, [_problem_of(text, str(error))], error_class)
    except RecursionError:
        refuse(path, [Problem(1, "", f"found more than {MAX_DEPTH} levels; expected fewer")], error_class)
    if not isinstance(data, dict):
        refuse(path, [Problem(1, "", "the file holds no object; expected { … }")], error_class)
    return YamlDocument(data, _lines(path, text))


def _nodes(text: str) -> Node:
    # JSON may be indented by tabs, YAML not; a raw tab can't stand inside a JSON string.
    return build_nodes(text.replace("\t", " "))


def _problem_of(text: str, found: str) -> Problem:
    """The fault, with its line where YAML refuses the same."""
    try:
        _nodes(text)
    except BadYamlError as error:
        if not error.syntax:
            return error.problem
    return Problem(1, "", found)


def _lines(path: Path, text: str) -> Locator:
    """Where the parts stand. The few JSON texts that are no YAML keep their data and lose their lines."""
    try:
        return Locator(path, _nodes(text))
    except BadYamlError:
        return Locator(path)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _BadJsonError(f"the key {quoted(key)} is repeated; expected once")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise _BadJsonError(f"found {name}; expected a finite number")


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise _BadJsonError("found an integer beyond 2**53; expected a smaller one")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _BadJsonError("found a number that is too large; expected a smaller one")
    return value


def _check_values(value: Any, depth: int) -> None:
    """Refuse what can't be written again as UTF-8 JSON, or is nested too deep."""
    if depth > MAX_DEPTH:
        raise _BadJsonError(f"found more than {MAX_DEPTH} levels; expected fewer")
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise _BadJsonError("found half a surrogate pair (\\ud800 to \\udfff); expected whole characters")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_values(key, depth)
            _check_values(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_values(inner, depth + 1)
