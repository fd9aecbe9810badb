"""Starts a program that outlives whoever asked for it: `detach.py COMMAND…`; done when this script has ended.

A script of its own with the standard library only, like `launch.py` of this room. The program becomes a child of the
system's first process, so nobody here has to wait for its end.
"""

import os
import sys

CANNOT_RUN = 126
USAGE = 2


def main(argv: list[str]) -> int:
    """Fork, leave the session, and become the command in the child.

    Args:
        argv: the command with its full path, and its arguments.
    """
    if not argv:
        sys.stderr.write("usage: detach.py COMMAND [ARGUMENT…]\n")
        return USAGE
    if os.fork():
        return 0
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        os.execv(argv[0], argv)
    except OSError as error:
        sys.stderr.write(f"can't run {argv[0]}: {error.strerror}\n")
        sys.stderr.flush()
    os._exit(CANNOT_RUN)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
