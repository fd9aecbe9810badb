"""The life of one command: started under a keeper, read, and ended in time with all that it started."""

import fcntl
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from interlock.servers.shell.limits import (
    FILE_BYTES,
    FREE_BYTES,
    GRACE_S,
    POLL_S,
    STDERR_BYTES,
    STDOUT_BYTES,
)
from interlock.servers.shell.output import HeadTail

_KEEPER = Path(__file__).with_name("keeper.py")
_CHUNK_BYTES = 1024 * 1024
_F_SETPIPE_SZ = 1031  # of Linux; Python 3.11 does not name it everywhere
_DRAIN_S = 0.5


@dataclass(frozen=True)
class Order:
    """What to run.

    Attributes:
        argv: the whole command line, with its confinement.
        env: all of the environment.
        cwd: where to start it.
        stdin: what it reads.
        timeout_s: how long it may take.
        disk: a folder on the disk that it writes to, which must not get full.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    stdin: str
    timeout_s: float
    disk: Path


@dataclass(frozen=True)
class Ended:
    """How a command ended, with no process of it left.

    Attributes:
        exit_status: as shells count: 128 + the number of a signal; None when it was ended from here.
        stdout, stderr: both ends of what it printed.
        duration_s: from start to end.
        cut_short: why it was ended from here: `time`, `stop` or `disk`.
    """

    exit_status: int | None
    stdout: str
    stderr: str
    duration_s: float
    cut_short: str | None = None


def run(order: Order, stop: threading.Event) -> Ended:
    """Run a command to its end; blocks.

    Args:
        order: what to run.
        stop: set from another thread, it ends the command.

    Raises:
        OSError: it can't be started.
    """
    began_s = time.monotonic()
    with _input(order.stdin) as stdin, _started(order, stdin) as process:
        reading = _Reading(process)
        try:
            cut_short = _wait(order, stop, reading, began_s)
        finally:
            _end(process)
        reading.drain()
    code = process.returncode
    status = None if cut_short else code if code >= 0 else 128 - code
    duration_s = round(time.monotonic() - began_s, 3)
    return Ended(status, reading.stdout.text(), reading.stderr.text(), duration_s, cut_short)


@contextmanager
def _input(text: str) -> Iterator[IO[bytes] | int]:
    """A file without a name: a pipe would have to be fed while the command runs."""
    if not text:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(text.encode(errors="replace"))
        file.seek(0)
        yield file


@contextmanager
def _started(order: Order, stdin: IO[bytes] | int) -> Iterator["subprocess.Popen[bytes]"]:
    keeper = (sys.executable, "-I", "-S", str(_KEEPER), str(os.getpid()), str(FILE_BYTES), "--")
    with subprocess.Popen(
        (*keeper, *order.argv),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(order.env),
        cwd=order.cwd,
        start_new_session=True,
    ) as process:
        yield process


class _Reading:
    """Reads both streams as they come."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.stdout, self.stderr = HeadTail(STDOUT_BYTES), HeadTail(STDERR_BYTES)
        self._selector = selectors.DefaultSelector()
        for stream, kept in ((process.stdout, self.stdout), (process.stderr, self.stderr)):
            assert stream is not None  # both are pipes
            os.set_blocking(stream.fileno(), False)
            with suppress(OSError):  # a large pipe wakes us less often
                fcntl.fcntl(stream.fileno(), _F_SETPIPE_SZ, _CHUNK_BYTES)
            self._selector.register(stream.fileno(), selectors.EVENT_READ, kept)
        self._process = os.pidfd_open(process.pid)
        self._selector.register(self._process, selectors.EVENT_READ, None)

    def some(self, wait_s: float) -> bool:
        """Read what is there; False once the keeper is gone."""
        alive = True
        for key, _ in self._selector.select(wait_s):
            if key.data is None:
                alive = False
                continue
            with suppress(BlockingIOError):
                piece = os.read(key.fd, _CHUNK_BYTES)
                if not piece:
                    self._selector.unregister(key.fd)
                key.data.add(piece)
        return alive

    def drain(self) -> None:
        """Read the rest; all who could write are gone, so it ends, and it is bounded should one have got away."""
        self._selector.unregister(self._process)
        os.close(self._process)
        deadline_s = time.monotonic() + _DRAIN_S
        while self._selector.get_map() and time.monotonic() < deadline_s:
            self.some(POLL_S)
        self._selector.close()


def _wait(order: Order, stop: threading.Event, reading: _Reading, began_s: float) -> str | None:
    deadline_s, look_s = began_s + order.timeout_s, began_s
    while True:
        now_s = time.monotonic()
        if stop.is_set():
            return "stop"
        if now_s >= deadline_s:
            return "time"
        if now_s >= look_s:
            if _free_bytes(order.disk) < FREE_BYTES:
                return "disk"
            look_s = now_s + POLL_S
        if not reading.some(min(POLL_S, deadline_s - now_s)):
            return None


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Make sure that the keeper, and with it all that it keeps, is gone."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(GRACE_S)
