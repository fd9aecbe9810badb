"""Taking the state of paths from the disk: they, and everything below them, without following links."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum

from interlock.model import Exhausted, UserError
from interlock.servers.workspace.entries import Entry, State, entry_of, state_of
from interlock.servers.workspace.limits import (
    DEPTH,
    DIFF_FILE_BYTES,
    DIFF_KEPT_BYTES,
    HASHED_BYTES,
    MIB,
    SNAPSHOT_CONTENT_BYTES,
    SNAPSHOT_ENTRIES,
)
from interlock.servers.workspace.paths import Parts, is_temporary, named, topmost
from interlock.servers.workspace.root import FOLDER_FLAGS, Root, kind_of, open_file

CHUNK_BYTES = MIB


class Keep(Enum):
    """How much of the files' content a snapshot keeps."""

    NOTHING = "nothing"
    FOR_DIFF = "for_diff"  # small files, up to a total; the rest is only hashed
    ALL = "all"  # all of it, or refuse


@dataclass
class _Capture:
    keep: Keep
    entries: list[Entry] = field(default_factory=list)
    hashed_bytes: int = 0
    kept_bytes: int = 0

    def add(self, entry: Entry) -> None:
        if len(self.entries) >= SNAPSHOT_ENTRIES:
            raise Exhausted(f"There are more than {SNAPSHOT_ENTRIES:,} files and folders; name smaller folders.")
        self.entries.append(entry)

    def folder(self, fd: int, parts: Parts) -> None:
        self.add(entry_of(parts, "dir", os.fstat(fd)))
        if len(parts) > DEPTH:
            raise Exhausted(f"{named(parts)} lies more than {DEPTH} folders deep; it can't be recorded.")
        for name in sorted(os.listdir(fd)):
            if not is_temporary(name):
                self.entry(fd, (*parts, name))

    def entry(self, parent: int, parts: Parts) -> None:
        if not _is_unicode(parts[-1]):
            raise UserError(f"{named(parts[:-1])} holds a name that is not valid UTF-8; it can't be recorded.")
        info = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
        kind = kind_of(info)
        if kind == "dir":
            fd = os.open(parts[-1], FOLDER_FLAGS, dir_fd=parent)
            try:
                self.folder(fd, parts)
            finally:
                os.close(fd)
        elif kind == "symlink":
            target = os.readlink(parts[-1], dir_fd=parent)
            if not _is_unicode(target):
                raise UserError(f"{named(parts)} is a link to a name that is not valid UTF-8; it can't be recorded.")
            self.add(replace(entry_of(parts, kind, info), target=target, size=len(target.encode())))
        elif kind == "file":
            with open_file(parent, parts) as fd:
                self.file(fd, parts)
        else:
            raise UserError(f"{named(parts)} is a pipe, socket or device; it can't be recorded or changed here.")

    def file(self, fd: int, parts: Parts) -> None:
        info = os.fstat(fd)
        keeps = self._keeps(info.st_size)
        digest, size, kept = hashlib.sha256(), 0, bytearray()
        while chunk := os.read(fd, CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            self.hashed_bytes += len(chunk)
            if self.hashed_bytes > HASHED_BYTES:
                raise Exhausted(f"The files have more than {HASHED_BYTES // MIB:,} MiB; name smaller folders.")
            if keeps:
                kept += chunk
                self._count_kept(len(chunk))
        found = replace(entry_of(parts, "file", info), size=size, sha256=digest.hexdigest())
        self.add(replace(found, content=bytes(kept)) if keeps else found)

    def _keeps(self, size_bytes: int) -> bool:
        if self.keep is Keep.FOR_DIFF:
            return size_bytes <= DIFF_FILE_BYTES and self.kept_bytes + size_bytes <= DIFF_KEPT_BYTES
        return self.keep is Keep.ALL

    def _count_kept(self, size_bytes: int) -> None:
        self.kept_bytes += size_bytes
        if self.keep is Keep.ALL and self.kept_bytes > SNAPSHOT_CONTENT_BYTES:
            raise Exhausted(
                f"The files have more than {SNAPSHOT_CONTENT_BYTES // MIB} MiB of content, which is too much to keep."
            )


def capture(root: Root, paths: Iterable[Parts], keep: Keep) -> State:
    """The present state of the paths and of everything below them, sorted by path.

    Raises:
        UserError: a link leads to a path, or something can't be recorded (a pipe, a name that is not UTF-8).
        Exhausted: there is too much of it.
        OSError: something may not be read, or vanished meanwhile.
    """
    found = _Capture(keep)
    for parts in topmost(tuple(paths)):
        if not parts:
            with root.folder(parts) as fd:
                found.folder(fd, parts)
        elif root.lstat(parts) is None:
            found.add(Entry(parts, "missing"))
        else:
            with root.folder(parts[:-1]) as parent:
                found.entry(parent, parts)
    return state_of(found.entries)


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
