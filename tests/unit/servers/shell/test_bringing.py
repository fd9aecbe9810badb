"""Bringing an effect about in folders that are read-only before and after, as an ordinary user."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.servers.ordinary import act, give

from interlock.config import ManualClock
from interlock.servers.shared.journal import Journal
from interlock.servers.shell.bringing import bring_about, finish_begun
from interlock.servers.shell.held import RESULT, Held, Store
from interlock.servers.shell.running import Ended
from interlock.servers.shell.scratch import Scratch
from interlock.servers.shell.shadow import remove_tree
from interlock.servers.workspace.apply import Disk
from interlock.servers.workspace.effect import effect_between
from interlock.servers.workspace.opening import Openings
from interlock.servers.workspace.paths import Parts
from interlock.servers.workspace.root import Root
from interlock.servers.workspace.snapshot import Keep, capture

ENDED = Ended(exit_status=0, stdout="", stderr="", duration_s=0.1)


class Bench:
    """A folder, and the effect of a command on it that was measured and waits."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.folder = base / "root"
        self.folder.mkdir()
        self.root = Root(self.folder)
        self.scratch = Scratch(base / "scratch", self.folder)
        self.store = Store(self.scratch.held, ManualClock())

    @property
    def openings(self) -> Openings:
        """Each time those of another server."""
        return Openings(self.root, self.scratch.around)

    def hold(self, touched: tuple[Parts, ...], change: Callable[[Path], object]) -> Held:
        """What a change would do to some paths; the folder stays as it is."""
        give(self.base)
        copy = self.base / "copy"
        shutil.copytree(self.folder, copy, symlinks=True)
        before = capture(self.root, touched, Keep.FOR_DIFF)
        change(copy)
        give(copy)
        after_root = Root(copy)
        after = capture(after_root, touched, Keep.FOR_DIFF)
        after_root.close()
        effect = effect_between(before, after).to_json()
        held = Held(self.scratch.held / "key", {}, ENDED, "2026-01-01T00:00:00+00:00", touched, before, after, effect)
        held.folder.mkdir()
        for entry in after.values():
            if entry.kind == "file":
                held.content(entry.sha256 or "").write_bytes(entry.content or b"")
        (held.folder / RESULT).write_text(json.dumps(held.to_json()))
        remove_tree(copy)
        give(self.base)
        return held

    def bring(self, held: Held) -> None:
        applied = bring_about(self.root, Journal(None, ManualClock()), self.openings, held, None)
        assert applied.failure is None
        assert applied.state_sha256 == held.state_sha256_after

    def picture(self) -> dict[str, tuple[int, str]]:
        return {
            str(path.relative_to(self.folder)): (
                path.stat().st_mode & 0o7777,
                "" if path.is_dir() else path.read_text(),
            )
            for path in [self.folder, *self.folder.rglob("*")]
        }


@pytest.fixture
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as base:
        made = Bench(Path(base).resolve())
        yield made
        made.scratch.close()
        made.root.close()


def fill(bench: Bench) -> None:
    """A read-only folder in a read-only root, with something to remove, to replace and to leave."""
    locked = bench.folder / "locked"
    locked.mkdir()
    for name in ("gone", "more", "stays"):
        (locked / name).write_text(f"{name}\n")
    (locked / "stays").chmod(0o444)
    locked.chmod(0o555)
    bench.folder.chmod(0o555)


def change(copy: Path) -> None:
    """As a command does that opens what it changes and closes it again."""
    copy.chmod(0o755)
    (copy / "locked").chmod(0o755)
    (copy / "locked" / "gone").unlink()
    (copy / "locked" / "more").write_text("and more\n")
    (copy / "locked" / "new").mkdir()
    (copy / "locked" / "new" / "f").write_text("new\n")
    (copy / "locked" / "new").chmod(0o555)
    (copy / "top").write_text("top\n")
    (copy / "locked").chmod(0o555)
    copy.chmod(0o555)


TOUCHED: tuple[Parts, ...] = (("locked", "gone"), ("locked", "more"), ("locked", "new"), ("top",))
AFTER = {
    ".": (0o555, ""),
    "locked": (0o555, ""),
    "locked/more": (0o644, "and more\n"),
    "locked/new": (0o555, ""),
    "locked/new/f": (0o644, "new\n"),
    "locked/stays": (0o444, "stays\n"),
    "top": (0o644, "top\n"),
}


def test_a_folder_that_a_command_opened_and_closed_again(bench: Bench) -> None:
    fill(bench)
    held = bench.hold(TOUCHED, change)
    assert act(lambda: bench.bring(held)) == 0
    assert bench.picture() == AFTER
    assert not bench.openings.is_left()


def test_a_folder_that_is_closed_only_before_or_only_after(bench: Bench) -> None:
    (bench.folder / "b").mkdir()
    fill(bench)

    def swap(copy: Path) -> None:
        (copy / "locked").chmod(0o700)
        (copy / "locked" / "gone").unlink()
        (copy / "b" / "f").write_text("x")
        (copy / "b").chmod(0o500)

    held = bench.hold((("b",), ("locked",)), swap)
    assert act(lambda: bench.bring(held)) == 0
    found = bench.picture()
    assert "locked/gone" not in found
    assert (found["."][0], found["locked"][0], found["b"][0]) == (0o555, 0o700, 0o500)
    assert found["b/f"][1] == "x"


@pytest.mark.parametrize("number", range(12))
def test_a_killed_server_is_followed_by_one_that_ends_with_the_right_modes(bench: Bench, number: int) -> None:
    fill(bench)
    held = bench.hold(TOUCHED, change)
    before = bench.picture()

    def kill() -> None:
        real, done = Disk.apply, 0

        def apply(self: Disk, step: Any) -> None:
            nonlocal done
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            real(self, step)

        pytest.MonkeyPatch().setattr(Disk, "apply", apply)
        bench.bring(held)

    ended = act(kill)
    assert ended in (0, -signal.SIGKILL)
    assert held.begun.exists() == (ended != 0)
    assert (bench.picture() == AFTER) == (ended == 0)
    assert (bench.picture() == before) == (number == 0)
    assert act(lambda: finish_begun(bench.root, bench.store, bench.openings)) == 0
    assert bench.picture() == AFTER
    assert not held.begun.exists()
    assert not bench.openings.is_left()


def test_where_it_can_not_go_on_the_folders_are_closed_all_the_same(bench: Bench) -> None:
    fill(bench)
    held = bench.hold(TOUCHED, change)

    def kill() -> None:
        real = Disk.apply

        def apply(self: Disk, step: Any) -> None:
            if getattr(step, "parts", None) == ("locked", "more"):
                os.kill(os.getpid(), signal.SIGKILL)
            real(self, step)

        pytest.MonkeyPatch().setattr(Disk, "apply", apply)
        bench.bring(held)

    assert act(kill) == -signal.SIGKILL
    assert (bench.folder / "locked").stat().st_mode & 0o777 == 0o755
    (bench.folder / "locked" / "more").write_text("theirs\n")
    assert act(lambda: finish_begun(bench.root, bench.store, bench.openings)) == 0
    assert bench.picture()["locked/more"][1] == "theirs\n"
    assert [bench.picture()[path][0] for path in (".", "locked")] == [0o555, 0o555]
