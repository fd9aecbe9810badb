"""What the drivers of other queues share: an environment of their own, one worker process, and a way to be raced.

A lane takes tasks in, `CALLERS` at any time, while a worker process takes them from the queue, `CONCURRENCY` at a time.
What counts is the time from the first submit until the last result is there. Between races no worker runs, so that the
lane whose turn it is has the machine to itself.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from venvs import environment_of

CALLERS = 64
CONCURRENCY = 64
CONNECTIONS = 10  # of whoever takes tasks in
LOOK_EVERY_S = 0.02
RACE_S = 180.0
STOP_S = 30.0


@dataclass(frozen=True)
class Asked:
    """What a driver was asked for.

    Attributes:
        database: DSN of a Postgres in which it may make a schema.
        folder: for its files.
    """

    database: str
    folder: Path


class Lane(Protocol):
    """One queue."""

    async def open(self, asked: Asked) -> list[str]:
        """Make what it needs, once; the command of a worker process."""
        ...

    async def close(self) -> None:
        """Leave."""
        ...

    async def submit(self, number: int) -> None:
        """Take one task in; it is durable when this returns."""
        ...

    async def finished(self) -> tuple[int, float]:
        """How many results there are, and when the last one came."""
        ...

    async def now(self) -> float:
        """The same clock."""
        ...


def own_worker(script: str, asked: Asked) -> list[str]:
    """The command of a worker that is the driver itself, in another role."""
    return [sys.executable, script, "--worker", "--database", asked.database]


def main(script: str, requirements: Sequence[str], lane: Lane, work: Any = None) -> int:
    """The command line of a driver: race once, or as often as a line comes in; or be its worker."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interlock" / "peers"
    parser = argparse.ArgumentParser(description=f"{requirements[0]}: submit, run, result.")
    parser.add_argument("--database", required=True, help="DSN of a Postgres in which it may make a schema")
    parser.add_argument("--serve", action="store_true", help="race for each line {tasks} of standard input")
    parser.add_argument("--tasks", type=int, default=1000, help="how many in one race")
    parser.add_argument("--cache", type=Path, default=default, help="where virtual environments are kept")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    name = Path(script).stem
    if words.worker:
        work(Asked(words.database, Path()))
        return 0
    binaries = environment_of(name, requirements[0], words.cache, requirements[1:])
    if Path(sys.prefix) != binaries.parent:
        os.execv(binaries / "python", [str(binaries / "python"), script, *sys.argv[1:]])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended, as with Ctrl-C
    with tempfile.TemporaryDirectory(prefix=f"interlock-peer-{name}-") as folder:
        asyncio.run(_serve(lane, Asked(words.database, Path(folder)), words))
    return 0


async def _serve(lane: Lane, asked: Asked, words: argparse.Namespace) -> None:
    try:
        command = await lane.open(asked)
        if not words.serve:
            print(json.dumps(await race(lane, command, asked.folder, words.tasks)), flush=True)
            return
        print(json.dumps({"ready": True}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await race(lane, command, asked.folder, int(json.loads(line)["tasks"]))), flush=True)
    except (OSError, RuntimeError, TimeoutError) as error:
        print(json.dumps({"error": str(error) or type(error).__name__}), flush=True)
    finally:
        await lane.close()


async def race(lane: Lane, command: list[str], folder: Path, tasks: int) -> dict[str, Any]:
    """One race; shape `{tasks, seconds, per_s}`."""
    async with _working(command, folder) as worker:
        await _lap(lane, 2 * CALLERS, worker)  # it is there, connections are open, statements prepared
        seconds = await _lap(lane, tasks, worker)
    return {"tasks": tasks, "seconds": round(seconds, 3), "per_s": round(tasks / seconds, 2)}


async def _lap(lane: Lane, tasks: int, worker: asyncio.subprocess.Process) -> float:
    before, _ = await lane.finished()
    numbers = iter(range(tasks))
    began_s = await lane.now()

    async def call() -> None:
        for number in numbers:
            await lane.submit(number)

    async with asyncio.timeout(RACE_S):
        await asyncio.gather(*(call() for _ in range(min(CALLERS, tasks))))
        while True:
            done, last_s = await lane.finished()
            if done >= before + tasks:
                return last_s - began_s
            if worker.returncode is not None:
                raise RuntimeError("its worker ended")
            await asyncio.sleep(LOOK_EVERY_S)


@contextlib.asynccontextmanager
async def _working(command: list[str], folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process; its output goes to a log, whose end says why it ended.

    Raises:
        RuntimeError: the worker ended by itself.
    """
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    except RuntimeError as error:
        raise RuntimeError(f"{error}: {(folder / 'log').read_text(errors='replace')[-500:]}") from error
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
