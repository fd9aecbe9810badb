"""A command on the copy: run, measured, and its effect kept; the folder itself stays as it is."""

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from interlock.config import Clock
from interlock.model import Conflict, Exhausted, InterlockError, UserError
from interlock.servers.shell.guards import NOTHING_DONE, require_harmless, require_outside
from interlock.servers.shell.held import Held, Store, key_of
from interlock.servers.shell.limits import TOUCHED_PATHS
from interlock.servers.shell.marks import Marks, fingerprint, mark_of
from interlock.servers.shell.running import Ended, run
from interlock.servers.shell.scratch import Scratch
from interlock.servers.shell.shadow import Shadow
from interlock.servers.shell.walls import Request, Walls
from interlock.servers.workspace.effect import Effect, effect_between
from interlock.servers.workspace.entries import State
from interlock.servers.workspace.paths import Parts, named, show, topmost
from interlock.servers.workspace.root import Root
from interlock.servers.workspace.snapshot import Keep, capture


@dataclass(frozen=True)
class NotStaged:
    """There can be no copy to run on, and why."""

    why: str


class Staging:
    """Runs commands on a copy of the root, one at a time."""

    def __init__(self, root: Root, walls: Walls, scratch: Scratch, clock: Clock) -> None:
        self._root = root
        self._walls = walls
        self._scratch = scratch
        self._clock = clock
        self.store = Store(scratch.held, clock)
        self._shadow = Shadow(root, scratch.own / "tree", walls.apart, clock)

    def stage(self, request: Request, stop: threading.Event) -> Held | Ended | NotStaged:
        """The effect of a command, or how it was cut short; without network an effect that is held is given again.

        Raises:
            UserError: the effect is not let through, or could not be taken back.
            Conflict: something else changed the root meanwhile.
            OSError: the root can't be read, or the disk is full.
        """
        with self._root.exclusive():
            try:
                marks = self._shadow.sync()
            except Exhausted as error:
                return NotStaged(f"The folder can't be copied to try the command: {error.message}")
        key = key_of(request.args, fingerprint(marks))
        if not self._walls.network and (found := self.store.find(key)):
            return found
        with self._scratch.home() as home:
            ended = run(self._walls.order(request, home, self._shadow.place), stop)
        try:
            before, changed = self._shadow.changed()
            if ended.cut_short:
                return ended
            return self._measure(request, ended, key, _Found(marks, before, changed))
        except (Exhausted, OSError) as error:
            why = error.message if isinstance(error, InterlockError) else (error.strerror or "unknown").lower()
            raise UserError(f"What the command changes can't be recorded, so it is not kept: {why}") from error

    def _measure(self, request: Request, ended: Ended, key: str, found: "_Found") -> Held:
        left_out = self._without_special(found)
        touched = topmost(tuple(found.changed))
        if len(touched) > TOUCHED_PATHS:
            raise UserError(f"The command would change more than {TOUCHED_PATHS:,} paths. {NOTHING_DONE}")
        require_outside(touched, self._walls.apart)
        after = capture(self._shadow.copy, touched, Keep.FOR_DIFF)
        with self._root.exclusive():
            before = capture(self._root, touched, Keep.FOR_DIFF)
            self._require_unmoved(before, found.root)
        touched = _really(touched, before, after)
        before, after = _within(before, touched), _within(after, touched)
        _require_ours(before, after)
        effect = effect_between(before, after)
        require_harmless(effect)
        folder = self._scratch.new_folder()
        held = Held(
            folder=folder,
            args=request.args,
            ended=ended,
            at=self._clock.now().isoformat(timespec="seconds"),
            touched=touched,
            before=before,
            after=after,
            effect=effect.to_json(),
            summary=summary_of(effect, left_out),
            left_out=left_out,
        )
        return self.store.keep(key, held, self._shadow)

    def _without_special(self, found: "_Found") -> tuple[str, ...]:
        """Take pipes, sockets and devices that are new out of the copy; those of the root must stay."""
        left_out = []
        for parts in sorted(found.changed):
            old, new = found.before.get(parts), self._shadow.now(parts)
            if old is not None and old.kind == "special":
                raise UserError(f"The command would change {named(parts)}, a pipe or the like. {NOTHING_DONE}")
            if new is not None and new.kind == "special":
                self._shadow.drop(parts)
                left_out.append(show(parts).encode(errors="replace").decode())
                if old is None:
                    found.changed.discard(parts)
        return tuple(left_out)

    def _require_unmoved(self, before: State, marks: Marks) -> None:
        """Check that what the command touches still is what was copied."""
        for entry in before.values():
            info = None if entry.kind == "missing" else self._root.lstat(entry.parts)
            if marks.get(entry.parts) != (None if info is None else mark_of(info)):
                raise Conflict(f"{named(entry.parts)} was changed by something else meanwhile. {NOTHING_DONE}")

    def discard(self) -> None:
        """Throw the copy away."""
        self._shadow.discard()


@dataclass(frozen=True)
class _Found:
    """The root as it was copied, the copy before the command, and the paths that differ after it."""

    root: Marks
    before: Marks
    changed: set[Parts]


def _really(touched: tuple[Parts, ...], before: State, after: State) -> tuple[Parts, ...]:
    """Those paths that hold a difference: in kind, mode, content, target, or in the time of a file."""
    tops = set(touched)
    kept = set()
    for parts in before.keys() | after.keys():
        old, new = before.get(parts), after.get(parts)
        later = bool(old and new and old.kind == "file" and old.mtime_ns != new.mtime_ns)
        if old is None or new is None or old.identity != new.identity or later:
            kept.add(next(parts[:depth] for depth in range(len(parts) + 1) if parts[:depth] in tops))
    return tuple(sorted(kept))


def _within(state: State, tops: Iterable[Parts]) -> State:
    wanted = set(tops)
    return {
        parts: entry
        for parts, entry in state.items()
        if any(parts[:depth] in wanted for depth in range(len(parts) + 1))
    }


def _require_ours(before: State, after: State) -> None:
    for parts, old in before.items():
        new = after.get(parts)
        foreign = new is not None and new.kind != "missing" and old.owner not in (None, new.owner)
        if foreign and os.geteuid() != 0:
            raise UserError(f"{named(parts)} belongs to another user and can't be changed. {NOTHING_DONE}")


def summary_of(effect: Effect, left_out: tuple[str, ...]) -> str:
    """What changed, in a few lines for a model; empty when nothing did."""
    lines = [effect.summary()] if effect.changes else []
    if left_out:
        lines.append(f"not kept, since it is a pipe, socket or device: {', '.join(left_out[:5])}")
    return "\n".join(lines)
