"""Faults found in a file, each with its line and key, and the one error that lists them."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from interlock.model import UserError

MAX_LISTED = 20
_SHOWN_CHARS = 60
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_*-]{1,64}")


@dataclass(frozen=True)
class Problem:
    """One fault of a file.

    Attributes:
        line: where, counted from 1.
        key_path: which key, such as `agents.editor.tools[0]`; empty for the file as a whole.
        text: what was found and what was expected.
    """

    line: int
    key_path: str
    text: str

    def render(self, path: Path) -> str:
        """The message line `file:line: key.path: text`."""
        key = f"{self.key_path}: " if self.key_path else ""
        return f"{path}:{self.line}: {key}{self.text}"


def refuse(path: Path, problems: Iterable[Problem], error_class: type[UserError]) -> NoReturn:
    """Raise `error_class` with one line per problem in file order, at most 20 of them.

    Raises:
        UserError: always; of the given class.
    """
    ordered = sorted(problems, key=lambda problem: problem.line)
    lines = [problem.render(path) for problem in ordered[:MAX_LISTED]]
    if len(ordered) > MAX_LISTED:
        lines.append(f"… and {len(ordered) - MAX_LISTED} more")
    raise error_class("\n".join(lines))


def quoted(text: str) -> str:
    """A text from a file, safe to show on a terminal: one line, escaped, at most 60 characters."""
    shown = text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
    return "'" + "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown) + "'"


def key_step(key: str) -> str:
    """A key as it appears in a key path; in quotes if it is not a plain word."""
    return key if _PLAIN_KEY.fullmatch(key) else quoted(key)


def found_words(value: Any, *, private: bool) -> str:
    """What a value is, for a message; the content of a `private` one is not shown."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if private:
        return "a text" if isinstance(value, str) else "a value that is no text"
    if isinstance(value, str):
        return quoted(value)
    return json.dumps(value, default=str)
