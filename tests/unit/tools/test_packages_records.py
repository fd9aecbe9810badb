"""The record of what was resolved, the mark of what is whole, and the choice of a program."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interlock.model import InstallFailed
from interlock.tools.packages.built import chosen
from interlock.tools.packages.records import Mark, Record, Records
from interlock.tools.packages.spec import PackageSpec

RECORD = Record(
    "pypi", "a", None, ("mcp<2",), "1.0", "record-sha256:x", "python 3.11", {"b": "2"}, "2026-01-01T00:00:00+00:00"
)
MARK = Mark("1.0", "sha512-x", "node", {"b": "2"}, {"a": ("{node}", "{folder}/x.js")})


def test_records_are_kept_replaced_and_dropped(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert records.all() == {}
    assert RECORD.spec.key == "pypi:a with mcp<2"
    records.keep(RECORD)
    records.keep(replace(RECORD, registry="npm", overrides=(), requested="1"))
    assert Records(tmp_path).find("pypi:a with mcp<2") == RECORD
    records.keep(replace(RECORD, version="2.0"))
    assert {key: found.version for key, found in records.all().items()} == {
        "npm:a@1": "1.0",
        "pypi:a with mcp<2": "2.0",
    }
    records.drop("pypi:a with mcp<2")
    assert list(records.all()) == ["npm:a@1"]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["packages.lock.json"]
    assert (tmp_path / "packages.lock.json").stat().st_mode & 0o777 == 0o600


def test_no_record_is_lost_among_threads(tmp_path: Path) -> None:
    names = [f"a{n}" for n in range(12)]
    threads = [
        threading.Thread(target=lambda n=name: Records(tmp_path).keep(replace(RECORD, name=n))) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {found.name for found in Records(tmp_path).all().values()} == set(names)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"packages": 5}',
        '{"packages": [5]}',
        '{"packages": [{"name": "a"}]}',
        "[" * 100_000,
        "\ud800",
    ],
)
def test_a_damaged_record_is_told_and_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "packages.lock.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    records = Records(tmp_path)
    with pytest.raises(InstallFailed, match="can't be read as the record of packages") as caught:
        records.find("a")
    assert caught.value.next_step.startswith(f"mv '{path}'")
    with pytest.raises(InstallFailed):
        records.keep(RECORD)
    assert path.read_bytes() == text.encode("utf-8", "surrogatepass")


def test_the_mark_of_an_installation(tmp_path: Path) -> None:
    assert Mark.read(tmp_path) is None
    MARK.write(tmp_path)
    assert Mark.read(tmp_path) == MARK
    path = tmp_path / "installed.json"
    changes: tuple[dict[str, object], ...] = (
        {"programs": {"a": []}},
        {"programs": {"a": [5]}},
        {"version": 5},
        {"parts": None},
    )
    for change in changes:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        assert Mark.read(tmp_path) is None
        MARK.write(tmp_path)
    assert Mark.read(tmp_path / "absent") is None


def nothing_else(_: str) -> None:
    return None


@pytest.mark.parametrize(
    ("spec", "programs", "found"),
    [
        (PackageSpec("pypi", "a"), ["b"], "b"),
        (PackageSpec("pypi", "a-b"), ["c", "a-b"], "a-b"),
        (PackageSpec("pypi", "a-b[x]"), ["c", "a_b"], "a_b"),
        (PackageSpec("npm", "@s/n"), ["m", "n"], "n"),
        (PackageSpec("npm", "@s/n", entry="m"), ["m", "n"], "m"),
        (PackageSpec("npm", "@s/n", entry="else"), ["n"], "else"),
    ],
)
def test_the_program_that_is_meant(spec: PackageSpec, programs: list[str], found: str) -> None:
    words: dict[str, Any] = {name: (name,) for name in programs}
    assert chosen(spec, words, lambda name: (name,)) == (found,)


@pytest.mark.parametrize(
    ("spec", "programs", "fault"),
    [
        (PackageSpec("pypi", "a"), ["c", "b"], "not clear which program of a to start; it has: b, c"),
        (PackageSpec("pypi", "a"), [], "not clear which program of a to start; it has none"),
        (PackageSpec("npm", "@s/n", entry="x"), ["n"], "@s/n has no program 'x'; it has: n"),
    ],
)
def test_no_program_is_guessed(spec: PackageSpec, programs: list[str], fault: str) -> None:
    with pytest.raises(InstallFailed, match=fault) as caught:
        chosen(spec, {name: (name,) for name in programs}, nothing_else)
    assert "entry" in caught.value.next_step
