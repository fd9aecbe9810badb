"""Which processes there are, and what they hold open, from `/proc`."""

import contextlib
import os
from pathlib import Path

_PROC = Path("/proc")
_PARENT = 1  # in `stat`, after the name, which may hold anything


def command_lines() -> dict[int, str]:
    """All processes that may be looked at, with their command lines; those of zombies are empty."""
    found = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def _parents() -> dict[int, int]:
    found = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError):
                text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                found[int(entry.name)] = int(text.rpartition(")")[2].split()[_PARENT])
    return found


def below(pid: int) -> list[int]:
    """The processes that descend from one, zombies among them, parents first."""
    parents = _parents()
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def with_mark(mark: str) -> set[int]:
    """The processes whose command line holds a text, but this one."""
    return {pid for pid, line in command_lines().items() if mark in line and pid != os.getpid()}


def descriptors(pid: int) -> int:
    """How many descriptors a process has open; none when it is gone."""
    try:
        return len(list((_PROC / str(pid) / "fd").iterdir()))
    except OSError:
        return 0
