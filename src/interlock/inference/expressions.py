"""The small expression language of playbooks: `{{ path.to[0].value | filter(arg) }}`.

There is no code in it: a path picks a value out of what is known, filters are pure and bounded, and text is
never parsed a second time, so nothing that a tool returned can become an expression.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from interlock.inference.filters import FILTERS, MISSING, FilterError, Missing, as_text, child

MAX_TEXT = 1024 * 1024  # characters that a template may produce
MAX_EXPRESSION = 2_000  # characters of one expression
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_-]*)
    |(?P<end>\}\})
    |(?P<mark>[.|(),\[\]]))""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class ExpressionError(Exception):
    """The text is no expression; the message says what was expected."""


class EvaluationError(Exception):
    """An expression can't be evaluated with what is known; the message says why."""


@dataclass(frozen=True)
class Path:
    """A way to a value: `steps.list.structured.entries[0]`; `keys` hold names and indexes below `root`."""

    root: str
    keys: tuple[str | int, ...]

    def __str__(self) -> str:
        shown = self.root
        for key in self.keys:
            shown += f"[{key}]" if isinstance(key, int) else f".{key}"
        return shown


@dataclass(frozen=True)
class Literal:
    """A value written in the expression itself."""

    value: Any


@dataclass(frozen=True)
class FilterUse:
    """One filter and its arguments."""

    name: str
    args: tuple["Path | Literal", ...]


@dataclass(frozen=True)
class Expression:
    """A value and the filters it passes through."""

    operand: Path | Literal
    filters: tuple[FilterUse, ...]

    def paths(self) -> Iterator[Path]:
        """Every path in it."""
        for operand in (self.operand, *(arg for use in self.filters for arg in use.args)):
            if isinstance(operand, Path):
                yield operand


@dataclass(frozen=True)
class Template:
    """Text with expressions in it; `text` is the source, as written."""

    text: str
    parts: tuple[str | Expression, ...]

    @property
    def single(self) -> Expression | None:
        """The expression, if the template is nothing else; then its value keeps its type."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Expression) else None

    def paths(self) -> Iterator[Path]:
        """Every path in it."""
        for part in self.parts:
            if isinstance(part, Expression):
                yield from part.paths()


class _Reader:
    """Reads one expression, token by token."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.start = start
        self.at = start
        self.kind = ""
        self.token = ""
        self.advance()

    def advance(self) -> None:
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            rest = self.text[self.at : self.at + 20].strip()
            raise ExpressionError(f"expected '}}}}', found '{rest}'" if rest else "'{{' is never closed with '}}'")
        self.at = found.end()
        if self.at - self.start > MAX_EXPRESSION:
            raise ExpressionError(f"an expression may have {MAX_EXPRESSION} characters")
        self.kind = found.lastgroup or ""
        self.token = found[self.kind]

    def take(self, token: str) -> None:
        if self.kind not in ("mark", "end") or self.token != token:
            raise ExpressionError(f"expected '{token}', found '{self.token}'")
        if token != "}}":
            self.advance()

    def sees(self, mark: str) -> bool:
        return self.kind == "mark" and self.token == mark

    def name(self) -> str:
        if self.kind != "name":
            raise ExpressionError(f"expected a name, found '{self.token}'")
        name = self.token
        self.advance()
        return name

    def literal(self) -> Literal:
        raw, kind = self.token, self.kind
        self.advance()
        if kind == "string":
            return Literal(re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), raw[1:-1], flags=re.S))
        return Literal(float(raw) if "." in raw else int(raw))

    def operand(self) -> Path | Literal:
        if self.kind in ("string", "number"):
            return self.literal()
        root = self.name()
        if root in _WORDS:
            return Literal(_WORDS[root])
        return Path(root, self.keys())

    def keys(self) -> tuple[str | int, ...]:
        keys: list[str | int] = []
        while self.sees(".") or self.sees("["):
            dotted = self.token == "."
            self.advance()
            if dotted:
                keys.append(self.name())
                continue
            if self.kind not in ("number", "string"):
                raise ExpressionError(f"expected an index or a quoted key in [ ], found '{self.token}'")
            key = self.literal().value
            if isinstance(key, float):
                raise ExpressionError("an index is a whole number")
            keys.append(key)
            self.take("]")
        return tuple(keys)

    def filter(self) -> FilterUse:
        name = self.name()
        args: list[Path | Literal] = []
        if self.sees("("):
            self.advance()
            while not self.sees(")"):
                args.append(self.operand())
                if not self.sees(")"):
                    self.take(",")
            self.take(")")
        _check_filter(name, args)
        return FilterUse(name, tuple(args))

    def expression(self) -> Expression:
        operand = self.operand()
        filters: list[FilterUse] = []
        while self.sees("|"):
            self.advance()
            filters.append(self.filter())
        return Expression(operand, tuple(filters))


