"""Doing the steps of a plan on the disk, never following a link; all is durable before the call is answered.

A file is written beside its place under a name of our own, flushed, and renamed into place; what a crash leaves of
that is swept away by the next change in the same folder.
"""

import ctypes
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from interlock.model import Conflict, UserError
from interlock.servers.workspace.entries import Entry
from interlock.servers.workspace.opening import OpenFolder, Openings
from interlock.servers.workspace.paths import OPENINGS_NAME, Parts, is_temporary, named
from interlock.servers.workspace.plan import (
    MakeFolder,
    PutFile,
    PutLink,
    Remove,
    Rename,
    SetFolder,
    Step,
    Touch,
)
from interlock.servers.workspace.root import Root, kind_of, open_file, try_lock

NEW_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
RENAME_NOREPLACE = 1
COPIED_BYTES = 1024 * 1024
LIBC = ctypes.CDLL(None, use_errno=True)


class Disk:
    """Does steps on a root; use it as a context manager, whose end makes the changed folders durable.

    The end also closes the folders that steps opened, whether or not all steps were done.

    Args:
        root: the folder.
        openings: opens folders in it; without one their record is in the root itself.
    """

    def __init__(self, root: Root, openings: Openings | None = None) -> None:
        self._root = root
        self._openings = openings or Openings(root)
        self._opened = False
        self._changed: set[Parts] = set()
        self._swept: set[Parts] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._make_durable()
        finally:
            if self._opened:
                self._openings.put_back()

    def _make_durable(self) -> None:
        for folder in sorted(self._changed):
            # A folder that a later step removed or moved has nothing left to make durable.
            with suppress(FileNotFoundError, NotADirectoryError, UserError), self._root.folder(folder) as fd:
                os.fsync(fd)

    def apply(self, step: Step) -> None:
        """Do one step.

        Raises:
            Conflict: something else changed the path since the plan was made.
            UserError: a link was put in the way since then.
            OSError: the system refuses.
        """
        match step:
            case OpenFolder():
                self._opened = True
                self._openings.open(step)
            case MakeFolder():
                self._make_folder(step)
            case PutFile():
                self._put_file(step)
            case PutLink():
                self._put_link(step)
            case Remove():
                self._remove(step)
            case Rename():
                self._rename(step)
            case SetFolder():
                self._set_folder(step)
            case Touch():
                with self._root.file(step.parts) as fd:
                    _set_time(fd, step.mtime_ns)

    @contextmanager
    def _around(self, parts: Parts) -> Iterator[int]:
        """The open folder in which a name is about to change."""
        with self._root.folder(parts[:-1]) as parent:
            self._changed.add(parts[:-1])
            yield parent

    def _make_folder(self, step: MakeFolder) -> None:
        with self._around(step.parts) as parent:
            os.mkdir(step.parts[-1], 0o700, dir_fd=parent)
        self._changed.add(step.parts)
        with self._root.folder(step.parts) as fd:
            os.fchmod(fd, step.mode)

    def _put_file(self, step: PutFile) -> None:
        with self._around(step.parts) as parent:
            self._sweep(parent, step.parts[:-1])
            name = f".interlock-{secrets.token_hex(8)}.tmp"
            fd = os.open(name, NEW_FILE_FLAGS, 0o600, dir_fd=parent)
            try:
                try_lock(fd)
                _fill(fd, step)
                if step.seen is None:
                    rename_exclusively(parent, name, parent, step.parts[-1])
                else:
                    _require_as_seen(parent, step.seen)
                    os.rename(name, step.parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=parent)
                raise
            finally:
                os.close(fd)

    def _put_link(self, step: PutLink) -> None:
        name = step.parts[-1]
        with self._around(step.parts) as parent:
            os.symlink(step.target, name, dir_fd=parent)
            if step.owner is not None:
                with suppress(PermissionError):
                    os.chown(name, *step.owner, dir_fd=parent, follow_symlinks=False)
            if step.mtime_ns is not None:
                os.utime(name, ns=(step.mtime_ns, step.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _remove(self, step: Remove) -> None:
        name = step.parts[-1]
        with self._around(step.parts) as parent:
            _require_as_seen(parent, step.seen)
            if step.seen.kind == "dir":
                with self._root.folder(step.parts) as fd:
                    self._sweep(fd, step.parts)
                os.rmdir(name, dir_fd=parent)
            else:
                os.unlink(name, dir_fd=parent)

    def _rename(self, step: Rename) -> None:
        with self._around(step.source) as source, self._around(step.target) as target:
            rename_exclusively(source, step.source[-1], target, step.target[-1])

    def _set_folder(self, step: SetFolder) -> None:
        with self._root.folder(step.parts) as fd:
            self._changed.add(step.parts)
            _set_owner(fd, step.owner)
            os.fchmod(fd, step.mode)
            if step.mtime_ns is not None:
                _set_time(fd, step.mtime_ns)

    def _sweep(self, fd: int, folder: Parts) -> None:
        """Remove half-written files that a crash left; one that is being written is locked and stays."""
        if folder in self._swept:
            return
        self._swept.add(folder)
        with suppress(OSError):
            for name in (name for name in os.listdir(fd) if is_temporary(name) and name != OPENINGS_NAME):
                with open_file(fd, (name,)) as file:
                    if try_lock(file):
                        os.unlink(name, dir_fd=fd)


def _fill(fd: int, step: PutFile) -> None:
    if isinstance(step.content, Path):
        with step.content.open("rb") as source, os.fdopen(fd, "wb", closefd=False) as target:
            shutil.copyfileobj(source, target, COPIED_BYTES)
    else:
        rest = memoryview(step.content)
        while rest:
            rest = rest[os.write(fd, rest) :]
    _set_owner(fd, step.owner)
    os.fchmod(fd, step.mode)
    if step.mtime_ns is not None:
        _set_time(fd, step.mtime_ns)
    os.fsync(fd)


def rename_exclusively(source: int, old: str, target: int, new: str) -> None:
    """Rename between two open folders, never replacing anything, whatever happens at the same moment.

    Raises:
        FileExistsError: the new name is taken.
        OSError: the system refuses.
    """
    done = LIBC.renameat2(source, os.fsencode(old), target, os.fsencode(new), RENAME_NOREPLACE)
    if done == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(number, os.strerror(number))
    # This file system knows no exclusive rename: look, then rename.
    with suppress(FileNotFoundError):
        os.stat(new, dir_fd=target, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)


def _require_as_seen(parent: int, seen: Entry) -> None:
    try:
        info = os.stat(seen.parts[-1], dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError as error:
        raise Conflict(f"{named(seen.parts)} was removed by something else meanwhile; look again.") from error
    same_time = seen.kind == "dir" or (seen.mtime_ns == info.st_mtime_ns)
    if kind_of(info) != seen.kind or not same_time:
        raise Conflict(f"{named(seen.parts)} was changed by something else meanwhile; look again.")


def _set_owner(fd: int, owner: tuple[int, int] | None) -> None:
    if owner is None:
        return
    info = os.fstat(fd)
    if (info.st_uid, info.st_gid) != owner:
        with suppress(PermissionError):  # only root may give files away; for others they become their own
            os.fchown(fd, *owner)


def _set_time(fd: int, mtime_ns: int) -> None:
    os.utime(fd, ns=(os.fstat(fd).st_atime_ns, mtime_ns))
