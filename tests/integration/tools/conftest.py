"""Toolboxes over real processes; each test checks at its end that nothing is left running."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock.config import SystemClock, ToolServerConfig
from interlock.model import ServerHealth, ToolRef, ToolResult
from interlock.tools import Delivery, Pace, Surroundings, Toolbox

QUICK = Pace(first_s=0.05, cap_s=0.2, fast_exits=3)


class Tooling:
    """Configurations of the faulty server, toolboxes, and what a test asks about them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "effects.jsonl"
        self.log.touch()
        self.boxes: list[Toolbox] = []

    def faulty(self, mode: str = "ok", *more: str, **config: Any) -> ToolServerConfig:
        args = ["-m", "interlock.testing.faulty_server", "--mode", mode, "--log", str(self.log), *more]
        given = {"start_timeout": 20, "sandbox": {"write": ["."]}, **config}  # its log is in the project folder
        return ToolServerConfig(command=sys.executable, args=args, **given)

    def surroundings(self, **more: Any) -> Surroundings:
        return Surroundings(self.folder, self.folder.parent / "state", dict(os.environ), **more)

    def box(self, pace: Pace = QUICK, shelf: Any = None, **servers: ToolServerConfig) -> Toolbox:
        box = Toolbox(
            {name.replace("_", "-"): config for name, config in servers.items()},
            self.surroundings(shelf=shelf),
            SystemClock(),
            pace,
        )
        self.boxes.append(box)
        return box

    def health(self, box: Toolbox, server: str) -> ServerHealth:
        return next(found for found in box.health() if found.server == server)

    async def call(self, box: Toolbox, ref: str, timeout_s: float = 10.0, **args: Any) -> ToolResult:
        return await box.call(ToolRef.parse(ref), args, Delivery(timeout_s))

    def effects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def running(self) -> list[int]:
        """Pids of processes that have this test's folder in their command line, but for the test itself."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_bytes()  # empty for one that only waits to be reaped
                except OSError:
                    continue
                if str(self.folder).encode() in words:
                    found.append(int(entry.name))
        return found

    def servers(self) -> list[int]:
        """The servers among them, without what confines them."""
        return [pid for pid in self.running() if Path(f"/proc/{pid}/comm").read_text().strip() != "bwrap"]

    async def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.02)


@pytest.fixture
async def tooling(tmp_path: Path) -> Any:
    (tmp_path / "project").mkdir()
    made = Tooling(tmp_path / "project")
    yield made
    for box in made.boxes:
        await box.stop()
    await made.until(lambda: not made.running(), 5)
