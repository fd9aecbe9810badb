"""What leaves on stdout: one JSON document, or lines for people; colours only where a person looks."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
STATE_COLOURS = {
    "completed": "green",
    "done": "green",
    "ready": "green",
    "restored": "green",
    "approved": "green",
    "accepted": "green",
    "allow": "green",
    "running": "cyan",
    "verifying": "cyan",
    "started": "cyan",
    "waiting_approval": "yellow",
    "pending": "yellow",
    "held": "yellow",
    "ask": "yellow",
    "destructive": "yellow",
    "changed": "yellow",
    "escalated": "red",
    "failed": "red",
    "timed_out": "red",
    "in_doubt": "red",
    "denied": "red",
    "deny": "red",
    "rejected": "red",
    "diverged": "red",
    "impossible": "red",
    "parked": "red",
    "quarantined": "red",
}


@dataclass(frozen=True)
class Paint:
    """Colours for a terminal, or nothing for everything else."""

    on: bool = False

    def __call__(self, text: str, colour: str | None) -> str:
        """The text in a colour: bold, dim, red, green, yellow, cyan."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.on and colour else text

    def state(self, word: str) -> str:
        """A state, decision or class in the colour that goes with it."""
        return self(word, STATE_COLOURS.get(word))


def paint_for(stream: TextIO, env: Mapping[str, str] | None = None) -> Paint:
    """Colours if the stream is a terminal and nobody asked for none."""
    env = os.environ if env is None else env
    return Paint(stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb")


def terminal_width(stream: TextIO) -> int | None:
    """The width to cut tables to; None for a file or a pipe, where nothing is cut."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def table(head: Sequence[str], rows: Iterable[Sequence[str]], paint: Paint, width: int | None = None) -> list[str]:
    """Aligned columns; the last one is cut to `width`. Cells that are states get their colour."""
    body = [list(row) for row in rows]
    columns = [max(len(row[n]) for row in [list(head), *body]) for n in range(len(head))]
    lines = [paint("  ".join(f"{name.upper():<{columns[n]}}" for n, name in enumerate(head)).rstrip(), "dim")]
    for row in body:
        used = sum(columns[:-1]) + 2 * (len(columns) - 1)
        if width is not None and used + len(row[-1]) > width:
            row[-1] = row[-1][: max(1, width - used - 1)] + "…"
        cells = [paint.state(cell) + " " * (columns[n] - len(cell)) for n, cell in enumerate(row[:-1])]
        lines.append("  ".join([*cells, paint.state(row[-1])]).rstrip())
    return lines


def fields(pairs: Iterable[tuple[str, str | None]], paint: Paint, indent: int = 2) -> list[str]:
    """`name  value` lines with the names aligned; what is None or empty is left out."""
    kept = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in kept), default=0)
    lines = []
    for name, value in kept:
        first, *more = (value or "").splitlines() or [""]
        lines.append(f"{'':{indent}}{paint(f'{name:<{width}}', 'dim')}  {first}")
        lines += [f"{'':{indent + width + 2}}{line}" for line in more]
    return lines


def emit(document: Any, lines: Iterable[str], *, as_json: bool) -> None:
    """Print the document as JSON, or the lines."""
    if as_json:
        print(json.dumps(enveloped(document), ensure_ascii=False))
    else:
        print("\n".join(lines))


def enveloped(document: Any) -> dict[str, Any]:
    """The document with the version of the format; a list becomes `items`."""
    if isinstance(document, Mapping):
        return {"v": 1, **document}
    return {"v": 1, "items": list(document)}


def stream_line(document: Mapping[str, Any]) -> None:
    """Print one line of NDJSON, at once."""
    print(json.dumps(enveloped(document), ensure_ascii=False), flush=True)


def progress(text: str) -> None:
    """Say on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)


def asked_yes(question: str) -> bool:
    """Ask on the terminal; only a plain yes is one."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def interactive() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
