"""Toolboxes over real processes; each test checks at its end that nothing is left running."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from interlock.config import SystemClock, ToolServerConfig
from interlock.model import ServerHealth
from interlock.tools import Pace, Toolbox

QUICK = Pace(first_s=0.05, cap_s=0.2, fast_exits=3)


def faulty(log: Path, mode: str = "ok", *more: str, **config: Any) -> ToolServerConfig:
    args = ["-m", "interlock.testing.faulty_server", "--mode", mode, "--log", str(log), *more]
    return ToolServerConfig(command=sys.executable, args=args, **{"start_timeout": 20, **config})


def alive_with(mark: str) -> list[int]:
    """Pids of processes whose command line has the mark."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(mark in word for word in words):
            found.append(process.pid)
    return [pid for pid in found if pid != os.getpid()]


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "effects.jsonl"
    path.touch()
    return path


@pytest.fixture
def effects(log: Path) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(line) for line in log.read_text().splitlines()]


class Tooling:
    """Makes a toolbox, and finds the health of one server of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.boxes: list[Toolbox] = []

    def __call__(self, pace: Pace = QUICK, **servers: ToolServerConfig) -> Toolbox:
        box = Toolbox(
            {name.replace("_", "-"): config for name, config in servers.items()},
            folder=self.folder,
            state_dir=self.folder / "state",
            env=dict(os.environ),
            clock=SystemClock(),
            pace=pace,
        )
        self.boxes.append(box)
        return box

    @staticmethod
    def health(box: Toolbox, server: str) -> ServerHealth:
        return next(found for found in box.health() if found.server == server)


@pytest.fixture
async def tooling(tmp_path: Path) -> Any:
    made = Tooling(tmp_path)
    yield made
    for box in made.boxes:
        await box.stop()
    await until(lambda: not alive_with(str(tmp_path)), 5)


__all__ = ["QUICK", "Awaitable", "Iterator", "alive_with", "faulty", "until"]
