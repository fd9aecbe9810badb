"""What changed between two states: file by file, in numbers, and as a diff."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from interlock.servers.workspace.diff import Side, bounded, lines_of, unified
from interlock.servers.workspace.entries import Entry, State
from interlock.servers.workspace.limits import DIFF_FILE_BYTES, SUMMARY_LINES
from interlock.servers.workspace.paths import Parts, is_below, quoted, show

NOWHERE = "/dev/null"
NOUNS = {"file": "file", "dir": "folder", "symlink": "link"}


@dataclass(frozen=True)
class Change:
    """One path that is different: `before` or `after` is None when nothing is there."""

    change: str  # created, modified, deleted, moved
    before: Entry | None
    after: Entry | None

    @property
    def entry(self) -> Entry:
        """The state to name the change by: the new one, or the old one when there is no new one."""
        found = self.after or self.before
        assert found is not None  # a change has at least one side
        return found

    @property
    def changed_bytes(self) -> int:
        """The bytes at stake: of the file that came or went, the larger of two versions, none for a mere move."""
        if self.change == "moved":
            return 0
        return max(self.before.size if self.before else 0, self.after.size if self.after else 0)

    def to_json(self) -> dict[str, Any]:
        """Shape `{path, kind, change, from, bytes_before, bytes_after, sha256_before, sha256_after}`."""
        moved = self.change == "moved" and self.before is not None
        return {
            "path": show(self.entry.parts),
            "kind": self.entry.kind,
            "change": self.change,
            "from": show(self.before.parts) if moved and self.before else None,
            "bytes_before": self.before.size if self.before else 0,
            "bytes_after": self.after.size if self.after else 0,
            "sha256_before": self.before.sha256 if self.before else None,
            "sha256_after": self.after.sha256 if self.after else None,
        }


@dataclass(frozen=True)
class Effect:
    """All changes between two states, sorted by path."""

    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """Shape `{files: [change], files_changed, folders_changed, bytes_changed, diff}`."""
        folders = sum(change.entry.kind == "dir" for change in self.changes)
        return {
            "files": [change.to_json() for change in self.changes],
            "files_changed": len(self.changes) - folders,
            "folders_changed": folders,
            "bytes_changed": sum(change.changed_bytes for change in self.changes),
            "diff": bounded(_diff(self.changes)),
        }

    def summary(self) -> str:
        """The changes in a few lines for a model."""
        if not self.changes:
            return "Nothing changed: everything already is as asked."
        lines = [_sentence(change) for change in self.changes[:SUMMARY_LINES]]
        more = len(self.changes) - len(lines)
        return "\n".join([*lines, f"... and {more} more"] if more else lines)


def effect_between(before: State, after: State, moves: tuple[tuple[Parts, Parts], ...] = ()) -> Effect:
    """Compare two states of the same paths; a move is one only where the very same thing is at the new path."""
    old = {parts: entry for parts, entry in before.items() if entry.kind != "missing"}
    new = {parts: entry for parts, entry in after.items() if entry.kind != "missing"}
    changes = [Change("moved", old.pop(here), new.pop(there)) for here, there in _moved(old, new, moves)]
    for parts in sorted({*old, *new}):
        changes += _compared(old.get(parts), new.get(parts))
    changes.sort(key=lambda change: (change.entry.parts, change.change))
    return Effect(tuple(changes))


def _moved(old: State, new: State, moves: tuple[tuple[Parts, Parts], ...]) -> list[tuple[Parts, Parts]]:
    found = []
    for source, target in moves:
        for parts, entry in old.items():
            there = (*target, *parts[len(source) :])
            if not is_below(parts, source) or parts in new or there in old or there not in new:
                continue
            if new[there].identity == entry.identity:
                found.append((parts, there))
    return found


def _compared(before: Entry | None, after: Entry | None) -> list[Change]:
    if before is None or after is None:
        return [Change("created" if before is None else "deleted", before, after)]
    if before.kind != after.kind:
        return [Change("deleted", before, None), Change("created", None, after)]
    return [] if before.identity == after.identity else [Change("modified", before, after)]


def _sentence(change: Change) -> str:
    entry = change.entry
    name = quoted(show(entry.parts))
    noun = NOUNS[entry.kind]
    if change.change == "moved" and change.before:
        return f"moved {noun} {quoted(show(change.before.parts))} to {name}"
    if entry.kind != "file":
        return f"{change.change} {noun} {name}"
    sizes = f"{change.before.size:,} -> {entry.size:,}" if change.before and change.after else f"{entry.size:,}"
    return f"{change.change} {name} ({sizes} bytes)"


def _diff(changes: tuple[Change, ...]) -> Iterator[str]:
    for change in changes:
        if change.change == "moved" and change.before:
            if change.entry.kind != "dir":
                yield f"rename from {_name(change.before)}\nrename to {_name(change.entry)}\n"
        elif change.entry.kind == "file":
            yield _file_diff(change)
        elif change.entry.kind == "symlink":
            yield from _link_diff(change)
        elif change.change == "modified":
            yield _mode_line(change)
        else:
            yield f"folder {_name(change.entry)} {change.change}\n"


def _file_diff(change: Change) -> str:
    before, after = change.before, change.after
    mode = _mode_line(change) if before and after and before.mode != after.mode else ""
    if before and after and before.sha256 == after.sha256:
        return mode
    if any(side is not None and (side.size > DIFF_FILE_BYTES or side.content is None) for side in (before, after)):
        return mode + _plain(change, "File", "too large to show")
    old = lines_of(before.content if before else None)
    new = lines_of(after.content if after else None)
    if old is None or new is None:
        return mode + _plain(change, "Binary file", "not shown")
    name_before = f"a/{_name(before)}" if before else NOWHERE
    name_after = f"b/{_name(after)}" if after else NOWHERE
    return mode + unified(Side(name_before, old), Side(name_after, new))


def _link_diff(change: Change) -> Iterator[str]:
    name = _name(change.entry)
    if change.before:
        yield f"- link {name} -> {quoted(change.before.target or '')}\n"
    if change.after:
        yield f"+ link {name} -> {quoted(change.after.target or '')}\n"


def _plain(change: Change, noun: str, why: str) -> str:
    before = change.before.size if change.before else 0
    after = change.after.size if change.after else 0
    return f"{noun} {_name(change.entry)} {change.change} ({before:,} -> {after:,} bytes; {why})\n"


def _mode_line(change: Change) -> str:
    before = change.before.mode if change.before else None
    return f"mode of {_name(change.entry)} {before or 0:04o} -> {change.entry.mode or 0:04o}\n"


def _name(entry: Entry) -> str:
    name = show(entry.parts)
    shown = quoted(name)
    return name if shown == f"'{name}'" else shown
