"""Starts one program so that it can't outlive the process that asked for it: `launch.py PARENT_PID -- COMMAND…`.

A script of its own with the standard library only: it is run by path and without site packages, which costs some
20 ms. It asks the kernel to kill this process when its parent dies, makes sure that this has not happened already,
and becomes the command. The request survives the change of program.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_RUN = 126
ORPHANED = 125
USAGE = 2


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel send SIGKILL to this process when its parent ends; only Linux can.

    Raises:
        SystemExit: the parent is gone already.
    """
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise SystemExit(ORPHANED)


def main(argv: list[str]) -> int:
    """Become the command; it only returns when that fails.

    Args:
        argv: `[parent_pid, "--", command, *args]`, the command with its full path.
    """
    if len(argv) < 3 or argv[1] != "--":
        sys.stderr.write("usage: launch.py PARENT_PID -- COMMAND [ARGUMENT…]\n")
        return USAGE
    die_with_parent(int(argv[0]))
    # Python ignores these, and what is ignored stays so in the next program.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execv(argv[2], argv[2:])
    except OSError as error:
        sys.stderr.write(f"can't run {argv[2]}: {error.strerror}\n")
    return CANNOT_RUN


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
