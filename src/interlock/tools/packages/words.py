"""What the command lines of `npx` and `uvx` have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from interlock.config import PackageName
from interlock.model import ConfigError

HOW = "expected `package: pypi:NAME==VERSION` or `package: npm:NAME@VERSION` instead"


@dataclass(frozen=True)
class Launched:
    """What a program that fetches packages was asked to start.

    Attributes:
        package: what to install.
        more: further requirements that it is installed with.
        entry: the program of it; None for the one that it is known by.
        args: what the program is given.
    """

    package: PackageName
    more: tuple[str, ...]
    entry: str | None
    args: tuple[str, ...]


class Words:
    """The words of a command line, taken one after the other."""

    def __init__(self, program: str, words: tuple[str, ...]) -> None:
        self._program = program
        self._left = list(words)

    def option(self, takes_value: frozenset[str], flags: frozenset[str]) -> tuple[str, str] | None:
        """The next option with its value, empty for a flag; None once the first word that is no option comes.

        Raises:
            ConfigError: the option is one that can't be carried over, or its value is missing.
        """
        if not self._left or not self._left[0].startswith("-") or self._left[0] == "-":
            return None
        word = self._left.pop(0)
        if word == "--":
            return None
        name, equals, value = word.partition("=")
        if name in flags:
            return name, ""
        if name not in takes_value:
            self.refuse(f"the option '{_shown(name)}' can't be carried over")
        if not equals:
            if not self._left:
                self.refuse(f"the option '{_shown(name)}' has no value")
            value = self._left.pop(0)
        return name, value

    def first(self) -> str:
        """The next word, which must be there.

        Raises:
            ConfigError: it is not.
        """
        if not self._left:
            self.refuse("it names no package")
        return self._left.pop(0)

    def rest(self) -> tuple[str, ...]:
        """All that is left."""
        return tuple(self._left)

    def refuse(self, why: str) -> NoReturn:
        """Say that this command line can't be made a pinned, installed package.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"`{self._program}` would fetch code whenever it starts, and {why}; {HOW}")


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:40])


def options_of(words: Words, takes_value: frozenset[str], flags: frozenset[str]) -> Mapping[str, list[str]]:
    """All options before the first other word, with their values in order.

    Raises:
        ConfigError: as `Words.option` does.
    """
    found: dict[str, list[str]] = {}
    while (option := words.option(takes_value, flags)) is not None:
        found.setdefault(option[0], []).append(option[1])
    return found
