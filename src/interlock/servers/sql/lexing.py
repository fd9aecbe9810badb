"""A text cut into statements by the lexical rules of its database; strings, names and comments are stepped over."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from interlock.model import UserError

_WORD = r"(?P<word>[^\W\d][\w$]*)"
_END = r"(?P<end>;)"
_RULES = {
    "postgres": re.compile(
        r"(?P<string>[eE]'(?:[^'\\]|\\.|'')*+'|'(?:[^']|'')*+')|(?P<name>\"(?:[^\"]|\"\")*+\")"
        r"|(?P<line>--[^\r\n]*)|(?P<block>/\*)"
        r"|(?P<dollar>\$(?:[^\W\d]\w*)?\$)|(?P<place>\$\d+)"
        rf"|{_WORD}|{_END}|(?P<open>['\"])",
        flags=re.DOTALL,
    ),
    "sqlite": re.compile(
        r"(?P<string>'(?:[^']|'')*+')|(?P<name>\"(?:[^\"]|\"\")*+\"|`(?:[^`]|``)*+`|\[[^\]]*\])"
        r"|(?P<line>--[^\n]*)|(?P<block>/\*)"
        rf"|(?P<place>\?\d*)|{_WORD}|{_END}|(?P<open>['\"`\[])",
        flags=re.DOTALL,
    ),
}


@dataclass
class Piece:
    r"""One statement.

    Attributes:
        text: exactly as it was written.
        plain: the same without comments and with places for parameters that the parser takes.
        words: its words outside of strings and quoted names, in capitals.
        called: names that are followed by a bracket, as the database folds them, and words such as `current_date`.
        strings: the texts of its strings, with their marks.
        disguised: a name is written as `U&"\0061"`, which not every reader takes for what it is.
    """

    text: str = ""
    plain: str = ""
    words: list[str] = field(default_factory=list)
    called: set[str] = field(default_factory=set)
    strings: list[str] = field(default_factory=list)
    disguised: bool = False
    _places: int = 0
    _name: str = ""

    def take(self, kind: str, piece: str, dialect: str) -> None:
        """Go on with the next stretch of the text."""
        if kind == "comment":
            self.plain += " "
            return
        if kind == "place" and dialect == "postgres":
            piece = f"{piece} "  # the parser takes `$1,$` for the mark of a string
        elif kind == "place":
            self._places = int(piece[1:]) if piece[1:] else self._places + 1
            piece = f":p{self._places}"
        elif kind in ("string", "dollar"):
            self.strings.append(piece)
        elif kind == "word":
            self.words.append(piece.upper())
        if kind == "name" and self.plain[-2:].upper() == "U&":
            self.disguised = True
        self._note_call(kind, piece)
        self.plain += piece

    def _note_call(self, kind: str, piece: str) -> None:
        if not kind and piece.lstrip().startswith("(") and self._name:
            self.called.add(self._name)
        if kind == "word":
            self._name = piece.lower()
            if self._name.startswith(("current_", "local")):
                self.called.add(self._name)
        elif kind == "name":
            self._name = piece[1:-1].replace(piece[-1] * 2, piece[-1])
        elif piece.strip():
            self._name = ""


@dataclass(frozen=True)
class _Part:
    """A stretch of the text: `kind` is the name of its rule, or empty for what no rule is about."""

    kind: str
    start: int
    end: int


def cut(text: str, dialect: str) -> list[Piece]:
    """The statements of a text, without empty ones.

    Raises:
        UserError: a string, name or comment does not end.
    """
    found: list[Piece] = []
    start, piece = 0, Piece()
    for part in _parts(text, dialect):
        done = part.kind == "end" and (dialect != "sqlite" or sqlite3.complete_statement(f"{piece.plain};"))
        if done or part.kind == "last":
            piece.text, piece.plain = text[start : part.start].strip(), piece.plain.strip()
            found.append(piece)
            start, piece = part.end, Piece()
        else:
            piece.take(part.kind, text[part.start : part.end], dialect)
    return [one for one in found if one.plain]


def called_in(text: str, dialect: str) -> frozenset[str]:
    """Names that are called in a piece of a statement."""
    return frozenset(name for piece in cut(text, dialect) for name in piece.called)


def _parts(text: str, dialect: str) -> Iterator[_Part]:
    rule, position = _RULES[dialect], 0
    while (match := rule.search(text, position)) is not None:
        if match.start() > position:
            yield _Part("", position, match.start())
        kind = str(match.lastgroup)
        end = _end_of(text, match, kind, dialect)
        yield _Part("comment" if kind in ("line", "block") else kind, match.start(), end)
        position = end
    yield _Part("", position, len(text))
    yield _Part("last", len(text), len(text))


def _end_of(text: str, match: re.Match[str], kind: str, dialect: str) -> int:
    if kind == "block":
        return _comment_end(text, match.end(), nests=dialect == "postgres")
    if kind == "dollar":
        found = text.find(match.group(), match.end())
        if found < 0:
            raise UserError(f"The string that begins with {match.group()[:30]} does not end.")
        return found + len(match.group())
    if kind == "open":
        raise UserError("A string or name in the statement does not end.")
    return match.end()


def _comment_end(text: str, position: int, *, nests: bool) -> int:
    depth = 1
    for match in re.compile(r"/\*|\*/").finditer(text, position):
        if match.group() == "*/":
            depth -= 1
        elif nests:
            depth += 1
        if depth == 0:
            return match.end()
    raise UserError("A comment in the statement does not end.")
