"""What a folder looks like without reading its files: a mark per path, by which a change can't go unnoticed.

A mark holds the time of the last change of the inode, which no program can set: whatever changes a file's content,
name, mode or owner changes its mark.
"""

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from interlock.model import Exhausted
from interlock.servers.workspace.limits import DEPTH
from interlock.servers.workspace.paths import Parts, is_temporary, named, show
from interlock.servers.workspace.root import FOLDER_FLAGS, Root, kind_of


class Mark(NamedTuple):
    """One path; times and inode of a folder are 0, since they change with what is inside."""

    kind: str
    mode: int
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    inode: int = 0


Marks: TypeAlias = dict[Parts, Mark]


def mark_of(info: os.stat_result) -> Mark:
    """The mark of something on the disk."""
    kind = kind_of(info)
    if kind == "dir":
        return Mark(kind, info.st_mode)
    return Mark(kind, info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)


@dataclass
class _Scan:
    skip: Collection[Parts]
    limit: int
    found: Marks = field(default_factory=dict)

    def folder(self, fd: int, parts: Parts) -> None:
        with os.scandir(fd) as entries:
            for entry in entries:
                inside = (*parts, entry.name)
                if is_temporary(entry.name) or inside in self.skip:
                    continue
                mark = mark_of(entry.stat(follow_symlinks=False))
                self.found[inside] = mark
                if len(self.found) > self.limit:
                    raise Exhausted(f"There are more than {self.limit:,} files and folders.")
                if mark.kind == "dir":
                    self.below(fd, inside)

    def below(self, parent: int, parts: Parts) -> None:
        if len(parts) > DEPTH:
            raise Exhausted(f"{named(parts[:3])} has more than {DEPTH} folders below each other.")
        fd = os.open(parts[-1], FOLDER_FLAGS, dir_fd=parent)
        try:
            self.folder(fd, parts)
        finally:
            os.close(fd)


def scan(root: Root, limit: int, skip: Collection[Parts] = ()) -> Marks:
    """The marks of everything in a folder, `()` being the folder itself; nothing is followed.

    Args:
        root: the folder.
        limit: how many paths at most.
        skip: paths to leave out, with what is below them.

    Raises:
        Exhausted: there are more, or they lie too deep.
        OSError: a folder may not be read, or something vanished meanwhile.
    """
    looking = _Scan(skip, limit)
    with root.folder(()) as fd:
        looking.found[()] = mark_of(os.fstat(fd))
        looking.folder(fd, ())
    return looking.found


def bytes_of(marks: Marks) -> int:
    """The size of all files."""
    return sum(mark.size for mark in marks.values() if mark.kind == "file")


def fingerprint(marks: Marks) -> str:
    """One hash over all marks: equal means that nothing has changed in between."""
    digest = hashlib.sha256()
    for parts in sorted(marks):
        digest.update(f"{show(parts)}\0{tuple(marks[parts])}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
