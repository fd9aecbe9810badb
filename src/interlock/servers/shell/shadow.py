"""The copy of the folder that commands run on. It is kept, so that only what differs is copied the next time."""

import os
import shutil
import stat
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

from interlock.config import Clock
from interlock.model import Exhausted
from interlock.servers.shell.limits import COPY_BYTES, COPY_ENTRIES, SCANNED_ENTRIES
from interlock.servers.shell.marks import Mark, Marks, bytes_of, mark_of, scan
from interlock.servers.workspace.apply import NEW_FILE_FLAGS
from interlock.servers.workspace.paths import Parts
from interlock.servers.workspace.root import FILE_FLAGS, Root, kind_of

_CHUNK_BYTES = 64 * 1024 * 1024
_SETTLED_NS = 100_000_000  # the clock of file times ticks slowly: what changed just now may change again unseen
_OPEN_MODE = 0o700
_REMOVE_S = 300.0


class Shadow:
    """A copy of a root in a folder of ours, brought up to date before each command.

    Args:
        root: the folder; the caller holds its lock during `sync`.
        place: where the copy is to be; nothing is there yet.
        skip: paths that are not copied.
        clock: the time, to tell which files changed just now.
    """

    def __init__(self, root: Root, place: Path, skip: Collection[Parts], clock: Clock) -> None:
        self.place = place
        self._root = root
        self._skip = skip
        self._clock = clock
        self._copy: Root | None = None
        self._seen: Marks = {}  # the root, as it was copied
        self._there: Marks = {}  # the copy, as it is
        self._dirty: set[Parts] = set()

    @property
    def copy(self) -> Root:
        """The copy as a folder to look into; there once `sync` has been called."""
        assert self._copy is not None
        return self._copy

    def sync(self) -> Marks:
        """Make the copy equal to the root; the marks of the root that it is now equal to.

        Raises:
            Exhausted: the root is too large to be copied.
            OSError: something in it may not be read, or the disk is full.
        """
        try:
            return self._sync()
        except BaseException:
            self.discard()
            raise

    def _sync(self) -> Marks:
        now_ns = int(self._clock.now().timestamp() * 1_000_000_000)
        now = scan(self._root, COPY_ENTRIES, self._skip)
        if bytes_of(now) > COPY_BYTES:
            raise Exhausted(f"The folder has more than {COPY_BYTES:,} bytes.")
        if self._copy is None:
            self.place.mkdir(mode=_OPEN_MODE, parents=True)
            self._copy = Root(self.place)
            self._there = {(): mark_of(self.place.lstat())}
        wrong = self._dirty | {p for p in now.keys() | self._seen.keys() if now.get(p) != self._seen.get(p)}
        wrong |= self._there.keys() - now.keys()
        wrong = {parts for parts in wrong if parts in now or parts in self._there}
        if wrong:
            self._remove(wrong, now)
            moving = self._make(wrong, now)
            self._finish(wrong, now)
            self._look_again(wrong, now)
        else:
            moving = set()
        self._dirty = set()
        fresh = {p for p, mark in now.items() if mark.ctime_ns > now_ns - _SETTLED_NS}
        self._seen = {parts: mark for parts, mark in now.items() if parts not in moving and parts not in fresh}
        return now

    def changed(self) -> tuple[Marks, set[Parts]]:
        """What is in the copy after a command, and where it differs from before.

        Raises:
            Exhausted: there is too much now.
            OSError: something may not be read.
        """
        try:
            now = scan(self.copy, SCANNED_ENTRIES)
        except BaseException:
            self.discard()
            raise
        before, self._there = self._there, now
        changed = {parts for parts in now.keys() | before.keys() if now.get(parts) != before.get(parts)}
        self._dirty |= changed
        return before, changed

    def drop(self, parts: Parts) -> None:
        """Take something that is no folder out of the copy."""
        self._dirty.add(parts)
        self._there.pop(parts, None)
        with self.copy.folder(parts[:-1]) as parent:
            os.unlink(parts[-1], dir_fd=parent)

    def hand_over(self, parts: Parts, target: Path) -> None:
        """Move a file out of the copy to a place on the same disk."""
        self._dirty.add(parts)
        self._there.pop(parts, None)
        with self.copy.folder(parts[:-1]) as parent:
            os.rename(parts[-1], target, src_dir_fd=parent)
            with suppress(FileNotFoundError):  # still there if the target is another name of the same file
                os.unlink(parts[-1], dir_fd=parent)
        target.chmod(0o600)

    def now(self, parts: Parts) -> Mark | None:
        """What is in the copy at a path, as `changed` found it."""
        return self._there.get(parts)

    def discard(self) -> None:
        """Throw the copy away; the next `sync` makes a new one."""
        if self._copy is not None:
            self._copy.close()
            self._copy = None
        self._seen, self._there, self._dirty = {}, {}, set()
        remove_tree(self.place)

    # ---- the steps of a sync --------------------

    def _remove(self, wrong: set[Parts], now: Marks) -> None:
        """Take out what is not to be there or is to be made anew, the innermost first."""
        for parts in sorted(wrong, key=len, reverse=True):
            mark, wanted = self._there.get(parts), now.get(parts)
            if mark is None or not parts or (mark.kind == "dir" and wanted is not None and wanted.kind == "dir"):
                continue
            with self._opened(parts[:-1]) as parent, suppress(FileNotFoundError):
                if mark.kind == "dir":
                    os.rmdir(parts[-1], dir_fd=parent)
                else:
                    os.unlink(parts[-1], dir_fd=parent)
            del self._there[parts]

    def _make(self, wrong: set[Parts], now: Marks) -> set[Parts]:
        """Copy what is missing, the outermost first; the paths that changed while they were copied."""
        moving: set[Parts] = set()
        wanted = sorted((parts for parts in wrong if parts in now and parts), key=lambda parts: (len(parts), parts))
        for folder, inside in groupby(wanted, key=lambda parts: parts[:-1]):
            with self._root.folder(folder) as source, self._opened(folder) as target:
                for parts in inside:
                    mark = now[parts]
                    if mark.kind == "dir":
                        if parts not in self._there:
                            os.mkdir(parts[-1], _OPEN_MODE, dir_fd=target)
                    elif not _copied(source, target, parts[-1], mark):
                        moving.add(parts)
        return moving

    def _finish(self, wrong: set[Parts], now: Marks) -> None:
        """Give folders their mode and time, the innermost first."""
        folders = {parts for parts in wrong if parts in now and now[parts].kind == "dir"}
        around = {parts[:-1] for parts in wrong if parts} & now.keys()
        folders |= {parts for parts in around if now[parts].kind == "dir"}
        for parts in sorted(folders, key=len, reverse=True):
            with self._root.folder(parts) as source, self._opened(parts) as target:
                info = os.fstat(source)
                _own(target, info)
                os.fchmod(target, info.st_mode & 0o7777)
                os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))

    def _look_again(self, wrong: set[Parts], now: Marks) -> None:
        """Learn the marks of what was made."""
        for parts in wrong - now.keys():
            self._there.pop(parts, None)
        made = sorted(wrong & now.keys(), key=lambda parts: (len(parts), parts))
        for folder, inside in groupby(made, key=lambda parts: parts[:-1]):
            with self.copy.folder(folder) as fd:
                for parts in inside:
                    try:
                        self._there[parts] = mark_of(
                            os.stat(parts[-1] if parts else ".", dir_fd=fd, follow_symlinks=False)
                        )
                    except FileNotFoundError:
                        self._there.pop(parts, None)

    @contextmanager
    def _opened(self, folder: Parts) -> Iterator[int]:
        """A folder of the copy, its mode opened for as long as `_finish` has not set it."""
        with self.copy.folder(folder) as fd:
            if os.fstat(fd).st_mode & _OPEN_MODE != _OPEN_MODE:
                os.fchmod(fd, _OPEN_MODE)
            yield fd


