"""Runs one command and leaves none of its processes behind: `keeper.py PARENT_PID MAX_FILE_BYTES -- COMMAND…`.

A script of its own with the standard library only. Whatever the command starts, however detached, becomes a child of
this process once its parent is gone (Linux: child subreaper). When the command is over, when SIGTERM comes, or when
the parent dies, every child is killed until there is none left; only then does it exit, with the command's status.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
CANNOT_RUN = 126
ORPHANED = 125
USAGE = 2
SIGNALLED = 128
POLL_S = 0.05
WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def tie_to(parent_pid: int) -> None:
    """Inherit orphans, and be told when the parent dies.

    Raises:
        SystemExit: it is gone already.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise SystemExit(ORPHANED)


def start(argv: list[str]) -> int:
    """Start the command; its process id."""
    pid = os.fork()
    if pid:
        return pid
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Python ignores these, and what is ignored stays so in the next program.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(argv[0], argv)
    except OSError as error:
        sys.stderr.write(f"can't run {argv[0]}: {error.strerror}\n")
        sys.stderr.flush()
    os._exit(CANNOT_RUN)


def wait_for(pid: int) -> int:
    """Wait until the command is over, reaping others as they end; its status, or 128 + 15 when told to stop."""
    while True:
        got = signal.sigtimedwait(WATCHED, 1.0)
        if got is not None and got.si_signo != signal.SIGCHLD:
            return SIGNALLED + signal.SIGTERM
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == pid:
                    code = os.waitstatus_to_exitcode(ended[1])
                    return code if code >= 0 else SIGNALLED - code


def children() -> list[int]:
    """The process ids of our children, from the process table."""
    found = []
    own = str(os.getpid())
    for process in os.scandir("/proc"):
        if not process.name.isdigit():
            continue
        try:
            fd = os.open(f"{process.path}/stat", os.O_RDONLY)
        except OSError:
            continue
        with contextlib.suppress(OSError, IndexError):
            parent = os.read(fd, 4096).rpartition(b")")[2].split()[1]
            if parent.decode() == own:
                found.append(int(process.name))
        os.close(fd)
    return found


def end_all() -> None:
    """Kill children until there are none; those of a killed one become ours and come next."""
    while True:
        for pid in children():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        signal.sigtimedwait((signal.SIGCHLD,), POLL_S)


def main(argv: list[str]) -> int:
    """Run the command; its exit status, or 128 + the signal that ended it.

    Args:
        argv: `[parent_pid, max_file_bytes, "--", command, *args]`, the command with its full path.
    """
    if len(argv) < 4 or argv[2] != "--":
        sys.stderr.write("usage: keeper.py PARENT_PID MAX_FILE_BYTES -- COMMAND [ARGUMENT…]\n")
        return USAGE
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    tie_to(int(argv[0]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(argv[1]), int(argv[1])))
    status = wait_for(start(argv[3:]))
    end_all()
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
