"""Doing the steps of a plan on the disk: each one durable before the next, none following a link.

A file is written beside its place under a name of our own, flushed, and renamed into place; what a crash leaves of
that is swept away by the next change in the same folder.
"""

import ctypes
import errno
import os
import secrets
from contextlib import suppress

from interlock.model import Conflict
from interlock.servers.workspace.entries import Entry
from interlock.servers.workspace.paths import is_temporary, named
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
LIBC = ctypes.CDLL(None, use_errno=True)


def apply_step(root: Root, step: Step) -> None:
    """Do one step.

    Raises:
        Conflict: something else changed the path since the plan was made.
        UserError: a link was put in the way since then.
        OSError: the system refuses.
    """
    match step:
        case MakeFolder():
            _make_folder(root, step)
        case PutFile():
            _put_file(root, step)
        case PutLink():
            _put_link(root, step)
        case Remove():
            _remove(root, step)
        case Rename():
            _rename(root, step)
        case SetFolder():
            _set_folder(root, step)
        case Touch():
            with root.file(step.parts) as fd:
                _set_time(fd, step.mtime_ns)


def _make_folder(root: Root, step: MakeFolder) -> None:
    with root.folder(step.parts[:-1]) as parent:
        os.mkdir(step.parts[-1], 0o700, dir_fd=parent)
        os.fsync(parent)
    with root.folder(step.parts) as fd:
        os.fchmod(fd, step.mode)


def _put_file(root: Root, step: PutFile) -> None:
    with root.folder(step.parts[:-1]) as parent:
        _sweep(parent)
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
        os.fsync(parent)


def _fill(fd: int, step: PutFile) -> None:
    rest = memoryview(step.content)
    while rest:
        rest = rest[os.write(fd, rest) :]
    _set_owner(fd, step.owner)
    os.fchmod(fd, step.mode)
    if step.mtime_ns is not None:
        _set_time(fd, step.mtime_ns)
    os.fsync(fd)


def _put_link(root: Root, step: PutLink) -> None:
    name = step.parts[-1]
    with root.folder(step.parts[:-1]) as parent:
        os.symlink(step.target, name, dir_fd=parent)
        if step.owner is not None:
            with suppress(PermissionError):
                os.chown(name, *step.owner, dir_fd=parent, follow_symlinks=False)
        if step.mtime_ns is not None:
            os.utime(name, ns=(step.mtime_ns, step.mtime_ns), dir_fd=parent, follow_symlinks=False)
        os.fsync(parent)


def _remove(root: Root, step: Remove) -> None:
    name = step.parts[-1]
    with root.folder(step.parts[:-1]) as parent:
        _require_as_seen(parent, step.seen)
        if step.seen.kind == "dir":
            with root.folder(step.parts) as fd:
                _sweep(fd)
            os.rmdir(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
        os.fsync(parent)


def _rename(root: Root, step: Rename) -> None:
    with root.folder(step.source[:-1]) as source, root.folder(step.target[:-1]) as target:
        rename_exclusively(source, step.source[-1], target, step.target[-1])
        os.fsync(target)
        os.fsync(source)


def _set_folder(root: Root, step: SetFolder) -> None:
    with root.folder(step.parts) as fd:
        _set_owner(fd, step.owner)
        os.fchmod(fd, step.mode)
        if step.mtime_ns is not None:
            _set_time(fd, step.mtime_ns)


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


def _sweep(folder: int) -> None:
    """Remove half-written files that a crash left; one that is being written is locked and stays."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if is_temporary(name):
                with open_file(folder, (name,)) as fd:
                    if try_lock(fd):
                        os.unlink(name, dir_fd=folder)


def _set_owner(fd: int, owner: tuple[int, int] | None) -> None:
    if owner is None:
        return
    info = os.fstat(fd)
    if (info.st_uid, info.st_gid) != owner:
        with suppress(PermissionError):  # only root may give files away; for others they become their own
            os.fchown(fd, *owner)


def _set_time(fd: int, mtime_ns: int) -> None:
    os.utime(fd, ns=(os.fstat(fd).st_atime_ns, mtime_ns))
