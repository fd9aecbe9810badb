"""Does a result fit the schema that its tool declares? JSON Schema 2020-12, unless the schema names another edition.

Schema and result both come from the server, so the judgement is bounded: nothing is fetched, references stay inside
the schema, and what would take too many steps is left unjudged. It is about mistakes, not about safety.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from interlock.model import ToolDefinition

if TYPE_CHECKING:
    from jsonschema.protocols import Validator
    from mcp.types import CallToolResult

MAX_STEPS = 20_000  # a third of a second or so, in which nothing else is done
MAX_SCHEMAS = 256
_REGEX_STEPS = 1_000_000
_Keyword: TypeAlias = Callable[..., Iterator[Any] | None]


class _TooMuch(Exception):
    """It takes too many steps."""


class Fitting:
    """The compiled schemas of one connection: compiling one costs far more than using it."""

    def __init__(self) -> None:
        self._compiled: dict[str, Validator | str] = {}
        self._steps = 0

    def fault(self, definition: ToolDefinition, result: "CallToolResult") -> str | None:
        """What does not fit, or None."""
        schema = definition.output_schema
        if schema is None:
            return None
        if result.structured_content is None and "structured_content" not in result.model_fields_set:
            return "it has an output schema, and no structured content came"
        key = definition.pin_sha256
        if key not in self._compiled:
            if len(self._compiled) >= MAX_SCHEMAS:
                self._compiled.clear()
            self._compiled[key] = self._compile(schema)
        compiled = self._compiled[key]
        return compiled if isinstance(compiled, str) else self._judge(compiled, result.structured_content)

    def _judge(self, validator: "Validator", content: Any) -> str | None:
        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        self._steps = 0
        try:
            error = best_match(validator.iter_errors(content))
        except _TooMuch:
            return None
        except Unresolvable as unresolvable:
            return f"the schema itself refers to something that is not in it: {unresolvable}"
        except RecursionError:
            return "the schema itself goes round in circles"
        if error is None:
            return None
        where = ".".join(str(part) for part in error.absolute_path)
        return f"{where}: {error.message}" if where else error.message

    def _compile(self, schema: dict[str, Any]) -> "Validator | str":
        from jsonschema import Draft202012Validator, SchemaError, validators
        from referencing import Registry

        edition = validators.validator_for(schema, default=Draft202012Validator)
        try:
            edition.check_schema(schema)
        except (SchemaError, RecursionError) as error:
            return f"the schema itself is no good: {getattr(error, 'message', 'it is nested too deeply')}"
        counted = {name: self._counted(keyword) for name, keyword in edition.VALIDATORS.items()}
        bounded = {name: self._counted(keyword) for name, keyword in _BOUNDED.items() if name in counted}
        extend: Callable[..., type[Validator]] = validators.extend
        return extend(edition, {**counted, **bounded})(schema, registry=Registry())

    def _counted(self, keyword: _Keyword) -> _Keyword:
        def step(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise _TooMuch
            return keyword(validator, value, instance, schema)

        return step


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    del schema
    if validator.is_type(instance, "string") and _is_quick(pattern, len(instance)) and not re.search(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: dict[str, Any], instance: Any, schema: Any) -> Iterator[Any]:
    del schema
    if not validator.is_type(instance, "object"):
        return
    for pattern, inner in patterns.items():
        for name, value in instance.items():
            if _is_quick(pattern, len(name)) and re.search(pattern, name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    del schema
    if not wanted or not validator.is_type(instance, "array"):
        return
    if len({json.dumps(_plain(item), sort_keys=True) for item in instance}) < len(instance):
        yield ValidationError("found the same element twice")


def _plain(value: Any) -> Any:
    """The value with one spelling for each number."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


_BOUNDED: dict[str, _Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "uniqueItems": _unique_items,
}


def _is_quick(pattern: str, chars: int) -> bool:
    """Whether looking for a pattern in a text of so many characters is sure to end soon, by a count of its choices."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", pattern).replace("(?:", "(")
    if len(pattern) > 1_000 or "(?" in bare or re.search(r"\)[*+{]", bare):
        return False
    choices: int = 2 ** (bare.count("?") + bare.count("|")) * max(1, chars)
    for quantifier in re.findall(r"[*+]|\{\d*,?\d*\}", bare):
        choices *= max(1, chars) if quantifier in "*+" or quantifier.endswith(",}") else _span(quantifier)
    return choices <= _REGEX_STEPS


def _span(quantifier: str) -> int:
    """How many lengths `{m,n}` allows."""
    least, comma, most = quantifier.strip("{}").partition(",")
    return max(1, int(most or 0) - int(least or 0) + 1) if comma else 1
