"""How the disk is reached: from one open descriptor of the root, name by name, never following a link.

Every folder on the way is opened relative to the one above it with O_NOFOLLOW, so a link that is swapped in at any
moment makes the call fail instead of leading outside. Links are followed for reading only, by working out where they
lead as text and then walking there the same way.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interlock.model import Exhausted, UserError
from interlock.servers.workspace.limits import LINKS_FOLLOWED, LOCK_WAIT_S
from interlock.servers.workspace.paths import Parts, named

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
LOCK_POLL_S = 0.01


class Root:
    """The workspace folder, held open for the life of the server.

    Attributes:
        umask: the permission bits that this process takes away from what it makes.
    """

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._real = folder.resolve().parts
        self.umask = os.umask(0o077)
        os.umask(self.umask)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._fd)

    @contextmanager
    def folder(self, parts: Parts) -> Iterator[int]:
        """An open descriptor of a folder, reached without following links.

        Raises:
            UserError: a name on the way is a link.
            OSError: a name on the way is missing or no folder, or may not be entered.
        """
        fd = os.open(".", FOLDER_FLAGS, dir_fd=self._fd)
        try:
            for depth, name in enumerate(parts, start=1):
                child = self._enter(fd, name, parts[:depth])
                os.close(fd)
                fd = child
            yield fd
        finally:
            os.close(fd)

    @staticmethod
    def _enter(fd: int, name: str, parts: Parts) -> int:
        try:
            return os.open(name, FOLDER_FLAGS, dir_fd=fd)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(fd, name):
                raise UserError(
                    f"{named(parts)} is a symbolic link, which is not followed here; give the real path."
                ) from error
            raise

    @contextmanager
    def file(self, parts: Parts) -> Iterator[int]:
        """An open descriptor of a regular file for reading, reached without following links.

        Raises:
            UserError: it is a link, a folder or a special file.
            OSError: it is missing or may not be read.
        """
        with self.folder(parts[:-1]) as parent, open_file(parent, parts) as fd:
            yield fd

    def lstat(self, parts: Parts) -> os.stat_result | None:
        """What is at the path itself (a link is not followed), or None when nothing is.

        Raises:
            UserError: a folder on the way is a link.
        """
        try:
            if not parts:
                return os.fstat(self._fd)
            with self.folder(parts[:-1]) as parent:
                return os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def resolve(self, parts: Parts) -> Parts:
        """Where a path leads for reading once its links are followed; the result holds no links just now.

        The walk to the result still refuses links, so a swap after this look can't lead outside.

        Raises:
            UserError: a link leads outside the root, or links go in circles.
        """
        pending, done, followed = list(reversed(parts)), list[str](), 0
        while pending:
            name = pending.pop()
            if name == "..":
                if not done:
                    raise _outside(parts)
                done.pop()
                continue
            target = self.link_target((*done, name))
            if target is None:
                done.append(name)
                continue
            followed += 1
            if followed > LINKS_FOLLOWED:
                raise UserError(f"{named(parts)} is a symbolic link that leads in circles; give the real path.")
            names = [part for part in target.split("/") if part not in ("", ".")]
            if target.startswith("/"):
                names = self._inside(names, parts)
                done.clear()
            pending.extend(reversed(names))
        return tuple(done)

    def _inside(self, names: list[str], parts: Parts) -> list[str]:
        real = list(self._real[1:])
        if names[: len(real)] != real:
            raise _outside(parts)
        return names[len(real) :]

    def link_target(self, parts: Parts) -> str | None:
        """The text of a symbolic link, or None when the path is none."""
        try:
            with self.folder(parts[:-1]) as parent:
                return os.readlink(parts[-1], dir_fd=parent)
        except OSError:
            return None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the folder's lock, so that no other call of this or another workspace server runs meanwhile.

        Raises:
            Exhausted: another server kept the lock for too long.
        """
        fd = os.open(".", FOLDER_FLAGS, dir_fd=self._fd)
        deadline_s = time.monotonic() + LOCK_WAIT_S
        try:
            while not try_lock(fd):
                if time.monotonic() > deadline_s:
                    raise Exhausted("Another call is working in this workspace; try again in a moment.")
                time.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(fd)


@contextmanager
def open_file(parent: int, parts: Parts) -> Iterator[int]:
    """An open descriptor of a regular file in an open folder.

    Raises:
        UserError: it is a link, a folder or a special file.
        OSError: it is missing or may not be read.
    """
    # Looked at before it is opened: opening a device can already do something.
    _require_regular(os.stat(parts[-1], dir_fd=parent, follow_symlinks=False), parts)
    fd = os.open(parts[-1], FILE_FLAGS, dir_fd=parent)
    try:
        _require_regular(os.fstat(fd), parts)
        yield fd
    finally:
        os.close(fd)


def try_lock(fd: int) -> bool:
    """Take the lock of an open file or folder if nobody has it; closing the descriptor releases it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def kind_of(info: os.stat_result) -> str:
    """`file`, `dir`, `symlink`, or `special` for sockets, pipes and devices."""
    if stat.S_ISREG(info.st_mode):
        return "file"
    if stat.S_ISDIR(info.st_mode):
        return "dir"
    return "symlink" if stat.S_ISLNK(info.st_mode) else "special"


def sentence(error: OSError) -> str:
    """Why the system refused, in words and without any path."""
    reasons = {
        errno.EACCES: "permission is denied",
        errno.EPERM: "the system does not permit it",
        errno.ENOENT: "something on the way does not exist (any more)",
        errno.EEXIST: "something is already there",
        errno.ENOTDIR: "a name on the way is not a folder",
        errno.ENOTEMPTY: "a folder got new content meanwhile",
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the file system is read-only",
        errno.EXDEV: "source and target are on different file systems",
        errno.EMFILE: "too many files are open",
        errno.ELOOP: "a symbolic link is in the way",
    }
    return reasons.get(error.errno or 0, (os.strerror(error.errno) if error.errno else "unknown reason").lower())


def _require_regular(info: os.stat_result, parts: Parts) -> None:
    kind = kind_of(info)
    if kind == "dir":
        raise UserError(f"{named(parts)} is a folder; use the tool 'list', or name a file inside it.")
    if kind == "symlink":
        raise UserError(f"{named(parts)} is a symbolic link, which is not followed here; give the real path.")
    if kind == "special":
        raise UserError(f"{named(parts)} is a pipe, socket or device; only regular files can be read.")


def _is_link(fd: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _outside(parts: Parts) -> UserError:
    return UserError(f"{named(parts)} leads outside the workspace through a symbolic link; it is not followed.")
