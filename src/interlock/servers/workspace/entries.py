"""The state of files as data: one entry per path, and one hash over them all."""

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from interlock.model import UserError, canonical_sha256
from interlock.servers.workspace.paths import Parts, named, parse_path, show


@dataclass(frozen=True)
class Entry:
    """One path as it is on the disk; `missing` says that nothing is there.

    Attributes:
        parts: the path below the root.
        kind: `file`, `dir`, `symlink` or `missing`.
        mode: permission bits.
        mtime_ns: time of the last change of content, nanoseconds since 1970.
        size: bytes of a file or of a link's target text; 0 for folders.
        sha256: of a file's content, in hex.
        target: text of a link.
        owner: user and group id.
        content: a file's bytes, when they were kept.
    """

    parts: Parts
    kind: str
    mode: int | None = None
    mtime_ns: int | None = None
    size: int = 0
    sha256: str | None = None
    target: str | None = None
    owner: tuple[int, int] | None = None
    content: bytes | None = field(default=None, repr=False)

    @property
    def identity(self) -> tuple[str, int | None, str | None, str | None]:
        """What makes two states of a path the same: kind, mode, content, target; not time or owner."""
        return (self.kind, self.mode, self.sha256, self.target)

    def to_json(self, *, content: bool) -> dict[str, Any]:
        """Shape `{path, kind, mode, mtime_ns, size, sha256, uid, gid, target?, content?}`.

        `mtime_ns` is decimal text: the number is too big for JSON readers that keep numbers as floats.
        """
        data: dict[str, Any] = {
            "path": show(self.parts),
            "kind": self.kind,
            "mode": self.mode,
            "mtime_ns": None if self.mtime_ns is None else str(self.mtime_ns),
            "size": self.size,
            "sha256": self.sha256,
            "uid": self.owner[0] if self.owner else None,
            "gid": self.owner[1] if self.owner else None,
        }
        if self.target is not None:
            data["target"] = self.target
        if content and self.content is not None:
            data["content"] = base64.b64encode(self.content).decode()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, checking that the content is the one that was hashed.

        Raises:
            UserError: the parts contradict each other.
        """
        parts = parse_path(data["path"])
        kind = data["kind"]
        content = _decoded(parts, data.get("content"))
        if content is not None and hashlib.sha256(content).hexdigest() != data.get("sha256"):
            raise UserError(f"The entry {named(parts)} is damaged: its content does not fit its sha256.")
        if kind == "file" and data.get("sha256") is None:
            raise UserError(f"The entry {named(parts)} is a file without a sha256.")
        if kind == "symlink" and not data.get("target"):
            raise UserError(f"The entry {named(parts)} is a symbolic link without a target.")
        if kind != "missing" and data.get("mode") is None:
            raise UserError(f"The entry {named(parts)} has no mode.")
        uid, gid = data.get("uid"), data.get("gid")
        return cls(
            parts=parts,
            kind=kind,
            mode=data.get("mode"),
            mtime_ns=None if data.get("mtime_ns") is None else int(data["mtime_ns"]),
            size=data.get("size") or 0,
            sha256=data.get("sha256"),
            target=data.get("target"),
            owner=None if uid is None or gid is None else (uid, gid),
            content=content,
        )


State: TypeAlias = dict[Parts, Entry]


def file_entry(parts: Parts, content: bytes, mode: int) -> Entry:
    """The entry of a file with this content, as it will be."""
    digest = hashlib.sha256(content).hexdigest()
    return Entry(parts, "file", mode=mode, size=len(content), sha256=digest, content=content)


def entry_of(parts: Parts, kind: str, info: os.stat_result) -> Entry:
    """The entry of something on the disk, still without content, hash or target."""
    owner = (info.st_uid, info.st_gid)
    return Entry(parts, kind, mode=stat.S_IMODE(info.st_mode), mtime_ns=info.st_mtime_ns, owner=owner)


def state_of(entries: Iterable[Entry]) -> State:
    """Entries by path, in the order of paths."""
    return {entry.parts: entry for entry in sorted(entries, key=lambda entry: entry.parts)}


def state_sha256(state: State) -> str:
    """Hash over the canonical JSON of path, kind, mode, sha256 and target of every entry; not over times or owners."""
    rows = [
        {
            "path": show(entry.parts),
            "kind": entry.kind,
            "mode": entry.mode,
            "sha256": entry.sha256,
            "target": entry.target,
        }
        for _, entry in sorted(state.items())
    ]
    return canonical_sha256(rows)


def _decoded(parts: Parts, text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError(f"The entry {named(parts)} is damaged: its content is no base64.") from error
