"""Starts `up` in the background and waits until it is ready."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interlock.cli.home_files import read_running
from interlock.cli.output import progress
from interlock.model import Unavailable

READY_TIMEOUT_S = 120.0
LOOK_EVERY_S = 0.1
MAX_LOG_BYTES = 10 * 1024 * 1024
_RELAYED_BYTES = 20_000


def start_detached(home: Path, command: Sequence[str], env: Mapping[str, str]) -> dict[str, Any] | int:
    """Run the command in a session of its own, its output in `logs/up.log`.

    Returns:
        What it started, once it is ready; or its exit status if it ended, after what it said went to stderr.

    Raises:
        Unavailable: it is neither ready nor at an end after two minutes; it goes on trying.
    """
    log_path = open_place(home)
    with log_path.open("ab") as log:
        log_path.chmod(0o600)
        offset = log.tell()
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=dict(env)
        )
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        status = process.poll()
        if status is not None:
            _relay(log_path, offset)
            return status if status > 0 else 1
        found = read_running(home)
        if found is not None and found.pid == process.pid and found.summary is not None:
            return {**found.summary, "pid": found.pid, "log": str(log_path)}
        time.sleep(LOOK_EVERY_S)
    raise Unavailable(
        f"interlock (process {process.pid}) is not ready after {READY_TIMEOUT_S:.0f} s and goes on trying",
        hint=f"tail {log_path}",
    )


def open_place(home: Path) -> Path:
    """The log file of the background process, in a folder of our own; one that has grown large is put aside."""
    folder = home / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "up.log"
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(folder / "up.log.1")
    return path


def _relay(log_path: Path, offset: int) -> None:
    """Say what a process said that ended before it was ready."""
    with log_path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(offset, size - _RELAYED_BYTES))
        text = log.read().decode("utf-8", "replace")
    progress(text.removeprefix("starting…\n").rstrip() or "error: it ended without a word")
    sys.stderr.flush()
