"""What is previewed is what happens, what happens is measured, and what was captured comes back exactly."""

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "c", "d.txt", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENT = st.one_of(
    st.sampled_from([b"", b"one\n", b"one\ntwo\nthree\n", b"no end", b"\r\nx\r\n", b"\x00\xff binary", b"one\none\n"]),
    st.binary(max_size=40),
)
MODES = st.sampled_from([0o644, 0o600, 0o640, 0o755, 0o444])
NODES = st.one_of(
    st.tuples(st.just("file"), PATHS, CONTENT, MODES),
    st.tuples(st.just("dir"), PATHS, st.just(b""), st.sampled_from([0o755, 0o700])),
    st.tuples(st.just("link"), PATHS, st.sampled_from([b"a", b"../b", b"/nowhere", b"d.txt"]), st.just(0)),
)
CALLS = st.one_of(
    st.builds(
        lambda path, content, mode: ("write", {"path": path, "content": content, "mode": mode}),
        PATHS,
        st.sampled_from(["", "one\n", "two\nlines\n", "no end"]),
        st.sampled_from(["create", "overwrite"]),
    ),
    st.builds(
        lambda path, old, new, every: ("edit", {"path": path, "old": old, "new": new, "all": every}),
        PATHS,
        st.sampled_from(["one", "\n", "x"]),
        st.sampled_from(["", "two", "three\n"]),
        st.booleans(),
    ),
    st.builds(lambda source, target: ("move", {"source": source, "target": target}), PATHS, PATHS),
    st.builds(
        lambda paths, deep: ("delete", {"paths": paths, "recursive": deep}),
        st.lists(PATHS, min_size=1, max_size=3),
        st.booleans(),
    ),
)
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def grow(folder: Path, nodes: list[Any]) -> None:
    """Make a tree; a node whose place is taken is left out."""
    for kind, path, content, mode in nodes:
        place = folder / path
        above = [*place.parents][: len(Path(path).parts) - 1]
        if place.is_symlink() or place.exists() or any(part.is_symlink() or part.is_file() for part in above):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "link":
            place.symlink_to(content.decode())
        else:
            place.mkdir() if kind == "dir" else place.write_bytes(content)
            place.chmod(mode)


@QUICK
@given(nodes=st.lists(NODES, max_size=8), call=CALLS)
def test_preview_is_performed_is_undone(new_workspace: Any, picture: Any, nodes: list[Any], call: Any) -> None:
    tool, args = call
    with new_workspace() as bench:
        grow(bench.folder, nodes)
        before = picture(bench.folder)
        preview = bench.call("preview", tool=tool, args=args)
        assert picture(bench.folder) == before
        if preview.failed:
            performed = bench.call(tool, **args)
            assert (performed.failed, performed.text) == (True, preview.text)
            assert picture(bench.folder) == before
            return
        expected = preview.structured
        touched = expected["touched"]
        captured = bench.good("capture", paths=touched, content=True)
        whole = bench.good("capture", paths=["."])
        assert captured["state_sha256"] == expected["state_sha256"]

        done = bench.good(tool, **args)
        assert done["effect"] == expected["effect"]
        assert done["touched"] == touched
        assert done["state_sha256_before"] == expected["state_sha256"]
        assert done["state_sha256"] == expected["state_sha256_after"]
        assert bench.good("capture", paths=touched)["state_sha256"] == done["state_sha256"]
        assert effect_seen(bench.folder, before, picture(bench.folder)) == effect_told(done["effect"])

        back = bench.good(
            "restore", paths=touched, entries=captured["entries"], expect_state_sha256=done["state_sha256"]
        )
        assert back["restored"]
        assert back["state_sha256"] == captured["state_sha256"]
        assert picture(bench.folder) == before
        assert bench.good("capture", paths=touched, content=True) == captured
        assert bench.good("capture", paths=["."])["state_sha256"] == whole["state_sha256"]


def effect_seen(folder: Path, before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The paths that are different, seen without the code under test."""
    different = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    return {str(Path(path).relative_to(folder)) for path in different}


def effect_told(effect: dict[str, Any]) -> set[str]:
    return {item["path"] for item in effect["files"]} | {item["from"] for item in effect["files"] if item["from"]}


@QUICK
@given(first=st.lists(NODES, max_size=8), second=st.lists(NODES, max_size=8))
def test_any_state_can_be_restored_from_any_other(
    new_workspace: Any, picture: Any, first: list[Any], second: list[Any]
) -> None:
    with new_workspace() as old, new_workspace() as bench:
        grow(old.folder, first)
        grow(bench.folder, second)
        wanted = old.good("capture", paths=["."], content=True)
        result = bench.good("restore", paths=["."], entries=wanted["entries"])
        assert result["state_sha256"] == wanted["state_sha256"]
        now = bench.good("capture", paths=["."], content=True)
        assert without_link_times(now["entries"]) == without_link_times(wanted["entries"])
        strip = len(str(bench.folder)), len(str(old.folder))
        here = {path[strip[0] :]: what for path, what in picture(bench.folder).items()}
        assert here == {path[strip[1] :]: what for path, what in picture(old.folder).items()}


def without_link_times(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A link that is already right is left alone, with its time."""
    return [{**entry, "mtime_ns": None} if entry["kind"] == "symlink" else entry for entry in entries]


def test_the_numbers_of_an_effect(bench: Any) -> None:
    effect = bench.good("write", path="n/f.txt", content="one\ntwo\n")["effect"]
    assert (effect["files_changed"], effect["folders_changed"], effect["bytes_changed"]) == (1, 1, 8)
    assert effect["diff"] == "folder n created\n--- /dev/null\n+++ b/n/f.txt\n@@ -0,0 +1,2 @@\n+one\n+two\n"
    effect = bench.good("edit", path="n/f.txt", old="two", new="2")["effect"]
    assert effect["files"][0]["change"] == "modified"
    assert (effect["files"][0]["bytes_before"], effect["files"][0]["bytes_after"]) == (8, 6)
    assert effect["bytes_changed"] == 8
    assert effect["diff"] == "--- a/n/f.txt\n+++ b/n/f.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
    effect = bench.good("move", source="n", target="m")["effect"]
    assert [(item["path"], item["from"], item["change"]) for item in effect["files"]] == [
        ("m", "n", "moved"),
        ("m/f.txt", "n/f.txt", "moved"),
    ]
    assert (effect["files_changed"], effect["bytes_changed"]) == (1, 0)
    assert bench.good("write", path="m/f.txt", content="one\n2\n")["effect"]["files"] == []
    effect = bench.good("delete", paths=["m", "m/f.txt"], recursive=True)["effect"]
    assert [item["change"] for item in effect["files"]] == ["deleted", "deleted"]
    assert effect["bytes_changed"] == 6


def test_binary_and_large_files_are_noted_not_shown(bench: Any) -> None:
    (bench.folder / "b.bin").write_bytes(b"\x00" * 2000)
    (bench.folder / "large.txt").write_text("line\n" * 200_000)
    diff = bench.good("delete", paths=["b.bin", "large.txt"])["effect"]["diff"]
    assert "Binary file b.bin deleted (2,000 -> 0 bytes; not shown)" in diff
    assert "File large.txt deleted (1,000,000 -> 0 bytes; too large to show)" in diff


def test_a_mode_survives_an_edit_and_set_id_bits_do_not(bench: Any) -> None:
    file = bench.folder / "run.sh"
    file.write_text("echo one\n")
    file.chmod(0o4750)
    bench.good("edit", path="run.sh", old="one", new="two")
    assert file.stat().st_mode & 0o7777 == 0o750
