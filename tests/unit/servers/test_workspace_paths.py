"""Nothing outside the root can be reached, whatever the path and whoever swaps links meanwhile."""

import ctypes
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.model import UserError
from interlock.servers.workspace.paths import is_below, parse_path, show

PIECES = st.sampled_from(
    ["a", "b.txt", "..", ".", "", "~", "root", "root-evil", "secret.txt", "/", "//", "\x00", "out", "in", "up",
     "etc", "passwd", "\uff0e\uff0e", "\u2025", "%2e%2e", "..\\", "\u202e", "é", "e\u0301", ".git",
     ".GIT", "hooks", "x" * 300]
)  # fmt: skip
NASTY = st.one_of(
    st.lists(PIECES, max_size=6).map("/".join), st.text(max_size=30), st.text(alphabet="./a\x00\\~", max_size=20)
)
SLOW_OK = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(NASTY)
def test_a_path_is_refused_or_holds_only_plain_names(text: str) -> None:
    try:
        parts = parse_path(text)
    except UserError:
        return
    assert not {"", ".", ".."} & set(parts)
    assert not any("/" in part or "\x00" in part for part in parts)
    assert not text.startswith("/")
    assert parse_path(show(parts)) == parts


@pytest.mark.parametrize(
    "text",
    ["", "/", "/etc/passwd", "..", "a/../b", "../root-evil/secret.txt", "a\x00b", "a/" * 120, "é" * 2100, "\ud800"],
)
def test_these_paths_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_path(text)


def test_a_twin_prefix_is_not_below() -> None:
    assert not is_below(("root-evil",), ("root",))
    assert is_below(("root", "a"), ("root",))


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW_OK)
@given(first=NASTY, second=NASTY, tool=st.sampled_from(["list", "read", "search", "write", "edit", "move", "delete"]))
def test_no_call_reaches_outside(new_workspace: Any, picture: Any, first: str, second: str, tool: str) -> None:
    with new_workspace() as bench:
        (bench.folder / "a").mkdir()
        (bench.folder / "b.txt").write_text("inside\n")
        (bench.folder / "out").symlink_to(bench.twin)
        (bench.folder / "up").symlink_to("../root-evil")
        (bench.folder / "in").symlink_to("a")
        outside = picture(bench.twin)
        args: dict[str, dict[str, Any]] = {
            "list": {"path": first, "recursive": True},
            "read": {"path": first},
            "search": {"pattern": "secret", "path": first},
            "write": {"path": first, "content": "owned", "mode": "overwrite"},
            "edit": {"path": first, "old": "secret", "new": "owned"},
            "move": {"source": first, "target": second},
            "delete": {"paths": [first], "recursive": True},
        }
        outcome = bench.call(tool, **args[tool])
        assert picture(bench.twin) == outside
        assert "the secret" not in outcome.text
        assert bench.folder.is_dir()
        assert sorted(path.name for path in bench.base.iterdir()) == ["root", "root-evil"]
        if outcome.failed:
            assert str(bench.base) not in outcome.text


def test_links_that_stay_inside_are_followed_for_reading_only(bench: Any) -> None:
    (bench.folder / "a").mkdir()
    (bench.folder / "a" / "f.txt").write_text("text\n")
    (bench.folder / "relative").symlink_to("a/f.txt")
    (bench.folder / "absolute").symlink_to(bench.folder / "a" / "f.txt")
    (bench.folder / "folder").symlink_to("./a/../a")
    for path in ("relative", "absolute", "folder/f.txt"):
        assert bench.call("read", path=path).text == "text\n"
    assert [entry["path"] for entry in bench.good("list", path="folder")["entries"]] == ["folder/f.txt"]
    targets = {entry["path"]: entry["target"] for entry in bench.good("list")["entries"]}
    assert targets == {"a": None, "relative": "a/f.txt", "absolute": "a/f.txt", "folder": "a"}
    assert "symbolic link" in bench.bad("write", path="relative", content="x", mode="overwrite")
    assert "symbolic link" in bench.bad("edit", path="relative", old="text", new="x")
    assert "symbolic link" in bench.bad("write", path="folder/new.txt", content="x")
    assert "symbolic link" in bench.bad("delete", paths=["folder/f.txt"])
    bench.good("delete", paths=["relative"])
    bench.good("move", source="folder", target="renamed")
    assert (bench.folder / "a" / "f.txt").read_text() == "text\n"
    assert (bench.folder / "renamed").readlink() == Path("a/../a")


