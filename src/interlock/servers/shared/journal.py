"""The server's own log of what it changed: one line of JSON before and one after each changing call.

It knows nothing of the control plane's records, so the two can be compared.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from interlock.config import Clock

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Journal:
    """Appends to a file, or does nothing when there is none; several servers may share one file."""

    def __init__(self, file: Path | None, clock: Clock) -> None:
        self._fd = None if file is None else os.open(file, FLAGS, 0o600)
        self._clock = clock

    def begin(self, tool: str, key: str | None, touched: list[str]) -> None:
        """Note that a call is about to change these paths.

        Raises:
            OSError: the line can't be written; then nothing is to be changed.
        """
        self._write({"event": "begin", "tool": tool, "key": key, "touched": touched})

    def end(self, tool: str, key: str | None, result: dict[str, Any]) -> None:
        """Note what a call changed, as measured; a full disk can't turn a call that was done into a failed one."""
        with suppress(OSError):
            self._write({"event": "end", "tool": tool, "key": key, **result})

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self, record: dict[str, Any]) -> None:
        if self._fd is not None:
            line = {"time": self._clock.now().isoformat(), "pid": os.getpid(), **record}
            os.write(self._fd, json.dumps(line).encode() + b"\n")
