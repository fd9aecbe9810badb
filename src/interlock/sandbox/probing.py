"""Which means works on this machine: it is tried, not guessed."""

import subprocess
from functools import lru_cache
from pathlib import Path

from interlock.model import ToolUnavailable
from interlock.sandbox.cgroups import group_folder
from interlock.sandbox.confining import INSTALL, confined
from interlock.sandbox.machine import is_root, landlock_abi
from interlock.sandbox.seccomp import supported
from interlock.sandbox.terms import Confinement, Means, Prospect

_TIMEOUT_S = 20.0
_GAPS = (
    (3, "files can be truncated"),  # closed by the filter of system calls
    (6, "other processes of the same user can be sent signals, and be reached by abstract sockets"),
)


@lru_cache(maxsize=1)
def prospect() -> Prospect:
    """The best means that works here; it is tried once, which takes some 0.1 s."""
    no_bubblewrap = _fault(Means.BUBBLEWRAP)
    if no_bubblewrap is None:
        return Prospect(Means.BUBBLEWRAP, _uncounted())
    if not supported():
        return Prospect(Means.NONE, f"{no_bubblewrap}; Landlock alone leaves the network open on this processor")
    no_landlock = _fault(Means.LANDLOCK) if landlock_abi() else "the kernel has no Landlock"
    if no_landlock is None:
        return Prospect(Means.LANDLOCK, "; ".join(part for part in (no_bubblewrap, _gaps(), _uncounted()) if part))
    return Prospect(Means.NONE, f"{no_bubblewrap}; {no_landlock}")


def _uncounted() -> str:
    if is_root() and group_folder() is None:
        return "as root, without a control group to use, the number of processes is not limited"
    return ""


def _gaps() -> str:
    return "; ".join(said for since, said in _GAPS[1:] if landlock_abi() < since)


def _fault(means: Means) -> str | None:
    """Why a means does not work; None when it does."""
    try:
        command = confined(("/bin/sh", "-c", "echo fine"), Confinement(processes=64), cwd=Path("/usr"), means=means)
    except ToolUnavailable as error:
        return f"{error.message} ({INSTALL})"
    try:
        ended = subprocess.run(command, cwd="/usr", capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{means} can't be run: {error}"
    if ended.stdout == "fine\n":
        return None
    said = ended.stderr.strip().splitlines()
    return f"{means} does not work here: {said[-1] if said else f'it ended with status {ended.returncode}'}"
