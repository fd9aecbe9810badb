"""The filters of the playbook language: pure, bounded, no clock, no I/O.

Patterns run on the linear-time engine of `pydantic_core` (Rust's regex), so no pattern and no text can make a
playbook hang.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

MAX_ITEMS = 10_000
MAX_CHARS = 1024 * 1024
MAX_PATTERN = 500


class FilterError(Exception):
    """A filter can't take this value; the message says what it expected."""


class Missing(Enum):
    """Marks a path that leads nowhere."""

    MISSING = "missing"


MISSING = Missing.MISSING


@dataclass(frozen=True)
class Filter:
    """One filter: what it does and how many arguments it takes.

    Attributes:
        check: looks at the first argument when the playbook is loaded; that argument must then be a quoted text.
        takes_missing: it sees paths that lead nowhere, instead of an error.
    """

    apply: Callable[..., Any]
    least: int = 0
    most: int = 0
    check: Callable[[str], object] | None = None
    takes_missing: bool = False


def child(value: Any, key: str | int) -> Any:
    """What lies below `value` at `key`, or `MISSING`."""
    if isinstance(value, Mapping) and isinstance(key, str):
        return value.get(key, MISSING)
    if isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
        return value[key]
    return MISSING


def as_text(value: Any) -> str:
    """A value as it reads in a text: null is empty, lists and objects are JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False)


def storable(text: str) -> str:
    """A text with a `?` for each half of a surrogate pair, which JSON allows and no database takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A test whether a text holds the pattern anywhere; runs in linear time.

    Raises:
        FilterError: the pattern is too long, wrong, or uses look-around or back-references.
    """
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    if len(pattern) > MAX_PATTERN:
        raise FilterError(f"a pattern may have {MAX_PATTERN} characters")
    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise FilterError(f"'{pattern}' is no pattern: {lines[-1].removeprefix('error: ')}") from error
    return validator.isinstance_python


def _text(value: Any) -> str:
    if isinstance(value, list | dict):
        raise FilterError(f"expected text, found a {'list' if isinstance(value, list) else 'object'}")
    text = as_text(value)
    if len(text) > MAX_CHARS:
        raise FilterError(f"the text is longer than {MAX_CHARS} characters")
    return text


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FilterError(f"expected a list, found {'null' if value is None else type(value).__name__}")
    return _bounded(value)


def _bounded(items: list[Any]) -> list[Any]:
    if len(items) > MAX_ITEMS:
        raise FilterError(f"the list has more than {MAX_ITEMS} items")
    return items


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FilterError(f"expected a whole number, found {as_text(value)[:40] or 'nothing'}")
    return value


def _join(value: Any, separator: Any = "\n") -> str:
    items = [as_text(item) for item in _list(value)]
    if sum(map(len, items)) + len(items) * len(_text(separator)) > MAX_CHARS:
        raise FilterError(f"the text would be longer than {MAX_CHARS} characters")
    return _text(separator).join(items)


def _split(value: Any, separator: Any) -> list[Any]:
    if not _text(separator):
        raise FilterError("the separator is empty")
    return _bounded(_text(value).split(_text(separator)))


def _pick(value: Any, index: int) -> Any:
    return child(_list(value), index)


def _length(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise FilterError(f"expected text, a list or an object, found {as_text(value)[:40] or 'null'}")
    return len(value)


def _slice(value: Any, start: Any, end: Any = None) -> Any:
    bounds = slice(_whole(start), None if end is None else _whole(end))
    return value[bounds] if isinstance(value, str) else _list(value)[bounds]


def _default(value: Any, other: Any) -> Any:
    return other if value is MISSING or value is None else value


def _parse_json(value: Any) -> Any:
    try:
        return json.loads(_text(value), parse_constant=_no_constant)
    except RecursionError as error:
        raise FilterError("the JSON is nested too deeply") from error
    except ValueError as error:
        raise FilterError(f"the text is no JSON: {error}") from error


def _no_constant(name: str) -> Any:
    raise FilterError(f"{name} is no JSON")


def _json(value: Any, indent: Any = None) -> str:
    spaces = None if indent is None else _whole(indent)
    if spaces is not None and not 0 <= spaces <= 8:
        raise FilterError("the indent is 0 to 8")
    return json.dumps(value, ensure_ascii=False, indent=spaces, sort_keys=True)


def _matching(value: Any, pattern: str, wanted: bool) -> list[Any]:
    matches = compile_pattern(pattern)
    items = _lines(value) if isinstance(value, str) else _list(value)
    return [item for item in items if matches(as_text(item)) is wanted]


def _lines(value: Any) -> list[Any]:
    return _bounded(_text(value).splitlines())


def _basename(value: Any) -> str:
    return _text(value).rstrip("/").rpartition("/")[2]


def _dirname(value: Any) -> str:
    return _text(value).rstrip("/").rpartition("/")[0]


def _indent(value: Any, width: Any = 4) -> str:
    spaces = _whole(width)
    if not 0 <= spaces <= 40:
        raise FilterError("the width is 0 to 40")
    lines = _text(value).splitlines()
    return "\n".join(" " * spaces + line if line else line for line in lines)


def _bullets(value: Any) -> str:
    return _join([f"- {as_text(item)}" for item in _list(value)])


def _sorted(value: Any) -> list[Any]:
    items = _list(value)
    if all(isinstance(item, int | float) for item in items):
        return sorted(items)
    return sorted(items, key=as_text)


def _unique(value: Any) -> list[Any]:
    seen: dict[str, Any] = {}
    for item in _list(value):
        seen.setdefault(as_text(item), item)
    return list(seen.values())


def _after(value: Any, mark: Any) -> str:
    found = _text(value).partition(_text(mark) or "\n")
    return found[2] if found[1] else ""


def _before(value: Any, mark: Any) -> str:
    return _text(value).partition(_text(mark) or "\n")[0]


def _replace(value: Any, old: Any, new: Any) -> str:
    text, sought, put = _text(value), _text(old), _text(new)
    if not sought:
        raise FilterError("the text to replace is empty")
    if len(text) + text.count(sought) * (len(put) - len(sought)) > MAX_CHARS:
        raise FilterError(f"the text would be longer than {MAX_CHARS} characters")
    return text.replace(sought, put)


def _limit(value: Any, most: Any) -> str:
    text, bound = _text(value), _whole(most)
    return text if len(text) <= bound else text[: max(bound, 0)].rstrip() + " …"


def _number(value: Any) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = _text(value).strip()
    try:
        number = float(text)
    except ValueError as error:
        raise FilterError(f"'{text[:40]}' is no number") from error
    if number != number or abs(number) > 2**53:
        raise FilterError(f"'{text[:40]}' is out of range")
    return int(number) if number.is_integer() and "." not in text else number


def _add(value: Any, other: Any) -> int | float:
    return _number(_number(value) + _number(other))


def _keys(key: str) -> list[str | int]:
    parts = key.replace("[", ".").replace("]", "").split(".")
    return [int(part) if re.fullmatch(r"-?[0-9]{1,9}", part) else part for part in parts]


def _get(value: Any, key: Any) -> Any:
    if isinstance(key, int):
        return child(value, key)
    for part in _keys(_text(key)):
        value = child(value, part)
    return value


def _pluck(value: Any, key: Any) -> list[Any]:
    found = [_get(item, key) for item in _list(value)]
    return [item for item in found if item is not MISSING]


FILTERS: Mapping[str, Filter] = {
    "add": Filter(_add, 1, 1),
    "after": Filter(_after, 1, 1),
    "basename": Filter(_basename),
    "before": Filter(_before, 1, 1),
    "bullets": Filter(_bullets),
    "count": Filter(_length),
    "default": Filter(_default, 1, 1, takes_missing=True),
    "dirname": Filter(_dirname),
    "first": Filter(lambda value: _pick(value, 0)),
    "get": Filter(_get, 1, 1),
    "indent": Filter(_indent, 0, 1),
    "join": Filter(_join, 0, 1),
    "json": Filter(_json, 0, 1),
    "last": Filter(lambda value: _pick(value, -1)),
    "length": Filter(_length),
    "limit": Filter(_limit, 1, 1),
    "lines": Filter(_lines),
    "lower": Filter(lambda value: _text(value).lower()),
    "match": Filter(lambda value, pattern: _matching(value, pattern, True), 1, 1, check=compile_pattern),
    "number": Filter(_number),
    "parse_json": Filter(_parse_json),
    "pluck": Filter(_pluck, 1, 1),
    "reject": Filter(lambda value, pattern: _matching(value, pattern, False), 1, 1, check=compile_pattern),
    "replace": Filter(_replace, 2, 2),
    "reverse": Filter(lambda value: _list(value)[::-1]),
    "slice": Filter(_slice, 1, 2),
    "sort": Filter(_sorted),
    "split": Filter(_split, 1, 1),
    "trim": Filter(lambda value: _text(value).strip()),
    "unique": Filter(_unique),
    "upper": Filter(lambda value: _text(value).upper()),
    "words": Filter(lambda value: _bounded(_text(value).split())),
}
