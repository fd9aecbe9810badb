"""A command on the folder itself, where there can be no copy: measured as far as that goes, and final."""

import threading
from typing import Any

from interlock.model import InterlockError
from interlock.servers.shell.limits import SCANNED_ENTRIES
from interlock.servers.shell.marks import Mark, Marks, scan
from interlock.servers.shell.running import Ended, run
from interlock.servers.shell.scratch import Scratch
from interlock.servers.shell.walls import Request, Walls
from interlock.servers.workspace.effect import Change, Effect
from interlock.servers.workspace.entries import Entry
from interlock.servers.workspace.paths import Parts
from interlock.servers.workspace.root import Root


def run_in_place(
    root: Root, walls: Walls, scratch: Scratch, request: Request, stop: threading.Event
) -> tuple[Ended, Effect | None]:
    """Run a command; how it ended and what changed, or None when there was too much to look at.

    Raises:
        Exhausted: another call is working in the folder.
        ToolUnavailable: the command can't be confined.
        OSError: it can't be started.
    """
    with root.exclusive(), scratch.home() as home:
        before = _marks(root, walls)
        ended = run(walls.order(request, home, None), stop)
        after = None if before is None else _marks(root, walls)
    if before is None or after is None:
        return ended, None
    return ended, Effect(tuple(_changes(before, after)))


def effect_in_place(effect: Effect | None) -> dict[str, Any]:
    """Shape as that of any effect, with `in_place`; there is no diff, since the files as they were are gone."""
    if effect is None:
        return {"in_place": True, "measured": False}
    return {**effect.to_json(), "diff": "", "in_place": True, "measured": True}


def _marks(root: Root, walls: Walls) -> Marks | None:
    try:
        return scan(root, SCANNED_ENTRIES, walls.apart)
    except (InterlockError, OSError):
        return None


def _changes(before: Marks, after: Marks) -> list[Change]:
    found = []
    for parts in sorted(before.keys() | after.keys()):
        old, new = before.get(parts), after.get(parts)
        if old == new or "special" in (old.kind if old else "", new.kind if new else ""):
            continue
        if old is not None and new is not None and old.kind != new.kind:
            found += [Change("deleted", _entry(parts, old), None), Change("created", None, _entry(parts, new))]
            continue
        change = "created" if old is None else "deleted" if new is None else "modified"
        found.append(Change(change, _entry(parts, old), _entry(parts, new)))
    return found


def _entry(parts: Parts, mark: Mark | None) -> Entry | None:
    if mark is None:
        return None
    name = tuple(part.encode(errors="replace").decode() for part in parts)
    return Entry(name, mark.kind, mode=mark.mode & 0o7777, mtime_ns=mark.mtime_ns, size=mark.size)
