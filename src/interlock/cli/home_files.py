"""The files in the state folder by which commands find what `up` started: the lock, and `server.json`."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.model import Conflict

LOCK_FILE = "up.lock"
SERVER_FILE = "server.json"
_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Running:
    """What `up` wrote about itself.

    Attributes:
        url: where its server is.
        pid: of the process.
        folder: the project.
        summary: what it started; None until everything is ready.
    """

    url: str
    pid: int
    folder: str
    summary: dict[str, Any] | None = None


def write_running(home: Path, running: Running) -> None:
    """Write `server.json` (mode 0600), whole or not at all."""
    path = home / SERVER_FILE
    document = {"v": 1, "url": running.url, "pid": running.pid, "folder": running.folder, "summary": running.summary}
    temporary = path.with_name(f".{SERVER_FILE}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
    temporary.replace(path)


def read_running(home: Path) -> Running | None:
    """What `server.json` says, if there is one that can be read."""
    try:
        with (home / SERVER_FILE).open("rb") as file:
            found = json.loads(file.read(_MAX_BYTES))
        return Running(str(found["url"]), int(found["pid"]), str(found["folder"]), found.get("summary"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_running(home: Path, pid: int | None = None) -> None:
    """Remove `server.json`, with a `pid` only if it is that process's."""
    found = read_running(home)
    if pid is None or (found is not None and found.pid == pid):
        with suppress(FileNotFoundError):
            (home / SERVER_FILE).unlink()


def holder_of(home: Path) -> int | None:
    """The process id that the lock's holder wrote into it; None if nobody holds the lock, 0 if it says nothing."""
    try:
        descriptor = os.open(home / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.read(descriptor, 32).decode("ascii", "replace").strip()
        return int(text) if text.isdecimal() else 0
    finally:
        os.close(descriptor)
    return None


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the lock of this state folder; the kernel drops it when the process ends, however that happens.

    Raises:
        Conflict: another `up` has it.
    """
    descriptor = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise already_running(home) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def already_running(home: Path) -> Conflict:
    """The error for a second `up` on the same state folder."""
    found = read_running(home)
    where = f" at {found.url} for {found.folder} (process {found.pid})" if found else ", and is still starting"
    return Conflict(f"interlock already runs{where}", hint="interlock status, or to start anew: interlock down")


def url_from(home: Path, env: Mapping[str, str], default: str) -> str:
    """Where the server is: INTERLOCK_URL if it is set, else what `up` wrote, else the default."""
    if env.get("INTERLOCK_URL", "").strip():
        return default
    found = read_running(home)
    return found.url if found is not None else default
