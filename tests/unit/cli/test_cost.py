"""What starting costs, in units of what another program costs, and what is not loaded for it."""

import os
import subprocess
import sys

import pytest

HEAVY = ("dbos", "sqlalchemy", "pydantic_ai", "pydantic", "psycopg", "fastapi", "uvicorn", "mcp", "yaml")
TRIES = 10
# What a usual program of the standard library loads: 0.19 CPU-seconds where `interlock --help` takes 0.17.
USUAL = "import asyncio, email.message, http.client, inspect, logging.config, ssl, urllib.request"


def costs_less(times: float, *arguments: str) -> bool:
    """Whether one of a few runs takes less than so many times what a usual program takes in the same moment."""
    return any(_cpu_once_s(arguments) < times * _cpu_once_s(("-c", USUAL)) for _ in range(TRIES))


def _cpu_once_s(arguments: tuple[str, ...]) -> float:
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_help_is_cheap() -> None:
    assert costs_less(2.0, "-m", "interlock", "--help")
    assert costs_less(2.0, "-m", "interlock", "tasks", "--help")
    assert costs_less(4.0, "-m", "interlock", "up", "--help")


def test_importing_interlock_is_cheap() -> None:
    assert costs_less(0.6, "-c", "import interlock")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["version"], 0),
        (["tasks", "list"], 5),
        (["submit", "hello", "--agent", "a"], 5),
        (["approve", "12345678", "--yes"], 5),
        (["status", "--json"], 5),
        (["down"], 0),
        (["up", "--help"], 0),
    ],
)
def test_a_command_that_talks_to_a_server_loads_nothing_of_it(words: list[str], status: int, tmp_path: str) -> None:
    code = (
        "import sys\n"
        "from interlock.cli import main\n"
        f"status = main({words!r})\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        f"sys.exit(repr((status, loaded)) if loaded or status != {status} else 0)\n"
    )
    env = {
        **os.environ,
        "INTERLOCK_HOME": str(tmp_path),
        "INTERLOCK_URL": "http://127.0.0.1:9",
        "INTERLOCK_TOKEN": "a-token-that-nobody-knows",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
