"""The copy of a folder: equal to it after each sync, whatever was done to either of them."""

import datetime
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from interlock.config import ManualClock, SystemClock
from interlock.model import Exhausted
from interlock.servers.shell import shadow as shadow_module
from interlock.servers.shell.marks import fingerprint, scan
from interlock.servers.shell.shadow import Shadow, remove_tree
from interlock.servers.workspace.root import Root


def picture(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every path with mode and content, and the time of files and links."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        info = path.lstat()
        content = b""
        if path.is_symlink():
            content = os.fsencode(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        timed = stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode)
        time_ns = info.st_mtime_ns if timed else 0
        found[str(path.relative_to(folder))] = (info.st_mode, time_ns, content)
    return found


LATER = ManualClock(datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))  # nothing is of this moment


def fill(made: Path) -> Path:
    (made / "a" / "b").mkdir(parents=True)
    (made / "a" / "f").write_text("one\n")
    (made / "a" / "b" / "run").write_bytes(bytes(range(256)) * 100)
    (made / "a" / "b" / "run").chmod(0o751)
    (made / "empty").mkdir(mode=0o555)
    (made / "link").symlink_to("a/f")
    (made / "gone").symlink_to("/nowhere/at all")
    os.mkfifo(made / "pipe")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "root")


@pytest.fixture
def shadow(folder: Path, tmp_path: Path) -> Iterator[Shadow]:
    root = Root(folder)
    made = Shadow(root, tmp_path / "own" / "tree", (), LATER)
    yield made
    made.discard()
    root.close()


def test_the_copy_is_exact(folder: Path, shadow: Shadow) -> None:
    shadow.sync()
    assert picture(shadow.place) == picture(folder)
    assert shadow.changed()[1] == set()


def test_only_what_differs_is_copied_again(folder: Path, shadow: Shadow) -> None:
    shadow.sync()
    times = {path: path.lstat().st_ctime_ns for path in shadow.place.rglob("*") if not path.is_dir()}
    (folder / "a" / "f").write_text("two\n")
    shadow.sync()
    assert picture(shadow.place) == picture(folder)
    changed = {path.name for path, time_ns in times.items() if path.lstat().st_ctime_ns != time_ns}
    assert changed == {"f"}


def test_a_file_of_this_very_moment_is_copied_again(folder: Path, tmp_path: Path) -> None:
    now = (folder / "a" / "f").lstat().st_ctime_ns
    clock = ManualClock()
    clock.at = clock.at.fromtimestamp(now / 1e9, clock.at.tzinfo)
    root = Root(folder)
    shadow = Shadow(root, tmp_path / "tree", (), clock)
    shadow.sync()
    (shadow.place / "a" / "f").write_text("not what is there\n")
    shadow.sync()  # without having looked at the copy
    assert (shadow.place / "a" / "f").read_text() == "one\n"
    shadow.discard()
    root.close()


def test_what_a_command_did_to_the_copy_is_found_and_taken_back(folder: Path, shadow: Shadow) -> None:
    shadow.sync()
    place = shadow.place
    time_ns = (place / "a" / "f").stat().st_mtime_ns
    (place / "a" / "f").write_text("eno\n")  # same size, and the time is put back
    os.utime(place / "a" / "f", ns=(time_ns, time_ns))
    (place / "a" / "b" / "run").chmod(0o600)
    (place / "link").unlink()
    (place / "new").mkdir()
    (place / "new" / "x").write_text("x")
    _, changed = shadow.changed()
    assert changed == {("a", "f"), ("a", "b", "run"), ("link",), ("new",), ("new", "x")}
    shadow.sync()
    assert picture(place) == picture(folder)


def test_paths_that_are_left_out(folder: Path, tmp_path: Path) -> None:
    root = Root(folder)
    shadow = Shadow(root, tmp_path / "tree", {("a", "b")}, LATER)
    shadow.sync()
    assert not (shadow.place / "a" / "b").exists()
    assert (shadow.place / "a" / "f").exists()
    shadow.discard()
    root.close()


def test_too_much_is_refused_and_leaves_nothing(folder: Path, shadow: Shadow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_module, "COPY_ENTRIES", 3)
    with pytest.raises(Exhausted, match="more than 3 files"):
        shadow.sync()
    assert not shadow.place.exists()
    monkeypatch.undo()
    monkeypatch.setattr(shadow_module, "COPY_BYTES", 10)
    with pytest.raises(Exhausted, match="more than 10 bytes"):
        shadow.sync()
    monkeypatch.undo()
    shadow.sync()
    assert picture(shadow.place) == picture(folder)


def test_a_folder_that_is_too_deep_to_look_at_is_thrown_away(folder: Path, shadow: Shadow) -> None:
    shadow.sync()
    deep = shadow.place
    for _ in range(150):
        deep = deep / "d"
        deep.mkdir()
    with pytest.raises(Exhausted, match="below each other"):
        shadow.changed()
    assert not shadow.place.exists()
    shadow.sync()
    assert picture(shadow.place) == picture(folder)


def test_the_fingerprint_follows_every_change(folder: Path) -> None:
    root = Root(folder)

    def now() -> str:
        return fingerprint(scan(root, 1000))

    first = now()
    assert now() == first
    (folder / "a" / "f").chmod(0o600)
    second = now()
    (folder / "a" / "f").chmod(0o644)
    assert len({first, second, now()}) == 3  # the time of the inode can't be put back
    root.close()


@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(chance=st.randoms())
def test_any_changes_on_both_sides_end_in_the_same_state(chance: Any) -> None:
    with tempfile.TemporaryDirectory() as base:
        folder = fill(Path(base) / "root")
        root = Root(folder)
        shadow = Shadow(root, Path(base) / "tree", (), SystemClock())
        for _ in range(4):
            shadow.sync()
            assert picture(shadow.place) == picture(folder)
            for side in chance.sample([folder, shadow.place], 2):
                for _ in range(5):
                    mutate(side, chance)
            if chance.random() < 0.9:
                shadow.changed()
            else:
                shadow.discard()
        shadow.sync()
        assert picture(shadow.place) == picture(folder)
        shadow.discard()
        root.close()


def mutate(folder: Path, chance: Any) -> None:
    paths = sorted(folder.rglob("*"))
    where = chance.choice([folder, *(path for path in paths if path.is_dir() and not path.is_symlink())])
    where.chmod(0o755)
    name = where / chance.choice("uvwxyz")
    kind = chance.choice(["file", "dir", "link", "remove", "mode"])
    if kind in ("file", "dir", "link") and (name.is_symlink() or name.exists()):
        remove(name)
    if kind == "file":
        name.write_bytes(bytes([chance.randrange(256)]) * chance.randrange(2000))
    elif kind == "dir":
        name.mkdir()
    elif kind == "link":
        name.symlink_to(chance.choice(["a", "/etc/passwd", ".."]))
    elif paths and kind == "remove":
        remove(chance.choice(paths))
    elif paths and not (one := chance.choice(paths)).is_symlink():
        one.chmod(chance.choice([0o700, 0o755, 0o644]) if one.is_file() else chance.choice([0o700, 0o755]))


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
