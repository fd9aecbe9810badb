"""What this machine has: bubblewrap, Landlock, user namespaces, and whether we are root."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache

_PROBE_TIMEOUT_S = 20.0
_OWN_COUNT_SINCE = (5, 14)
_LANDLOCK_VERSION = 444


@dataclass(frozen=True)
class Bubblewrap:
    """The program, and how it works here.

    Attributes:
        path: of the program.
        user_namespace: whether it can make a user namespace; without one only root gets anywhere.
        own_count: whether the processes of that namespace are counted for themselves.
    """

    path: str
    user_namespace: bool
    own_count: bool


def is_root() -> bool:
    """Whether this process runs as root."""
    return os.geteuid() == 0


@lru_cache(maxsize=1)
def landlock_abi() -> int:
    """Which Landlock the kernel has; 0 is none."""
    try:
        call = ctypes.CDLL(None, use_errno=True).syscall
    except (OSError, AttributeError):
        return 0
    return max(0, int(call(_LANDLOCK_VERSION, None, ctypes.c_size_t(0), 1)))


@lru_cache(maxsize=1)
def bubblewrap() -> Bubblewrap | None:
    """The program, if it is installed; whether it works is for `prospect` to find out."""
    path = shutil.which("bwrap") or shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")
    if path is None:
        return None
    namespace = not is_root() or _runs(path, "--unshare-user")
    return Bubblewrap(path, namespace, namespace and _kernel() >= _OWN_COUNT_SINCE)


def _runs(path: str, option: str) -> bool:
    command = [path, option, "--ro-bind", "/", "/", "--", "/bin/sh", "-c", ":"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=_PROBE_TIMEOUT_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _kernel() -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    return (int(found[1]), int(found[2])) if found else (0, 0)
