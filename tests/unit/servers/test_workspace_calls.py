"""Each tool as a model uses it: bounds, refusals, and sentences that say what to do instead."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from interlock.config import ManualClock
from interlock.servers.shared.calls import CallNotes
from interlock.servers.shared.journal import Journal
from interlock.servers.workspace import reading
from interlock.servers.workspace import search as search_module
from interlock.servers.workspace.arguments import check_arguments
from interlock.servers.workspace.limits import MIB, READ_BYTES, WRITE_BYTES
from interlock.servers.workspace.operations import Workspace
from interlock.servers.workspace.root import Root
from interlock.servers.workspace.tools import TOOLS
from interlock.servers.workspace.walk import fits


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_reading_goes_on_where_it_stopped(bench: Any) -> None:
    lines = [f"line {number} {'x' * 50}\n" for number in range(1, 50_001)]
    (bench.folder / "big.txt").write_text("".join(lines))
    offset, seen = 1, ""
    while offset:
        outcome = bench.call("read", path="big.txt", offset_line=offset)
        part = outcome.structured
        text = outcome.text.rsplit("\n[The file goes on", 1)[0] if part["truncated"] else outcome.text
        assert len(text.encode()) <= READ_BYTES
        assert text.count("\n") == part["lines"]
        seen, offset = seen + text, part["next_offset_line"]
    assert seen == "".join(lines)
    assert bench.call("read", path="big.txt", offset_line=3, limit_lines=1).text.startswith(lines[2])
    assert "only about" in bench.bad("read", path="big.txt", offset_line=60_000)


def test_a_line_that_is_too_long_is_cut_between_characters(bench: Any) -> None:
    (bench.folder / "long.txt").write_text("x" + "é" * MIB)
    outcome = bench.call("read", path="long.txt")
    assert outcome.structured["truncated"]
    assert "only its start is shown" in outcome.text


@pytest.mark.parametrize("content", [b"a\x00b", b"\xff\xfe", b"ok\n\xc3"])
def test_binary_files_are_refused_with_their_size(bench: Any, content: bytes) -> None:
    (bench.folder / "b").write_bytes(content)
    assert f"binary file of {len(content)} bytes" in bench.bad("read", path="b")
    assert "binary file" in bench.bad("edit", path="b", old="a", new="c")


def test_text_is_kept_to_the_byte(bench: Any) -> None:
    (bench.folder / "crlf.txt").write_bytes(b"one\r\ntwo\x0bx\xe2\x80\xa8\r\nend")
    assert bench.call("read", path="crlf.txt").text == "one\r\ntwo\x0bx\u2028\r\nend"
    bench.good("edit", path="crlf.txt", old="two", new="2")
    assert (bench.folder / "crlf.txt").read_bytes() == b"one\r\n2\x0bx\xe2\x80\xa8\r\nend"
    (bench.folder / "empty").touch()
    assert bench.call("read", path="empty").text == ""


def test_editing_wants_exactly_one_place(bench: Any) -> None:
    (bench.folder / "f").write_text("a b a\n")
    assert "2 times" in bench.bad("edit", path="f", old="a", new="c")
    assert "is not in" in bench.bad("edit", path="f", old="z", new="c")
    assert "nothing would change" in bench.bad("edit", path="f", old="b", new="b")
    bench.good("edit", path="f", old="a", new="c", all=True)
    assert (bench.folder / "f").read_text() == "c b c\n"
    (bench.folder / "grow").write_text("x" * MIB)
    assert "grow over" in bench.bad("edit", path="grow", old="x", new="x" * 100, all=True)


def test_writing_refuses_what_it_would_destroy(bench: Any) -> None:
    bench.good("write", path="f", content="one")
    assert "already exists" in bench.bad("write", path="f", content="two")
    bench.good("write", path="f", content="two", mode="overwrite")
    assert "workspace folder itself" in bench.bad("write", path=".", content="x")
    (bench.folder / "d").mkdir()
    assert "is a folder" in bench.bad("write", path="d", content="x", mode="overwrite")
    assert "not a folder" in bench.bad("write", path="f/below", content="x")
    assert "at most" in bench.bad("write", path="large", content="é" * (WRITE_BYTES // 2 + 1))
    assert "control characters" in bench.bad("write", path="a\nb", content="x")
    (bench.folder / "f").chmod(0o444)
    assert "read-only" in bench.bad("write", path="f", content="x", mode="overwrite")
    assert "read-only" in bench.bad("edit", path="f", old="two", new="x")


def test_moving_never_overwrites(bench: Any) -> None:
    for name in ("a", "b"):
        (bench.folder / name).write_text(name)
    (bench.folder / "d" / "e").mkdir(parents=True)
    assert "already exists" in bench.bad("move", source="a", target="b")
    assert "folder that exists" in bench.bad("move", source="a", target="d")
    assert "into itself" in bench.bad("move", source="d", target="d/e/f")
    assert "does not exist" in bench.bad("move", source="z", target="y")
    bench.good("move", source="a", target="new/deep/a")
    assert (bench.folder / "new" / "deep" / "a").read_text() == "a"


def test_deleting_is_all_or_nothing(bench: Any) -> None:
    (bench.folder / "d").mkdir()
    (bench.folder / "d" / "f").write_text("x")
    (bench.folder / "empty").mkdir()
    (bench.folder / "g").write_text("x")
    assert "does not exist" in bench.bad("delete", paths=["g", "nope"])
    assert "recursive" in bench.bad("delete", paths=["g", "d"])
    assert names(bench.folder) == ["d", "empty", "g"]
    bench.good("delete", paths=["g", "empty"])
    bench.good("delete", paths=["d"], recursive=True)
    assert names(bench.folder) == []


def test_listing_is_bounded_and_filtered(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.folder / "src" / "deep").mkdir(parents=True)
    for path in ("src/a.py", "src/deep/b.py", "src/c.txt"):
        (bench.folder / path).touch()
    found = bench.good("list", recursive=True, glob="src/**/*.py")["entries"]
    assert [entry["path"] for entry in found] == ["src/a.py", "src/deep/b.py"]
    assert "not a folder" in bench.bad("list", path="src/a.py")
    assert "is a folder" in bench.bad("read", path="src")
    monkeypatch.setattr(reading, "LIST_ENTRIES", 50)
    (bench.folder / "many").mkdir()
    for number in range(51):
        (bench.folder / "many" / str(number)).touch()
    listed = bench.good("list", path="many")
    assert listed["truncated"]
    assert len(listed["entries"]) == 50
    (bench.folder / os.fsdecode(b"\xff")).mkdir()
    assert "\\xff" in bench.call("list").text


@pytest.mark.parametrize(
    ("path", "glob", "expected"),
    [
        ("a/b.py", "*.py", True), ("a/b.py", "a/*.py", True), ("a/c/b.py", "a/*.py", False),
        ("a/c/b.py", "a/**/*.py", True), ("a/b.py", "a/**/*.py", True), ("a", "**", True), ("a/b", "**/b", True),
        ("b", "**/b", True), ("a/b/c", "**/b/**", True), ("ab", "a?", True), ("a/b", "*/", True), ("a", "b/**", False),
    ],
)  # fmt: skip
def test_globs(path: str, glob: str, expected: bool) -> None:
    assert fits(tuple(path.split("/")), glob) is expected


def test_a_glob_of_many_stars_is_quick() -> None:
    started = time.perf_counter()
    assert not fits(("a" * 255,), "*a" * 400 + "b")
    assert not fits(("a",) * 100, "**/a/" * 150 + "b")
    assert time.perf_counter() - started < 1.0


def test_searching(bench: Any) -> None:
    (bench.folder / "a.txt").write_text("One (1)\ntwo\r\n")
    (bench.folder / "b.bin").write_bytes(b"One\x00")
    (bench.folder / "long.txt").write_text("x" * 10_000 + "needle" + "y" * 10_000)
    assert bench.good("search", pattern="(1)")["matches"] == [{"path": "a.txt", "line": 1, "text": "One (1)"}]
    assert bench.good("search", pattern="one")["matches"] == []
    assert len(bench.good("search", pattern="one", ignore_case=True)["matches"]) == 1
    found = bench.good("search", pattern=r"^t\w+", regex=True)
    assert found["matches"] == [{"path": "a.txt", "line": 2, "text": "two"}]
    assert found["files_skipped"] == 1
    excerpt = bench.good("search", pattern="needle", path="long.txt")["matches"][0]["text"]
    assert "needle" in excerpt
    assert len(excerpt) <= 300
    assert bench.good("search", pattern="o", ignore_case=True, max_results=1)["truncated"]
    assert "regular expression is wrong" in bench.bad("search", pattern="(", regex=True)
    assert bench.good("search", pattern="One", glob="*.md")["files_searched"] == 0


def test_a_catastrophic_expression_is_killed(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "SEARCH_DEADLINE_S", 0.5)
    (bench.folder / "a.txt").write_text("a" * 60 + "!\n")
    started = time.perf_counter()
    assert "took too long" in bench.bad("search", pattern="(a+)+$", regex=True)
    assert time.perf_counter() - started < 5.0


@pytest.mark.parametrize(
    ("tool", "args", "word"),
    [
        ("read", {}, "'path' is missing"),
        ("read", {"path": 7}, "'path' must be text"),
        ("read", {"path": "a", "limit": 3}, 'no field "limit"'),
        ("read", {"path": "a", "offset_line": 0}, "'offset_line' must be at least 1"),
        ("read", {"path": "a", "offset_line": True}, "'offset_line' must be a whole number"),
        ("write", {"path": "a", "content": "x", "mode": "append"}, 'one of: "create", "overwrite"'),
        ("delete", {"paths": []}, "'paths' must have at least 1 items"),
        ("delete", {"paths": ["a", 1]}, "'paths[1]' must be text"),
        ("preview", {"tool": "delete", "args": {"paths": "a"}}, "'paths' must be a list"),
        ("preview", {"tool": "restore", "args": {}}, "'tool' must be one of"),
        ("shell", {}, 'no tool "shell"'),
    ],
)
def test_wrong_arguments_name_the_field(bench: Any, tool: str, args: dict[str, Any], word: str) -> None:
    assert word in bench.bad(tool, **args)


def test_a_preview_of_reading_changes_nothing(bench: Any) -> None:
    preview = bench.good("preview", tool="list", args={})
    assert preview["effect"]["files"] == []
    assert preview["touched"] == []


def test_every_definition_is_strict_and_described() -> None:
    for tool in TOOLS.values():
        schema = tool["inputSchema"]
        assert schema["additionalProperties"] is False
        assert all(field.get("description") for field in schema["properties"].values())
        assert set(tool["annotations"]) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
    internal = {name for name, tool in TOOLS.items() if tool.get("_meta") == {"interlock/internal": True}}
    assert internal == {"preview", "capture", "content", "restore"}
    check_arguments("restore", {"paths": ["a"], "entries": [{"path": "a", "kind": "missing"}]})


def test_what_a_crash_left_is_hidden_and_swept(bench: Any) -> None:
    leftover = bench.folder / ".interlock-0123456789abcdef.tmp"
    leftover.write_text("half")
    assert bench.good("list")["entries"] == []
    assert len(bench.good("capture", paths=["."])["entries"]) == 1
    assert "keeps for itself" in bench.bad("read", path=leftover.name)
    bench.good("write", path="f", content="x")
    assert names(bench.folder) == ["f"]


def test_servers_on_one_folder_take_turns(bench: Any) -> None:
    (bench.folder / "a").write_text("x")
    other = Root(bench.folder)
    workspaces = [bench.workspace, Workspace(other, Journal(None, ManualClock()))]
    outcomes: list[bool] = []

    def work(workspace: Workspace, name: str) -> None:
        for number in range(20):
            done = workspace.call("move", {"source": "a", "target": f"{name}{number}"}, CallNotes())
            if not done.failed:
                workspace.call("move", {"source": f"{name}{number}", "target": "a"}, CallNotes())
            outcomes.append(done.failed)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(workspaces, "bc", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    other.close()
    assert len(outcomes) == 40
    assert names(bench.folder) == ["a"]
