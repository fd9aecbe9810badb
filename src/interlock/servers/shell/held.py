"""Effects that were measured on the copy and wait: for the call they belong to, or to be brought about.

Each is a folder: `result.json`, and the content of new files by hash. It is kept under what it depends on, the command
and the whole state of the folder, so that it is found again exactly as long as a repeat would see the same. It outlives
the server, and so does an approval that is bound to it. A file `begun` says that the folder is being changed.
"""

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from interlock.config import Clock
from interlock.model import UserError, canonical_sha256
from interlock.servers.shell.limits import HELD_BYTES, HELD_RESULTS, HELD_S
from interlock.servers.shell.running import Ended
from interlock.servers.shell.shadow import Shadow, remove_tree
from interlock.servers.workspace.entries import Entry, State, state_of, state_sha256
from interlock.servers.workspace.paths import Parts, parse_path, show

RESULT, BEGUN = "result.json", "begun"
LONG_AGO = datetime.timedelta(seconds=HELD_S)


def key_of(args: dict[str, Any], marks_sha256: str) -> str:
    """What an effect is found by: the command with all its arguments, and the state of the folder."""
    return canonical_sha256({"args": args, "marks": marks_sha256})


@dataclass(frozen=True)
class Held:
    """What a command did on the copy.

    Attributes:
        folder: where it is kept.
        args: the arguments of the call.
        ended: how the command ended.
        touched: the paths that hold all that it changed.
        before, after: their states, without content; that of new files is in `folder`.
        at: when that was, ISO 8601.
        effect: measured, for people and programs.
        summary: the effect in a few lines, for a model; empty when there is none.
        left_out: what it left behind that is no file, folder or link, and is not kept.
    """

    folder: Path
    args: dict[str, Any]
    ended: Ended
    at: str
    touched: tuple[Parts, ...]
    before: State
    after: State
    effect: dict[str, Any]
    summary: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def state_sha256(self) -> str:
        """Hash over the state before."""
        return state_sha256(self.before)

    @property
    def state_sha256_after(self) -> str:
        """Hash over the state after."""
        return state_sha256(self.after)

    def content(self, sha256: str) -> Path:
        """The file with the content of that hash."""
        return self.folder / sha256

    @property
    def begun(self) -> Path:
        """There while the folder is being changed to the state after."""
        return self.folder / BEGUN

    def to_json(self) -> dict[str, Any]:
        """All of it but the folder and the contents."""
        return {
            "args": self.args,
            "ended": vars(self.ended),
            "at": self.at,
            "touched": [show(parts) for parts in self.touched],
            "before": [entry.to_json(content=False) for entry in self.before.values()],
            "after": [entry.to_json(content=False) for entry in self.after.values()],
            "effect": self.effect,
            "summary": self.summary,
            "left_out": list(self.left_out),
        }

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What `to_json` gave, read from a folder.

        Raises:
            OSError: it is not there.
            ValueError: it is damaged.
        """
        data = json.loads((folder / RESULT).read_bytes())
        return cls(
            folder=folder,
            args=data["args"],
            ended=Ended(**data["ended"]),
            at=data["at"],
            touched=tuple(parse_path(text) for text in data["touched"]),
            before=state_of(Entry.from_json(entry) for entry in data["before"]),
            after=state_of(Entry.from_json(entry) for entry in data["after"]),
            effect=data["effect"],
            summary=data["summary"],
            left_out=tuple(data["left_out"]),
        )


class Store:
    """The folder of all that is held for one root; several servers may share it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, key: str, held: Held, shadow: Shadow) -> Held:
        """Move what is new out of the copy, and put it all under its key; of two that come together the first one wins."""
        for entry in held.after.values():
            old = held.before.get(entry.parts)
            if entry.kind == "file" and entry.sha256 and (old is None or old.identity != entry.identity):
                shadow.hand_over(entry.parts, held.content(entry.sha256))
        (held.folder / RESULT).write_text(json.dumps(held.to_json()))
        target = self._folder / key
        remove_tree(target)  # one from long ago, or half of one
        try:
            held.folder.rename(target)
        except OSError:  # another server was faster
            remove_tree(held.folder)
        self._tidy(target)
        return Held.read(target)

    def find(self, key: str) -> Held | None:
        """What is held under a key, unless that was long ago: a command may look at the clock."""
        held = _read(self._folder / key)
        if held is None or self._clock.now() - datetime.datetime.fromisoformat(held.at) > LONG_AGO:
            return None
        return held

    def all(self) -> Iterator[Held]:
        """All that is held, the newest first."""
        for folder in sorted(self._folder.iterdir(), key=_age_ns, reverse=True):
            found = _read(folder)
            if found is not None:
                yield found

    def forget(self, held: Held) -> None:
        """Remove one that was used."""
        remove_tree(held.folder)

    def _tidy(self, newest: Path) -> None:
        """Forget the oldest ones when there are too many, or too much."""
        total = 0
        for count, held in enumerate(self.all(), start=1):
            total += sum(file.stat().st_size for file in held.folder.iterdir())
            over = count > HELD_RESULTS or total > HELD_BYTES
            if over and held.folder != newest and not held.begun.exists():
                remove_tree(held.folder)


def _age_ns(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _read(folder: Path) -> Held | None:
    try:
        return Held.read(folder)
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None
