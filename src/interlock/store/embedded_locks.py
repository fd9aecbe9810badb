"""File locks (flock) of the embedded database: the kernel drops them when a process dies, however it dies."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from interlock.model import DatabaseUnavailable

POLL_S = 0.05


def _sleep() -> None:
    time.sleep(POLL_S)


def open_lock(path: Path) -> int:
    """Open or create a lock file, readable by its owner only; never through a symlink. Returns the descriptor."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock if that needs no waiting; an own shared lock becomes exclusive, or the other way round."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def release(descriptor: int) -> None:
    """Unlock and close; the unlock reaches copies of the descriptor in forked children too."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


@contextmanager
def exclusive(path: Path, wait_s: float, what: str, pause: Callable[[], None] = _sleep) -> Iterator[None]:
    """Hold the exclusive lock of `path`, waiting up to `wait_s`.

    Args:
        path: The lock file; made if missing.
        wait_s: Longest wait for the present holder.
        what: What is locked, for the error's sentence.
        pause: Called between two tries; sleeps a little, and may raise to give up.

    Raises:
        DatabaseUnavailable: Another process held it for all that time.
    """
    descriptor = open_lock(path)
    try:
        deadline = time.monotonic() + wait_s
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"another process is busy with {what} for more than {wait_s:.0f} s")
            pause()
        yield
    finally:
        release(descriptor)
