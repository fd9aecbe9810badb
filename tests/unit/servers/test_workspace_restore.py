"""Restoring: never over what others changed, never from damaged entries, never into `.git`."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from interlock.config import ManualClock
from interlock.model import Conflict
from interlock.servers.shared.calls import CallNotes
from interlock.servers.shared.journal import Journal
from interlock.servers.workspace import snapshot
from interlock.servers.workspace.apply import Disk
from interlock.servers.workspace.limits import SNAPSHOT_CONTENT_BYTES
from interlock.servers.workspace.operations import Workspace
from interlock.servers.workspace.plan import plan_delete, plan_edit, plan_write


def test_a_change_by_others_is_a_conflict_and_is_kept(bench: Any, picture: Any) -> None:
    (bench.folder / "d").mkdir()
    (bench.folder / "d" / "f.txt").write_text("first\n")
    captured = bench.good("capture", paths=["d"], content=True)
    done = bench.good("edit", path="d/f.txt", old="first", new="second")
    after = bench.good("capture", paths=["d"])["state_sha256"]
    (bench.folder / "d" / "theirs.txt").write_text("work of others\n")
    now = picture(bench.folder)
    outcome = bench.call("restore", paths=["d"], entries=captured["entries"], expect_state_sha256=after)
    assert outcome.failed
    assert outcome.structured["conflict"] is True
    assert outcome.structured["expected_state_sha256"] == after
    assert outcome.structured["state_sha256"] == bench.good("capture", paths=["d"])["state_sha256"]
    assert picture(bench.folder) == now
    assert done["state_sha256"] != after  # the edit touched the file, the capture held its folder


def test_a_call_can_be_bound_to_the_state_that_was_seen(bench: Any) -> None:
    seen = bench.good("preview", tool="write", args={"path": "f.txt", "content": "mine\n"})
    (bench.folder / "f.txt").write_text("theirs\n")
    notes = CallNotes(expect_state_sha256=seen["state_sha256"])
    args = {"path": "f.txt", "content": "mine\n", "mode": "overwrite"}
    outcome = bench.workspace.call("write", args, notes)
    assert outcome.failed
    assert outcome.structured["conflict"] is True
    assert (bench.folder / "f.txt").read_text() == "theirs\n"
    (bench.folder / "f.txt").unlink()
    assert not bench.workspace.call("write", args, notes).failed


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda entry: entry.update(content="AAAA"), "sha256"),
        (lambda entry: entry.update(content="no base64!"), "base64"),
        (lambda entry: entry.pop("content"), "no content"),
        (lambda entry: entry.update(path="elsewhere"), "no entry for"),
        (lambda entry: entry.update(path="../up"), ".."),
        (lambda entry: entry.update(kind="symlink"), "target"),
        (lambda entry: entry.update(kind="pipe"), "kind"),
        (lambda entry: entry.update(mode=99999), "mode"),
        (lambda entry: entry.update(surprise=1), "surprise"),
    ],
)
def test_damaged_entries_change_nothing(bench: Any, picture: Any, spoil: Any, word: str) -> None:
    (bench.folder / "f.txt").write_text("first\n")
    entries = bench.good("capture", paths=["f.txt"], content=True)["entries"]
    bench.good("edit", path="f.txt", old="first", new="second")
    spoil(entries[0])
    now = picture(bench.folder)
    assert word in bench.bad("restore", paths=["f.txt"], entries=entries)
    assert picture(bench.folder) == now


def test_entries_must_be_about_the_paths_and_whole(bench: Any) -> None:
    (bench.folder / "d").mkdir()
    (bench.folder / "d" / "f.txt").write_text("x")
    entries = bench.good("capture", paths=["d"], content=True)["entries"]
    assert "outside the given paths" in bench.bad(
        "restore", paths=["e"], entries=[*entries, {"path": "e", "kind": "missing"}]
    )
    assert "twice" in bench.bad("restore", paths=["d"], entries=[*entries, entries[0]])
    assert "no entry for" in bench.bad("restore", paths=["d"], entries=entries[1:])
    lost = {**entries[1], "path": "d/e/f.txt"}
    assert "does not fit" in bench.bad("restore", paths=["d"], entries=[entries[0], lost])


def test_git_is_left_alone(bench: Any, picture: Any) -> None:
    (bench.folder / ".git").mkdir()
    (bench.folder / ".git" / "config").write_text("safe\n")
    (bench.folder / "f.txt").write_text("one\n")
    entries = bench.good("capture", paths=["."], content=True)["entries"]
    bench.good("edit", path="f.txt", old="one", new="two")
    assert bench.good("restore", paths=["."], entries=entries)["restored"]
    assert (bench.folder / "f.txt").read_text() == "one\n"
    (bench.folder / ".git" / "config").write_text("other\n")
    now = picture(bench.folder)
    assert "git" in bench.bad("restore", paths=["."], entries=entries)
    assert picture(bench.folder) == now


def test_kinds_modes_links_and_empty_folders_come_back(bench: Any, picture: Any) -> None:
    tree = bench.folder / "t"
    (tree / "empty").mkdir(parents=True)
    (tree / "locked").mkdir()
    (tree / "locked" / "f").write_bytes(b"\x00\x01")
    (tree / "locked" / "f").chmod(0o400)
    (tree / "locked").chmod(0o550)
    (tree / "link").symlink_to("locked/f")
    (tree / "set").write_text("x")
    (tree / "set").chmod(0o6711)
    before = picture(bench.folder)
    captured = bench.good("capture", paths=["t"], content=True)
    (tree / "locked").chmod(0o755)
    (tree / "locked" / "f").unlink()
    (tree / "locked" / "f").mkdir()
    (tree / "locked" / "f" / "deep").write_text("x")
    (tree / "empty").rmdir()
    (tree / "empty").symlink_to("/nowhere")
    (tree / "link").unlink()
    (tree / "link").symlink_to("elsewhere")
    (tree / "set").chmod(0o644)
    (tree / "extra").write_text("not captured")
    (tree / "locked").chmod(0o550)
    assert bench.good("restore", paths=["t"], entries=captured["entries"])["restored"]
    assert picture(bench.folder) == before
    assert bench.good("capture", paths=["t"], content=True) == captured


def test_what_was_not_there_is_removed_and_lost_folders_are_made_again(bench: Any) -> None:
    missing = bench.good("capture", paths=["new/f.txt", "new"], content=True)
    assert missing["entries"][0]["kind"] == "missing"
    bench.good("write", path="new/f.txt", content="x")
    assert bench.good("restore", paths=["new"], entries=missing["entries"])["restored"]
    assert not (bench.folder / "new").exists()
    bench.good("write", path="a/b/c.txt", content="x")
    captured = bench.good("capture", paths=["a/b/c.txt"], content=True)
    bench.good("delete", paths=["a"], recursive=True)
    assert bench.good("restore", paths=["a/b/c.txt"], entries=captured["entries"])["restored"]
    assert (bench.folder / "a" / "b" / "c.txt").read_text() == "x"


def test_too_much_to_capture_is_said(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "SNAPSHOT_ENTRIES", 50)
    with (bench.folder / "large").open("wb") as file:
        file.truncate(SNAPSHOT_CONTENT_BYTES + 1)
    assert "64 MiB" in bench.bad("capture", paths=["large"], content=True)
    assert bench.good("capture", paths=["large"])["entries"][0]["size"] == SNAPSHOT_CONTENT_BYTES + 1
    (bench.folder / "many").mkdir()
    for number in range(50):
        (bench.folder / "many" / str(number)).touch()
    assert "more than 50" in bench.bad("capture", paths=["many"])
    assert "more than 50" in bench.bad("delete", paths=["many"], recursive=True)
    assert len(list((bench.folder / "many").iterdir())) == 50


def test_large_content_is_fetched_in_pieces(bench: Any) -> None:
    large = bytes(range(256)) * 10_000
    (bench.folder / "d").mkdir()
    (bench.folder / "d" / "large").write_bytes(large)
    (bench.folder / "d" / "small").write_bytes(b"small")
    captured = bench.good("capture", paths=["d"], content=True, max_inline_bytes=1000)
    assert captured["pending"] == ["d/large"]
    assert [entry.get("content") for entry in captured["entries"]] == [None, None, "c21hbGw="]
    fetched = b""
    offset: int | None = 0
    while offset is not None:
        part = bench.good("content", path="d/large", offset_bytes=offset)
        fetched, offset = fetched + base64.b64decode(part["content"]), part["next_offset_bytes"]
    assert fetched == large
    bench.good("delete", paths=["d"], recursive=True)
    assert "no content" in bench.bad("restore", paths=["d"], entries=captured["entries"])
    assert not (bench.folder / "d").exists()
    captured["entries"][1]["content"] = base64.b64encode(fetched).decode()
    assert bench.good("restore", paths=["d"], entries=captured["entries"])["restored"]
    (bench.folder / "link").symlink_to("d/large")
    assert "symbolic link" in bench.bad("content", path="link")
    assert "does not exist" in bench.bad("content", path="nope")


def test_a_name_that_is_no_text_is_not_lost(bench: Any) -> None:
    (bench.folder / "bytes" / os.fsdecode(b"\xff")).mkdir(parents=True)
    assert "UTF-8" in bench.bad("capture", paths=["bytes"])
    assert "UTF-8" in bench.bad("delete", paths=["bytes"], recursive=True)


def test_a_plan_that_is_overtaken_stops_and_clobbers_nothing(bench: Any) -> None:
    file, folder = bench.folder / "f.txt", bench.folder / "d"
    file.write_text("one\n")
    folder.mkdir()
    edit = plan_edit(bench.root, {"path": "f.txt", "old": "one", "new": "two"})
    file.write_text("theirs\n")
    with pytest.raises(Conflict):
        Disk(bench.root).apply(edit.steps[0])
    assert file.read_text() == "theirs\n"
    create = plan_write(bench.root, {"path": "new.txt", "content": "mine"})
    (bench.folder / "new.txt").write_text("theirs")
    with pytest.raises(FileExistsError):
        Disk(bench.root).apply(create.steps[0])
    assert (bench.folder / "new.txt").read_text() == "theirs"
    assert sorted(path.name for path in bench.folder.iterdir()) == ["d", "f.txt", "new.txt"]


def test_half_a_deletion_is_measured_and_reported(bench: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    workspace = Workspace(bench.root, Journal(log, ManualClock()))
    folder = bench.folder / "d"
    folder.mkdir()
    (folder / "z.txt").write_text("x")
    plan = plan_delete(bench.root, {"paths": ["d"], "recursive": True})
    (folder / "a.txt").write_text("theirs")
    outcome, _ = workspace._perform("delete", plan, CallNotes(key="k"))
    assert outcome.failed
    assert outcome.structured is not None
    assert outcome.structured["partial"] is True
    changes = {item["path"]: item["change"] for item in outcome.structured["effect"]["files"]}
    assert changes == {"d/z.txt": "deleted", "d/a.txt": "created"}  # measured: what others did shows as well
    assert "new content" in outcome.text
    assert (folder / "a.txt").read_text() == "theirs"
    assert [line.count('"key": "k"') for line in log.read_text().splitlines()] == [1, 1]
