"""A workspace in a folder of its own, and a picture of a folder taken without the code under test."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interlock.config import ManualClock
from interlock.servers.shared.calls import CallNotes, Outcome
from interlock.servers.shared.journal import Journal
from interlock.servers.workspace.operations import Workspace
from interlock.servers.workspace.root import Root

SHARED_MEMORY = Path("/dev/shm")  # where flushing to the disk costs nothing
Picture = dict[str, tuple[str, int, str]]


class Bench:
    """A root with a neighbour whose name begins alike, and calls on the root."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.folder = base / "root"
        self.twin = base / "root-evil"
        self.folder.mkdir()
        self.twin.mkdir()
        (self.twin / "secret.txt").write_text("the secret of the twin\n")
        self.root = Root(self.folder)
        self.workspace = Workspace(self.root, Journal(None, ManualClock()))

    def call(self, tool: str, /, **args: Any) -> Outcome:
        return self.workspace.call(tool, args, CallNotes())

    def good(self, tool: str, /, **args: Any) -> dict[str, Any]:
        outcome = self.call(tool, **args)
        assert not outcome.failed, outcome.text
        assert outcome.structured is not None
        return outcome.structured

    def bad(self, tool: str, /, **args: Any) -> str:
        outcome = self.call(tool, **args)
        assert outcome.failed, outcome.text
        assert str(self.base) not in outcome.text
        assert "Traceback" not in outcome.text
        return outcome.text


def picture_of(folder: Path) -> Picture:
    """Every path with kind, mode and content, as the standard library sees it."""
    found: Picture = {}
    for where, folders, files in os.walk(folder):
        for name in [*folders, *files, "."]:
            path = Path(where) / name
            mode = path.lstat().st_mode
            if path.is_symlink():
                found[str(path)] = ("link", mode, str(path.readlink()))
            elif path.is_file():
                found[str(path)] = ("file", mode, hashlib.sha256(path.read_bytes()).hexdigest())
            else:
                found[str(path)] = ("other", mode, "")
    return found


@contextmanager
def new_bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as base:
        bench = Bench(Path(base).resolve())
        try:
            yield bench
        finally:
            bench.root.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with new_bench() as made:
        yield made


@pytest.fixture
def new_workspace() -> Any:
    """For property tests, which need a fresh one per example."""
    return new_bench


@pytest.fixture
def picture() -> Any:
    return picture_of
