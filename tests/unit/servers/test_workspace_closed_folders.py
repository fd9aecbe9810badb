"""Restoring in folders that their owner may not write to: opened for it and closed again, whatever happens."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.servers.ordinary import AS_ROOT, act, give

from interlock.config import ManualClock
from interlock.model import Conflict, UserError
from interlock.servers.shared.journal import Journal
from interlock.servers.workspace.apply import Disk
from interlock.servers.workspace.opening import OpenFolder, Openings
from interlock.servers.workspace.operations import Workspace
from interlock.servers.workspace.paths import OPENINGS_NAME
from interlock.servers.workspace.root import Root


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def deleted(bench: Any, *paths: str) -> list[dict[str, Any]]:
    """Files that are captured and deleted; their folders are read-only since then."""
    for path in paths:
        file = bench.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"in {path}\n")
    entries: list[dict[str, Any]] = bench.good("capture", paths=list(paths), content=True)["entries"]
    bench.good("delete", paths=list(paths))
    for path in paths:
        (bench.folder / path).parent.chmod(0o555)
    give(bench.base)
    return entries


def restores(bench: Any, entries: list[dict[str, Any]]) -> Callable[[], object]:
    paths = [entry["path"] for entry in entries]
    return lambda: bench.good("restore", paths=paths, entries=entries)


def killed_at(number: int, deed: Callable[[], object]) -> Callable[[], object]:
    """The deed, killed before the step of that number."""

    def until() -> None:
        real, done = Disk.apply, 0

        def apply(self: Disk, step: Any) -> None:
            nonlocal done
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            real(self, step)

        pytest.MonkeyPatch().setattr(Disk, "apply", apply)  # only the child sees it
        deed()

    return until


def test_a_deleted_file_comes_back_although_its_folder_is_read_only_since(bench: Any) -> None:
    entries = deleted(bench, "d/f.txt")
    assert act(restores(bench, entries)) == 0
    assert (bench.folder / "d" / "f.txt").read_text() == "in d/f.txt\n"
    assert mode(bench.folder / "d") == 0o555
    assert os.listdir(bench.folder) == ["d"]
    assert os.listdir(bench.folder / "d") == ["f.txt"]


def test_what_is_not_in_the_entries_is_removed_replaced_and_made_in_read_only_folders(bench: Any, picture: Any) -> None:
    tree = bench.folder / "t"
    (tree / "in" / "deep").mkdir(parents=True)
    (tree / "in" / "deep" / "f").write_text("then\n")
    (tree / "link").symlink_to("in")
    for folder in (tree / "in" / "deep", tree / "in", tree):
        folder.chmod(0o555)
    bench.folder.chmod(0o555)
    give(bench.base)
    before = picture(bench.folder)
    entries = bench.good("capture", paths=["t"], content=True)["entries"]
    for folder in (bench.folder, tree, tree / "in", tree / "in" / "deep"):
        folder.chmod(0o755)
    (tree / "in" / "deep" / "f").write_text("now\n")
    (tree / "in" / "new").mkdir()
    (tree / "in" / "new" / "f").write_text("new\n")
    (tree / "link").unlink()
    for folder in (tree / "in" / "new", tree / "in" / "deep", tree / "in", tree, bench.folder):
        folder.chmod(0o555)
    give(bench.base)
    assert act(restores(bench, entries)) == 0
    assert picture(bench.folder) == before


def test_a_file_in_the_root_itself(bench: Any) -> None:
    entries = deleted(bench, "f.txt")
    assert mode(bench.folder) == 0o555
    assert act(restores(bench, entries)) == 0
    assert os.listdir(bench.folder) == ["f.txt"]
    assert mode(bench.folder) == 0o555


def test_lost_folders_are_made_again_in_a_read_only_one(bench: Any) -> None:
    entries = deleted(bench, "a/b/c/f.txt")
    (bench.folder / "a" / "b" / "c").rmdir()
    (bench.folder / "a" / "b").rmdir()
    (bench.folder / "a").chmod(0o2555)
    assert act(restores(bench, entries)) == 0
    assert (bench.folder / "a" / "b" / "c" / "f.txt").read_text() == "in a/b/c/f.txt\n"
    assert mode(bench.folder / "a") & 0o777 == 0o555


def test_agents_are_still_refused(bench: Any) -> None:
    deleted(bench, "d/f.txt")

    def write() -> None:
        assert "write-protected" in bench.bad("write", path="d/f.txt", content="x")

    assert act(write) == 0
    assert os.listdir(bench.folder / "d") == []


def test_a_step_that_fails_leaves_no_folder_open(bench: Any) -> None:
    entries = deleted(bench, "d/f.txt", "e/f.txt")

    def fail() -> None:
        real = Disk.apply

        def apply(self: Disk, step: Any) -> None:
            if getattr(step, "parts", ()) == ("e", "f.txt"):
                raise OSError(28, "No space left on device")
            real(self, step)

        pytest.MonkeyPatch().setattr(Disk, "apply", apply)
        outcome = bench.call("restore", paths=["d/f.txt", "e/f.txt"], entries=entries)
        assert outcome.failed
        assert outcome.structured["partial"] is True

    assert act(fail) == 0
    assert (bench.folder / "d" / "f.txt").exists()
    assert [mode(bench.folder / name) for name in "de"] == [0o555, 0o555]
    assert sorted(os.listdir(bench.folder)) == ["d", "e"]


@pytest.mark.parametrize("number", range(4))
def test_what_a_killed_server_left_open_is_closed_by_the_next_one(bench: Any, number: int) -> None:
    entries = deleted(bench, "d/f.txt", "e/f.txt")
    restore = restores(bench, entries)
    assert act(killed_at(number, restore)) == -signal.SIGKILL
    assert [mode(bench.folder / name) for name in "de"] == [0o755 if number > place else 0o555 for place in (0, 1)]
    other = Workspace(bench.root, Journal(None, ManualClock()))
    assert act(other.recover) == 0
    assert [mode(bench.folder / name) for name in "de"] == [0o555, 0o555]
    assert sorted(os.listdir(bench.folder)) == ["d", "e"]
    assert act(restore) == 0
    assert [(bench.folder / name / "f.txt").exists() for name in "de"] == [True, True]
    assert [mode(bench.folder / name) for name in "de"] == [0o555, 0o555]


def test_a_call_closes_what_was_left_open_before_it_looks(bench: Any) -> None:
    entries = deleted(bench, "d/f.txt")
    assert act(killed_at(1, restores(bench, entries))) == -signal.SIGKILL
    assert mode(bench.folder / "d") == 0o755
    seen = bench.good("capture", paths=["d"])["entries"]
    assert seen[0]["mode"] == 0o555


def test_a_mode_that_somebody_set_since_then_stays(bench: Any) -> None:
    entries = deleted(bench, "d/f.txt", "e/f.txt")
    assert act(killed_at(2, restores(bench, entries))) == -signal.SIGKILL
    (bench.folder / "d").chmod(0o750)
    (bench.folder / "e").rename(bench.folder / "other")
    (bench.folder / "e").mkdir()
    (bench.folder / "e").chmod(0o755)
    give(bench.base)
    assert act(bench.workspace.recover) == 0
    assert [mode(bench.folder / name) for name in "de"] == [0o750, 0o755]
    assert not (bench.folder / OPENINGS_NAME).exists()


@pytest.mark.parametrize(
    "planted", ["", "{}\nno json\n[1]\n", '{"parts": "../x", "inode": 1, "mode": 0, "back": 0}', None]
)
def test_a_record_that_is_none_of_ours_does_nothing(bench: Any, planted: str | None) -> None:
    record = bench.folder / OPENINGS_NAME
    if planted is None:
        record.mkdir()
    else:
        record.write_text(planted)
    bench.good("write", path="f.txt", content="x")
    assert record.exists() == (planted is None)


def test_a_record_opens_nothing(bench: Any) -> None:
    folder = bench.folder / "d"
    folder.mkdir(mode=0o500)
    step = OpenFolder(("d",), folder.stat().st_ino, 0o500 & ~0o700, 0o777)
    line = str({**vars(step), "parts": "d"}).replace("'", '"')
    (bench.folder / OPENINGS_NAME).write_text(line + "\n")
    bench.workspace.recover()
    assert mode(folder) == 0o500


def test_a_folder_that_is_another_one_meanwhile_is_not_opened(bench: Any) -> None:
    folder = bench.folder / "d"
    folder.mkdir()
    folder.chmod(0o555)
    step = OpenFolder(("d",), folder.stat().st_ino, 0o555, 0o555)
    folder.rmdir()
    (bench.folder / "e").mkdir()
    folder.mkdir()
    folder.chmod(0o555)
    if folder.stat().st_ino == step.inode:
        folder.chmod(0o500)
    with pytest.raises(Conflict), Disk(bench.root) as disk:
        disk.apply(step)
    folder.rmdir()
    folder.symlink_to("e")
    with pytest.raises(UserError), Disk(bench.root) as disk:
        disk.apply(step)
    assert mode(bench.folder / "e") == 0o755
    assert not (bench.folder / OPENINGS_NAME).exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused_before_anything_is_done(bench: Any) -> None:
    entries = deleted(bench, "a/f.txt", "d/f.txt")
    os.chown(bench.folder / "d", 0, 0)

    def refused() -> None:
        assert "another user" in bench.bad("restore", paths=["a/f.txt", "d/f.txt"], entries=entries)

    assert act(refused) == 0
    assert [os.listdir(bench.folder / name) for name in "ad"] == [[], []]
    assert mode(bench.folder / "a") == 0o555


def test_the_record_can_be_elsewhere(bench: Any) -> None:
    place = Root(bench.twin)
    workspace = Workspace(bench.root, Journal(None, ManualClock()), Openings(bench.root, place))
    inside, bench.workspace = bench.workspace, workspace
    entries = deleted(bench, "f.txt")
    assert act(killed_at(1, restores(bench, entries))) == -signal.SIGKILL
    assert mode(bench.folder) == 0o755
    assert act(inside.recover) == 0
    assert mode(bench.folder) == 0o755
    assert act(workspace.recover) == 0
    assert mode(bench.folder) == 0o555
    assert os.listdir(bench.folder) == []
    place.close()
