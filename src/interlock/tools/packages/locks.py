"""One at a time, among threads and processes."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interlock.model import InstallFailed

_POLL_S = 0.1


@contextmanager
def held(path: Path, deadline: float, stop: threading.Event) -> Iterator[None]:
    """Hold the lock that is a file; it ends with the process, however that ends.

    Args:
        path: of the file, which stays.
        deadline: when to give up, as `time.monotonic` counts.
        stop: set from elsewhere to give up at once.

    Raises:
        InstallFailed: someone else holds it all the time, or it was stopped.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _locked(descriptor):
            if stop.wait(_POLL_S):
                raise InstallFailed("the installation was stopped while another one was under way")
            if time.monotonic() > deadline:
                raise InstallFailed("another installation of the same package does not come to an end")
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
