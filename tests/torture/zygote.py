"""Forks workers from a process that has imported everything already: a new one costs a fraction of a second.

Run as `python -m tests.torture.zygote PROJECT_FOLDER`. Each line on its input, a path of a log file, is one more
worker; its answer is the process id. Nothing is connected and no thread runs before the fork, so a worker is as
separate from the others as one that was started by hand. When its input ends, it and all of its workers end.
"""

import asyncio
import ctypes
import gc
import logging
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

PR_SET_PDEATHSIG = 1


def preload() -> None:
    """Import what a worker will need."""
    import dbos
    import jsonschema
    import mcp
    import psycopg
    import psycopg_pool
    import sqlalchemy.dialects.postgresql.psycopg

    import interlock.app
    import interlock.inference.replay
    import interlock.tools.client

    del dbos, jsonschema, mcp, psycopg, psycopg_pool, sqlalchemy, interlock
    assert threading.active_count() == 1, "a thread would not survive the fork"
    gc.freeze()


async def work(folder: Path) -> None:
    """One worker, wired as `interlock worker` does it."""
    from interlock.app import check_project, foundation, worker_of
    from interlock.config import Settings

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = Settings.from_env(os.environ)
    project = check_project(folder, os.environ)
    async with foundation(settings, project, os.environ) as ground:
        worker, toolbox = worker_of(ground, settings, project, os.environ)
        try:
            await worker.run(stop)
        finally:
            await toolbox.stop()


def child(folder: Path, log: Path, zygote: int) -> None:
    """What the forked process does; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != zygote:
        os._exit(1)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    lines = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, fd in enumerate((nowhere, lines, lines)):
        os.dup2(fd, number)
    status = 1
    try:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(name)s %(message)s")
        asyncio.run(work(folder))
        status = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(status)


def main(folder: Path) -> None:
    """Fork for each line of input until there is no more."""
    preload()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    zygote = os.getpid()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in iter(sys.stdin.readline, ""):
        pid = os.fork()
        if pid == 0:
            child(folder, Path(line.strip()), zygote)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
