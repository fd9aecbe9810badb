"""How the help of one command looks: aligned columns that read well on a terminal, in a pipe and aloud."""

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

_MAX_NAME = 30
_NOTHING = frozenset({"", '""', "False", "[]", "None"})


class HelpPage:
    """The formatter that cyclopts calls, once for each panel."""

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        """Print one panel: commands, arguments or options."""
        del options
        if not panel.entries:
            return
        self._say(console, f"{panel.title}:" if panel.title else "")
        names = [_names(entry) for entry in panel.entries]
        column = min(_MAX_NAME, max(len(name) for name in names)) + 4
        for name, entry in zip(names, panel.entries, strict=True):
            words = textwrap.wrap(_words(entry), max(20, console.width - column)) or [""]
            label = name
            if len(name) + 4 > column:
                self._say(console, f"  {name}")
                label = ""
            self._say(console, f"  {label:<{column - 2}}{words[0]}".rstrip())
            for line in words[1:]:
                self._say(console, " " * column + line)
        self._say(console, "")

    def render_usage(self, console: "Console", options: "ConsoleOptions", usage: Any) -> None:
        """Print the line that shows how the command is typed."""
        del options
        text = _plain(usage)
        if text:
            self._say(console, text if text.startswith("Usage:") else f"Usage: {text}")
            self._say(console, "")

    def render_description(self, console: "Console", options: "ConsoleOptions", description: Any) -> None:
        """Print what the command does."""
        del options
        for line in _plain(description).splitlines():
            self._say(console, line)
        self._say(console, "")

    def _say(self, console: "Console", text: str) -> None:
        console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _names(entry: "HelpEntry") -> str:
    return ", ".join(entry.display_labels_with_metavar)


def _words(entry: "HelpEntry") -> str:
    parts = [_plain(entry.description)]
    if entry.choices:
        parts.append(f"[{', '.join(entry.choices)}]")
    if entry.default is not None and _plain(entry.default) not in _NOTHING:
        parts.append(f"[default: {_plain(entry.default)}]")
    if entry.required:
        parts.append("[required]")
    return " ".join(part for part in parts if part)


def _plain(found: Any) -> str:
    """The text of what cyclopts hands over: one of its own texts, which wraps one of rich, or a plain one."""
    if found is None:
        return ""
    inner = getattr(found, "primary_renderable", found)
    return str(getattr(inner, "plain", inner)).strip()