def test_links_that_lead_outside_are_not_followed(bench: Any) -> None:
    (bench.folder / "out").symlink_to(bench.twin / "secret.txt")
    (bench.folder / "up").symlink_to("../root-evil")
    (bench.folder / "loop").symlink_to("loop")
    assert "outside" in bench.bad("read", path="out")
    assert "outside" in bench.bad("read", path="up/secret.txt")
    assert "outside" in bench.bad("search", path="up", pattern="secret")
    assert "circles" in bench.bad("read", path="loop")
    listed = bench.call("list")
    assert str(bench.base) not in listed.text
    assert bench.good("search", pattern="secret")["matches"] == []
    bench.bad("capture", paths=["up/secret.txt"])


def test_special_files_are_refused(bench: Any) -> None:
    os.mkfifo(bench.folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bench.folder / "sock"))
    for name in ("pipe", "sock"):
        assert "pipe, socket or device" in bench.bad("read", path=name)
        assert "pipe, socket or device" in bench.bad("write", path=name, content="x", mode="overwrite")
        assert "pipe, socket or device" in bench.bad("delete", paths=[name])
    assert bench.good("search", pattern="x")["matches"] == []


def test_the_root_and_git_can_not_be_changed(bench: Any, picture: Any) -> None:
    for name in (".git", "sub/.git"):
        (bench.folder / name / "hooks").mkdir(parents=True)
        (bench.folder / name / "config").write_text("x\n")
    before = picture(bench.folder)
    assert "workspace folder itself" in bench.bad("delete", paths=["."], recursive=True)
    assert "workspace folder itself" in bench.bad("move", source="./", target="b")
    for path in (".git/hooks/pre-commit", ".GIT/config", "sub/.git/config", "new/.git/config"):
        assert "git" in bench.bad("write", path=path, content="x", mode="overwrite")
    assert "git" in bench.bad("edit", path=".git/config", old="x", new="y")
    assert "git" in bench.bad("delete", paths=[".git"], recursive=True)
    assert "git" in bench.bad("delete", paths=["sub"], recursive=True)
    assert "git" in bench.bad("move", source="sub", target="other")
    assert picture(bench.folder) == before
    assert bench.call("read", path=".git/config").text == "x\n"
    listed = [entry["path"] for entry in bench.good("list", recursive=True)["entries"]]
    assert ".git" in listed
    assert ".git/config" not in listed


def test_a_link_swapped_in_at_any_moment_leads_nowhere(bench: Any, picture: Any) -> None:
    door, link = bench.folder / "door", bench.folder / "link"
    door.mkdir()
    link.symlink_to(bench.twin)
    (door / "secret.txt").write_text("harmless\n")
    outside = picture(bench.twin)
    stop = threading.Event()
    swaps: list[int] = []

    def swap() -> None:
        while not stop.is_set():
            swaps.append(exchange(door, link))

    swapper = threading.Thread(target=swap)
    swapper.start()
    outcomes = []
    try:
        for number in range(100):
            outcomes.append(bench.call("read", path="door/secret.txt"))
            outcomes.append(bench.call("search", path="door", pattern="secret of"))
            outcomes.append(bench.call("write", path=f"door/new{number}.txt", content="owned"))
            outcomes.append(bench.call("edit", path="door/secret.txt", old="secret", new="owned"))
            outcomes.append(bench.call("move", source="door/secret.txt", target="door/taken.txt"))
            outcomes.append(bench.call("delete", paths=["door/taken.txt"]))
    finally:
        stop.set()
        swapper.join(timeout=10)
    assert picture(bench.twin) == outside
    assert not any("the secret" in outcome.text for outcome in outcomes)
    assert set(swaps) == {0}
    assert {outcome.failed for outcome in outcomes} == {True, False}


def exchange(one: Path, other: Path) -> int:
    """Swap two names in one step (renameat2 with RENAME_EXCHANGE)."""
    libc = ctypes.CDLL(None)
    return int(libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2))
