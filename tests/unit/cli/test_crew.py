"""Worker processes: kept running, stopped, killed."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable

from interlock.cli import crew
from interlock.cli.crew import PARENT_PID, Crew, drain_with_parent, pause_after

OBEDIENT = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def a_crew(code: str, size: int = 2) -> Crew:
    return Crew([sys.executable, "-c", code], os.environ, size)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError


def test_pauses_grow_and_are_bounded() -> None:
    assert [pause_after(n) for n in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert pause_after(50) == 30.0


async def test_a_worker_that_is_killed_is_started_again() -> None:
    workers = a_crew(OBEDIENT)
    workers.start()
    await until(lambda: len(workers.pids()) == 2)
    first = workers.pids()
    os.kill(first[0], signal.SIGKILL)
    await until(lambda: len(workers.pids()) == 2 and workers.pids() != first)
    assert first[1] in workers.pids()
    await workers.stop()
    assert workers.pids() == []


async def test_whoever_does_not_stop_is_killed() -> None:
    workers = a_crew(STUBBORN, 1)
    workers.start()
    await until(lambda: len(workers.pids()) == 1)
    await asyncio.sleep(0.3)
    await asyncio.wait_for(workers.stop(patience_s=0.2), 5)
    assert workers.pids() == []


async def test_stopping_does_not_wait_for_the_pause_of_one_that_just_died() -> None:
    workers = a_crew("raise SystemExit(3)", 1)
    workers.start()
    await asyncio.sleep(0.5)
    await asyncio.wait_for(workers.stop(), 5)


def test_a_worker_knows_when_its_parent_is_gone() -> None:
    assert drain_with_parent({})
    assert not drain_with_parent({PARENT_PID: "1999999999"})


async def test_workers_do_not_outlive_the_process_that_started_them() -> None:
    middle = (
        "import asyncio, os, sys\n"
        "from interlock.cli.crew import Crew\n"
        "code = 'import os, time; from interlock.cli.crew import drain_with_parent;'\n"
        "code += 'assert drain_with_parent(os.environ); print(os.getpid(), flush=True); time.sleep(60)'\n"
        "async def main():\n"
        "    Crew([sys.executable, '-c', code], os.environ, 1).start()\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", middle, stdout=asyncio.subprocess.PIPE, env={**os.environ}
    )
    assert process.stdout is not None
    worker = int(await asyncio.wait_for(process.stdout.readline(), 10))
    process.kill()
    await process.wait()
    await until(lambda: not _lives(worker))


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_patience_is_longer_than_a_worker_drains() -> None:
    assert crew.STOP_PATIENCE_S == 40.0