def _check_filter(name: str, args: list[Path | Literal]) -> None:
    known = FILTERS.get(name)
    if known is None:
        raise ExpressionError(f"unknown filter '{name}'; there are: {', '.join(sorted(FILTERS))}")
    if not known.least <= len(args) <= known.most:
        wanted = str(known.least) if known.least == known.most else f"{known.least} to {known.most}"
        raise ExpressionError(f"filter '{name}' takes {wanted} arguments, not {len(args)}")
    if known.check is None:
        return
    first = args[0]
    if not isinstance(first, Literal) or not isinstance(first.value, str):
        raise ExpressionError(f"filter '{name}' takes a quoted text, not a path")
    try:
        known.check(first.value)
    except FilterError as error:
        raise ExpressionError(f"filter '{name}': {error}") from error


def parse_template(text: str) -> Template:
    """Read a text with `{{ … }}` in it.

    Raises:
        ExpressionError: an expression in it is wrong.
    """
    parts: list[str | Expression] = []
    at = 0
    while (opened := text.find("{{", at)) >= 0:
        if opened > at:
            parts.append(text[at:opened])
        reader = _Reader(text, opened + 2)
        parts.append(reader.expression())
        reader.take("}}")
        at = reader.at
    if at < len(text) or not parts:
        parts.append(text[at:])
    return Template(text, tuple(parts))


def parse_path(text: str) -> Path:
    """Read a bare path, as in a condition's `exists: steps.list.structured`.

    Raises:
        ExpressionError: it is no path.
    """
    template = parse_template("{{" + text + "}}")
    single = template.single
    if single is None or single.filters or not isinstance(single.operand, Path):
        raise ExpressionError(f"expected a path such as steps.list.structured, found '{text}'")
    return single.operand


def look_up(path: Path, scope: Mapping[str, Any]) -> Any:
    """The value at `path`, or `MISSING`."""
    value = scope.get(path.root, MISSING)
    for key in path.keys:
        value = child(value, key)
    return value


def _explain(path: Path, scope: Mapping[str, Any]) -> str:
    """Say where a path leaves what is there."""
    value: Any = scope.get(path.root, MISSING)
    seen = Path(path.root, ())
    for index, key in enumerate(path.keys):
        below = child(value, key)
        if isinstance(below, Missing):
            break
        value, seen = below, Path(path.root, path.keys[: index + 1])
    if isinstance(value, Missing):
        return f"'{path}' is not there"
    if isinstance(value, dict):
        return f"'{path}' is not there; {seen} has: {', '.join(map(str, list(value)[:20])) or 'nothing'}"
    if isinstance(value, list):
        return f"'{path}' is not there; {seen} is a list of {len(value)}"
    return f"'{path}' is not there; {seen} is {'null' if value is None else type(value).__name__}"


def _operand(operand: Path | Literal, scope: Mapping[str, Any]) -> Any:
    return operand.value if isinstance(operand, Literal) else look_up(operand, scope)


def _evaluate(expression: Expression, scope: Mapping[str, Any]) -> Any:
    value = _operand(expression.operand, scope)
    lost_at = ""
    for use in expression.filters:
        known = FILTERS[use.name]
        if isinstance(value, Missing) and not known.takes_missing:
            continue
        lost_at = use.name
        args = [_operand(arg, scope) for arg in use.args]
        for arg, source in zip(args, use.args, strict=True):
            if isinstance(arg, Missing) and isinstance(source, Path):
                raise EvaluationError(_explain(source, scope))
        try:
            value = known.apply(value, *args)
        except FilterError as error:
            raise EvaluationError(f"filter '{use.name}': {error}") from error
    if not isinstance(value, Missing):
        return value
    if isinstance(expression.operand, Path) and isinstance(look_up(expression.operand, scope), Missing):
        raise EvaluationError(_explain(expression.operand, scope))
    raise EvaluationError(f"filter '{lost_at}' finds nothing there; a default can follow it: | default(\"\")")


def render(template: Template, scope: Mapping[str, Any]) -> Any:
    """The value of a template: of any type when it is one expression, else text.

    Raises:
        EvaluationError: a path leads nowhere, a filter can't take the value, or the text gets too long.
    """
    if template.single is not None:
        value = _evaluate(template.single, scope)
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise EvaluationError(f"the text is longer than {MAX_TEXT} characters")
        return value
    pieces: list[str] = []
    length = 0
    for part in template.parts:
        piece = part if isinstance(part, str) else as_text(_evaluate(part, scope))
        length += len(piece)
        if length > MAX_TEXT:
            raise EvaluationError(f"the text is longer than {MAX_TEXT} characters")
        pieces.append(piece)
    return "".join(pieces)


def render_text(template: Template, scope: Mapping[str, Any]) -> str:
    """The value of a template as text.

    Raises:
        EvaluationError: as `render`.
    """
    text = as_text(render(template, scope))
    if len(text) > MAX_TEXT:
        raise EvaluationError(f"the text is longer than {MAX_TEXT} characters")
    return text
