"""Folders that their owner may not write to, opened for as long as names in them change, and closed again.

A command may make a folder writable, change it and protect it again; bringing that about, and taking it back, does the
same. Each folder is written down before it is opened, so that the next server closes what a killed one left open.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from interlock.model import Conflict, UserError
from interlock.servers.workspace.limits import OPENINGS_BYTES
from interlock.servers.workspace.paths import OPENINGS_NAME, Parts, named, parse_path, show
from interlock.servers.workspace.root import Root, open_file

OPEN_MODE = 0o700
CHANGE_BITS = 0o300  # what the owner needs to add and remove names in a folder
NEW_RECORD_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
# The set-id bits are left out of comparisons: the system may drop them when a mode is set.
COMPARED_BITS = 0o1777


@dataclass(frozen=True)
class OpenFolder:
    """Give the owner all rights to a folder until the end of the plan, if it still is what was seen.

    Attributes:
        parts: the folder.
        inode: of the folder that was seen, so that another one in its place is never touched.
        mode: that was seen.
        back: the mode at the end, unless another step sets one.
    """

    parts: Parts
    inode: int
    mode: int
    back: int

    @property
    def opened(self) -> int:
        """The mode in between."""
        return self.mode | OPEN_MODE


def opening(root: Root, folder: Parts, planned: int | None) -> OpenFolder | None:
    """The step that lets names in a folder be changed; None when they can be already.

    Args:
        root: the root.
        folder: a folder that exists.
        planned: the mode that the plan leads to, when it is about the folder itself.

    Raises:
        UserError: the folder is write-protected, and its mode is not ours to set or not the reason.
    """
    with root.folder(folder) as fd:
        if os.access(".", os.W_OK | os.X_OK, dir_fd=fd, effective_ids=True):
            return None
        info = os.fstat(fd)
    mode = stat.S_IMODE(info.st_mode)
    if info.st_uid != os.geteuid() or mode & CHANGE_BITS == CHANGE_BITS:
        raise UserError(
            f"{named(folder)} is write-protected, and this server can't open it: it belongs to another user, or the "
            "disk is read-only. Give this user the right to write there."
        )
    opened = mode | OPEN_MODE
    # When the plan leads to the mode in between, nobody could tell later which of the two it is.
    return OpenFolder(folder, info.st_ino, mode, opened if planned == opened else mode)


class Openings:
    """Opens folders, and writes each one down before; used by one call at a time, which holds the root's lock.

    Args:
        root: whose folders are opened.
        place: the folder in which the record is while folders are open; without one it is the root itself, under a
            name of our own. Where a record can't be made (the root itself is write-protected), only this process
            knows what is open.
    """

    def __init__(self, root: Root, place: Root | None = None) -> None:
        self._root = root
        self._place = place or root
        self._open: list[OpenFolder] = []
        self._written = 0
        self._record: int | None = None

    def open(self, step: OpenFolder) -> None:
        """Open a folder until `put_back`.

        Raises:
            Conflict: it is not as it was seen.
            UserError: a link is in the way.
            OSError: the system refuses.
        """
        with self._root.folder(step.parts) as fd:
            info = os.fstat(fd)
            if (info.st_ino, stat.S_IMODE(info.st_mode)) != (step.inode, step.mode):
                raise Conflict(f"{named(step.parts)} was changed by something else meanwhile; look again.")
            self._open.append(step)
            self._write()
            os.fchmod(fd, step.opened)

    def put_back(self) -> None:
        """Close what is open, also what a killed server left open; a mode that others set since then stays.

        Raises:
            OSError: the system refuses; then the record is kept for the next time.
        """
        steps = sorted({*self._open, *self._left()}, key=lambda step: step.parts, reverse=True)
        inside = self._place is self._root
        last = [step for step in steps if inside and not step.parts]  # once closed, the record could not be removed
        for step in steps:
            if step not in last:
                self._close(step)
        self._forget()
        for step in last:
            self._close(step)

    def is_left(self) -> bool:
        """Whether there is a record: a call is working, or a server was killed."""
        with self._place.folder(()) as fd:
            return os.access(OPENINGS_NAME, os.F_OK, dir_fd=fd, follow_symlinks=False)

    def _close(self, step: OpenFolder) -> None:
        # What a step of the plan, or somebody else, removed or replaced by a link needs no closing.
        with suppress(FileNotFoundError, NotADirectoryError, UserError), self._root.folder(step.parts) as fd:
            info = os.fstat(fd)
            as_opened = info.st_ino == step.inode and not (info.st_mode ^ step.opened) & COMPARED_BITS
            if as_opened and step.back != step.opened and os.geteuid() in (0, info.st_uid):
                os.fchmod(fd, step.back)
                os.fsync(fd)

    def _write(self) -> None:
        with suppress(PermissionError), self._place.folder(()) as fd:
            if self._record is None:
                self._record = os.open(OPENINGS_NAME, NEW_RECORD_FLAGS, 0o600, dir_fd=fd)
                os.fsync(fd)
            rest = "".join(_line(step) for step in self._open[self._written :]).encode()
            while rest:
                rest = rest[os.write(self._record, rest) :]
            os.fsync(self._record)
            self._written = len(self._open)

    def _left(self) -> Iterator[OpenFolder]:
        try:
            with (
                self._place.folder(()) as fd,
                open_file(fd, (OPENINGS_NAME,)) as record,
                os.fdopen(record, "rb", closefd=False) as lines,
            ):
                data = lines.read(OPENINGS_BYTES)
        except (FileNotFoundError, PermissionError, UserError):
            return
        for line in data.splitlines():
            with suppress(ValueError, KeyError, TypeError, UserError):  # the last line may be half of one
                yield _read(line)

    def _forget(self) -> None:
        self._open.clear()
        self._written = 0
        if self._record is not None:
            os.close(self._record)
            self._record = None
        if self.is_left():
            # A folder of that name is nobody's record; it stays, and is not read either.
            with suppress(FileNotFoundError, IsADirectoryError), self._place.folder(()) as fd:
                os.unlink(OPENINGS_NAME, dir_fd=fd)


def _line(step: OpenFolder) -> str:
    return json.dumps({**vars(step), "parts": show(step.parts)}) + "\n"


def _read(line: bytes) -> OpenFolder:
    data = json.loads(line)
    inode, mode, back = int(data["inode"]), int(data["mode"]), int(data["back"])
    if mode & ~0o7777 or back not in (mode, mode | OPEN_MODE):
        raise ValueError("no record of ours")
    return OpenFolder(parse_path(data["parts"]), inode, mode, back)
