"""Conditions of a playbook as data: `{contains: ["{{ steps.log.text }}", "fix"]}`; no code in them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from interlock.inference.expressions import (
    EvaluationError,
    ExpressionError,
    Path,
    Template,
    look_up,
    parse_path,
    parse_template,
    render,
)
from interlock.inference.filters import FilterError, Missing, as_text, compile_pattern

MAX_DEPTH = 20


@dataclass(frozen=True)
class Condition:
    """One condition: its kind and its compiled operands (values, paths or conditions, by kind)."""

    kind: str
    operands: tuple[Any, ...]

    def paths(self) -> Iterator[Path]:
        """Every path in it."""
        for operand in self.operands:
            if isinstance(operand, Condition):
                yield from operand.paths()
            else:
                yield from value_paths(operand)


def compile_value(value: Any) -> Any:
    """Replace every text in a JSON value that holds `{{ … }}` by its template.

    Raises:
        ExpressionError: an expression in it is wrong.
    """
    if isinstance(value, str):
        return parse_template(value) if "{{" in value else value
    if isinstance(value, list):
        return [compile_value(item) for item in value]
    if isinstance(value, dict):
        return {key: compile_value(item) for key, item in value.items()}
    return value


def evaluate_value(value: Any, scope: Mapping[str, Any]) -> Any:
    """The JSON value that a compiled one stands for.

    Raises:
        EvaluationError: a template in it can't be evaluated.
    """
    if isinstance(value, Template):
        return render(value, scope)
    if isinstance(value, list):
        return [evaluate_value(item, scope) for item in value]
    if isinstance(value, dict):
        return {key: evaluate_value(item, scope) for key, item in value.items()}
    return value


def value_paths(value: Any) -> Iterator[Path]:
    """Every path in a compiled value."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Template):
        yield from value.paths()
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from value_paths(item)


def shown_value(value: Any) -> Any:
    """A compiled value with its templates as they were written."""
    if isinstance(value, Template):
        return value.text
    if isinstance(value, list):
        return [shown_value(item) for item in value]
    if isinstance(value, dict):
        return {key: shown_value(item) for key, item in value.items()}
    return value


def compile_condition(value: Any, depth: int = 0) -> Condition:
    """Read a condition: an object with one key, the kind.

    Raises:
        ExpressionError: it is no condition; the message says what was expected.
    """
    if not isinstance(value, dict) or len(value) != 1:
        raise ExpressionError(f"expected a condition, an object with one of: {', '.join(sorted(_KINDS))}")
    if depth > MAX_DEPTH:
        raise ExpressionError(f"conditions may nest {MAX_DEPTH} deep")
    kind, operands = next(iter(value.items()))
    compiler = _KINDS.get(kind)
    if compiler is None:
        raise ExpressionError(f"unknown condition '{kind}'; there are: {', '.join(sorted(_KINDS))}")
    return Condition(kind, compiler(kind, operands, depth))


def _two(kind: str, operands: Any, _depth: int) -> tuple[Any, ...]:
    if not isinstance(operands, list) or len(operands) != 2:
        raise ExpressionError(f"'{kind}' takes a list of two values")
    return tuple(compile_value(operand) for operand in operands)


def _pattern(kind: str, operands: Any, depth: int) -> tuple[Any, ...]:
    value, pattern = _two(kind, operands, depth)
    if not isinstance(pattern, str):
        raise ExpressionError("the pattern of 'matches' is a plain text, without {{ }}")
    try:
        compile_pattern(pattern)
    except FilterError as error:
        raise ExpressionError(str(error)) from error
    return (value, pattern)


def _path(kind: str, operand: Any, _depth: int) -> tuple[Any, ...]:
    if not isinstance(operand, str):
        raise ExpressionError(f"'{kind}' takes a path such as steps.list.structured")
    return (parse_path(operand),)


def _step(kind: str, operand: Any, _depth: int) -> tuple[Any, ...]:
    if not isinstance(operand, str) or not operand:
        raise ExpressionError(f"'{kind}' takes the id of a step")
    return (Path("steps", (operand, "ok")),)


def _one(_kind: str, operand: Any, _depth: int) -> tuple[Any, ...]:
    return (compile_value(operand),)


def _nested(_kind: str, operand: Any, depth: int) -> tuple[Any, ...]:
    return (compile_condition(operand, depth + 1),)


def _several(kind: str, operands: Any, depth: int) -> tuple[Any, ...]:
    if not isinstance(operands, list) or not operands:
        raise ExpressionError(f"'{kind}' takes a list of conditions")
    return tuple(compile_condition(operand, depth + 1) for operand in operands)


_KINDS: Mapping[str, Callable[[str, Any, int], tuple[Any, ...]]] = {
    "equals": _two,
    "contains": _two,
    "matches": _pattern,
    "gt": _two,
    "lt": _two,
    "exists": _path,
    "empty": _one,
    "ok": _step,
    "not": _nested,
    "all": _several,
    "any": _several,
}


def holds(condition: Condition, scope: Mapping[str, Any]) -> bool:
    """Whether a condition holds.

    Raises:
        EvaluationError: an operand can't be evaluated, or is not of the kind the condition compares.
    """
    kind, operands = condition.kind, condition.operands
    if kind == "not":
        return not holds(operands[0], scope)
    if kind == "all":
        return all(holds(operand, scope) for operand in operands)
    if kind == "any":
        return any(holds(operand, scope) for operand in operands)
    if kind == "exists":
        value = look_up(operands[0], scope)
        return not isinstance(value, Missing) and value is not None
    if kind == "ok":
        return look_up(operands[0], scope) is True
    return _compare(kind, [evaluate_value(operand, scope) for operand in operands])


def _compare(kind: str, values: list[Any]) -> bool:
    first = values[0]
    if kind == "empty":
        return first is None or (isinstance(first, str | list | dict) and len(first) == 0)
    if kind == "equals":
        return bool(first == values[1]) and isinstance(first, bool) == isinstance(values[1], bool)
    if kind == "matches":
        return compile_pattern(values[1])(as_text(first))
    if kind == "contains":
        return _contains(first, values[1])
    return _ordered(kind, first, values[1])


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, dict):
        return isinstance(part, str) and part in whole
    if isinstance(whole, list):
        return part in whole
    return as_text(part) in as_text(whole)


def _ordered(kind: str, first: Any, second: Any) -> bool:
    for value in (first, second):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise EvaluationError(
                f"'{kind}' compares numbers, found {as_text(value)[:40] or 'nothing'}; a text becomes one by: | number"
            )
    return bool(first > second if kind == "gt" else first < second)
