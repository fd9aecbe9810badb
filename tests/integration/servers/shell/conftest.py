"""A folder, the calls of a shell server on it in a real sandbox, and a picture of it taken without the code under test."""

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interlock.config import ManualClock, SystemClock
from interlock.sandbox import Means, prospect
from interlock.servers.shared.calls import CallNotes, Outcome
from interlock.servers.shared.journal import Journal
from interlock.servers.shell.operations import Shell
from interlock.servers.shell.scratch import Scratch
from interlock.servers.shell.staging import Staging
from interlock.servers.shell.walls import Walls
from interlock.servers.workspace.root import Root


class Bench:
    """A folder, a server's calls on it, and what the folder looks like without the code under test."""

    def __init__(self, base: Path, **walls: Any) -> None:
        self.folder = base / "root"
        self.folder.mkdir(exist_ok=True)
        self.base = base
        self.walls = replace(Walls(self.folder.resolve(), Means.BUBBLEWRAP, memory_mb=2048, processes=200), **walls)
        self.open()

    def open(self, *, staged: bool = True) -> None:
        self.root = Root(self.folder)
        self.scratch = Scratch(self.base / "scratch", self.walls.root)
        self.staging = Staging(self.root, self.walls, self.scratch, SystemClock())
        used = self.staging if staged else None
        self.shell = Shell(self.root, self.walls, used, self.scratch, Journal(None, ManualClock()))
        self.shell.recover()
        self.opened = True

    def close(self) -> None:
        if self.opened:
            self.scratch.close()
            self.root.close()
        self.opened = False

    def call(self, tool: str, /, *, expect: str | None = None, **args: Any) -> Outcome:
        return self.shell.call(tool, args, CallNotes(expect), threading.Event())

    def run(self, command: str, **args: Any) -> Outcome:
        return self.call("run", command=command, **args)

    def good(self, outcome: Outcome) -> dict[str, Any]:
        assert not outcome.failed, outcome.text
        assert outcome.structured is not None
        return outcome.structured

    def bad(self, outcome: Outcome) -> str:
        assert outcome.failed, outcome.text
        assert str(self.base / "scratch") not in outcome.text
        return outcome.text

    def preview(self, command: str, **args: Any) -> Outcome:
        return self.call("preview", tool="run", args={"command": command, **args})

    def governed(self, command: str, **args: Any) -> tuple[dict[str, Any], dict[str, Any], Outcome]:
        """As the gate does it: the preview, the state that is kept, and the call."""
        seen = self.good(self.preview(command, **args))
        kept = self.good(self.call("capture", paths=seen["touched"], content=True))
        assert kept["state_sha256"] == seen["state_sha256"]
        return seen, kept, self.run(command, expect=seen["state_sha256"], **args)

    def take_back(self, seen: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
        now = self.good(self.call("capture", paths=seen["touched"]))
        return self.good(
            self.call(
                "restore",
                paths=seen["touched"],
                entries=kept["entries"],
                expect_state_sha256=now["state_sha256"],
            )
        )

    def fill(self) -> None:
        folder = self.folder
        (folder / "src" / "deep").mkdir(parents=True)
        (folder / "src" / "a.txt").write_text("alpha\n")
        (folder / "src" / "deep" / "b.bin").write_bytes(bytes(range(256)) * 4)
        (folder / "src" / "deep" / "b.bin").chmod(0o640)
        (folder / "run.sh").write_text("#!/bin/sh\necho ran\n")
        (folder / "run.sh").chmod(0o755)
        (folder / "link").symlink_to("src/a.txt")
        (folder / "locked").mkdir()
        (folder / "locked" / "x").write_text("x")
        (folder / "locked").chmod(0o555)
        for path in folder.rglob("*"):
            os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789), follow_symlinks=False)

    def picture(self) -> dict[str, tuple[int, int, str]]:
        """Every path with mode, content, and for files and links the time."""
        found = {}
        for path in self.folder.rglob("*"):
            info = path.lstat()
            content, time_ns = "", 0
            if stat.S_ISLNK(info.st_mode):
                content, time_ns = os.readlink(path), info.st_mtime_ns
            elif stat.S_ISREG(info.st_mode):
                content, time_ns = hashlib.sha256(path.read_bytes()).hexdigest(), info.st_mtime_ns
            found[str(path.relative_to(self.folder))] = (info.st_mode, time_ns, content)
        return found


@pytest.fixture(autouse=True)
def _sandbox() -> None:
    if prospect().means is not Means.BUBBLEWRAP:
        pytest.skip(f"apt-get install bubblewrap ({prospect().why})")


@pytest.fixture
def new_bench() -> Iterator[Callable[..., Bench]]:
    """Makes a bench in a folder; arguments are those of `Walls`."""
    made: list[Bench] = []

    def make(base: Path, **walls: Any) -> Bench:
        base.mkdir(exist_ok=True)
        made.append(Bench(base, **walls))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(tmp_path: Path, new_bench: Callable[..., Bench]) -> Bench:
    return new_bench(tmp_path)


@pytest.fixture
def full(bench: Bench) -> Bench:
    """With files, folders and links in it, all of the same age."""
    bench.fill()
    return bench
