"""Acts as an ordinary user, also where the tests run as root: what a mode forbids is forbidden."""

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

AS_ROOT = os.geteuid() == 0
NOBODY = 65534


def give(folder: Path) -> None:
    """Give a folder and all in it to the ordinary user."""
    if AS_ROOT:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def act(deed: Callable[[], object]) -> int:
    """Do something in a child that is an ordinary user; 0 when nothing was raised, -9 when it was killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: this child uses none of them
        child = os.fork()
    if child == 0:
        status = 1
        try:
            if AS_ROOT:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            deed()
            status = 0
        finally:  # whatever it was: the rest of the tests is not for the child
            if status:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