def _copied(source: int, target: int, name: str, mark: Mark) -> bool:
    """Copy one thing that is no folder; False when it is not (any more) what it was marked as."""
    try:
        info = os.stat(name, dir_fd=source, follow_symlinks=False)
        if kind_of(info) == "symlink":
            _copy_link(source, target, name, info)
        elif kind_of(info) == "file":
            info = _copy_file(source, target, name)
        elif stat.S_ISFIFO(info.st_mode):
            os.mkfifo(name, info.st_mode & 0o7777, dir_fd=target)
    except FileNotFoundError:
        return False
    return mark_of(info) == mark


def _copy_link(source: int, target: int, name: str, info: os.stat_result) -> None:
    os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    if os.geteuid() == 0:
        os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)
    os.utime(name, ns=(info.st_atime_ns, info.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _copy_file(source: int, target: int, name: str) -> os.stat_result:
    """Copy a file with its mode and time; what is known of it afterwards."""
    old = os.open(name, FILE_FLAGS, dir_fd=source)
    try:
        info = os.fstat(old)
        new = os.open(name, NEW_FILE_FLAGS, 0o600, dir_fd=target)
        try:
            _copy_bytes(old, new)
            _own(new, info)
            os.fchmod(new, info.st_mode & 0o7777)
            os.utime(new, ns=(info.st_atime_ns, info.st_mtime_ns))
        finally:
            os.close(new)
        return os.fstat(old)
    finally:
        os.close(old)


def _copy_bytes(old: int, new: int) -> None:
    try:
        while os.copy_file_range(old, new, _CHUNK_BYTES):
            pass
    except OSError:  # between these file systems it does not work: the plain way, from the beginning
        os.lseek(old, 0, os.SEEK_SET)
        os.ftruncate(new, 0)
        os.lseek(new, 0, os.SEEK_SET)
        with os.fdopen(old, "rb", closefd=False) as source, os.fdopen(new, "wb", closefd=False) as target:
            shutil.copyfileobj(source, target)


def _own(fd: int, info: os.stat_result) -> None:
    """Only root copies files of others as theirs."""
    mine = os.fstat(fd)
    if os.geteuid() == 0 and (mine.st_uid, mine.st_gid) != (info.st_uid, info.st_gid):
        os.fchown(fd, info.st_uid, info.st_gid)


def remove_tree(folder: Path) -> None:
    """Remove a folder of ours with all that is in it, however deep it is and whatever its modes are."""
    remove = ("rm", "-rf", "--one-file-system")
    for command in (remove, ("chmod", "-R", "u+rwX"), remove):
        if not folder.is_dir():
            return
        argv = [shutil.which(command[0]) or f"/bin/{command[0]}", *command[1:], "--", str(folder)]
        subprocess.run(argv, check=False, capture_output=True, timeout=_REMOVE_S)
