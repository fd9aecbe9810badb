"""Differences of two texts as people read them (unified diff), with a bound on the work as well as on the size."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TypeAlias

from interlock.servers.workspace.limits import DIFF_BYTES, DIFF_CONTEXT_LINES, DIFF_LINES

CUT = "... the diff goes on; cut at 64 KiB ...\n"

Opcode: TypeAlias = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class Side:
    """One side of a difference: the name in the header and the lines."""

    name: str
    lines: list[str]


def lines_of(content: bytes | None) -> list[str] | None:
    """The lines of a text with their ends; none for nothing; None when it is binary."""
    if content is None:
        return []
    if b"\x00" in content:
        return None
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError:
        return None
    ended = [f"{line}\n" for line in lines[:-1]]
    return [*ended, lines[-1]] if lines[-1] else ended


def unified(before: Side, after: Side) -> str:
    """The unified diff with its two header lines."""
    text = [f"--- {before.name}\n", f"+++ {after.name}\n"]
    for hunk in _hunks(_opcodes(before.lines, after.lines)):
        text.append(_header(hunk))
        for tag, start_a, end_a, start_b, end_b in hunk:
            if tag == "equal":
                text += [_line(" ", line) for line in before.lines[start_a:end_a]]
            else:
                text += [_line("-", line) for line in before.lines[start_a:end_a]]
                text += [_line("+", line) for line in after.lines[start_b:end_b]]
    return "".join(text)


def bounded(pieces: Iterator[str]) -> str:
    """The pieces joined, at most 64 KiB; pieces beyond that are not even asked for."""
    text = bytearray()
    for piece in pieces:
        text += piece.encode(errors="replace")
        if len(text) > DIFF_BYTES:
            head = bytes(text[: DIFF_BYTES - len(CUT) - 1]).decode(errors="ignore")
            return f"{head}\n{CUT}"
    return text.decode()


def _opcodes(old: list[str], new: list[str]) -> list[Opcode]:
    """What to do to get from old to new; common ends are split off first, since most edits are small."""
    shorter = min(len(old), len(new))
    head = next((index for index in range(shorter) if old[index] != new[index]), shorter)
    rest = shorter - head
    tail = next((index for index in range(rest) if old[-1 - index] != new[-1 - index]), rest)
    middle_old, middle_new = old[head : len(old) - tail], new[head : len(new) - tail]
    found: list[Opcode] = []
    if head:
        found.append(("equal", 0, head, 0, head))
    if len(middle_old) > DIFF_LINES or len(middle_new) > DIFF_LINES:
        found.append(("replace", head, head + len(middle_old), head, head + len(middle_new)))
    else:
        matcher = SequenceMatcher(None, middle_old, middle_new)
        found += [(tag, a + head, b + head, c + head, d + head) for tag, a, b, c, d in matcher.get_opcodes()]
    if tail:
        found.append(("equal", len(old) - tail, len(old), len(new) - tail, len(new)))
    return found


def _hunks(opcodes: list[Opcode]) -> Iterator[list[Opcode]]:
    """Changes that are near each other, each group with a few equal lines around."""
    context = DIFF_CONTEXT_LINES
    hunk: list[Opcode] = []
    for index, (tag, start_a, end_a, start_b, end_b) in enumerate(opcodes):
        if tag != "equal":
            hunk.append((tag, start_a, end_a, start_b, end_b))
            continue
        size = end_a - start_a
        first, last = index == 0, index == len(opcodes) - 1
        if not first and (last or size > 2 * context):
            kept = min(context, size)
            yield [*hunk, (tag, start_a, start_a + kept, start_b, start_b + kept)]
            hunk = []
        if first or (not last and size > 2 * context):
            kept = min(context, size)
            hunk = [(tag, end_a - kept, end_a, end_b - kept, end_b)]
        elif not last:
            hunk.append((tag, start_a, end_a, start_b, end_b))
    if any(tag != "equal" for tag, *_ in hunk):
        yield hunk


def _header(hunk: list[Opcode]) -> str:
    start_a, end_a, start_b, end_b = hunk[0][1], hunk[-1][2], hunk[0][3], hunk[-1][4]
    return f"@@ -{_range(start_a, end_a)} +{_range(start_b, end_b)} @@\n"


def _range(start: int, end: int) -> str:
    size = end - start
    if size == 1:
        return str(start + 1)
    return f"{start + 1 if size else start},{size}"


def _line(mark: str, line: str) -> str:
    return f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"
