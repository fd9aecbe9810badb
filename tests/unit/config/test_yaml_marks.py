"""YAML as plain data with lines, and what is refused before it costs anything."""

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.config import yaml_document
from interlock.model import ConfigError, InterlockError, PlaybookError, canonical_json


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "file.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refused(folder: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        yaml_document(write(folder, text))
    return caught.value.message


def test_data_and_lines(tmp_path: Path) -> None:
    data, locate = yaml_document(write(tmp_path, "a: 1\nb:\n  - x\n  - c: true\n    d:\n      e: null\n"))
    assert data == {"a": 1, "b": ["x", {"c": True, "d": {"e": None}}]}
    assert [locate(loc) for loc in [(), ("a",), ("b",), ("b", 0), ("b", 1, "d", "e")]] == [1, 1, 2, 3, 6]
    assert locate(("b", 1, "missing")) == 4
    assert locate.key_path(("b", 1, "function-after[x()]", "d", "missing")) == "b[1].d.missing"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n"])
def test_empty_is_an_empty_mapping(tmp_path: Path, text: str) -> None:
    assert yaml_document(write(tmp_path, text)).data == {}


def test_scalars_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    text = "on: no\ntime: 12:30\nday: 2026-01-01\nmode: 0644\nhex: 0x1f\noct: 0o17\nf: 1.5e3\nn: ~\nq: '1'\nneg: -3\n"
    assert yaml_document(write(tmp_path, text)).data == {
        "on": "no", "time": "12:30", "day": "2026-01-01", "mode": "0644", "hex": 31, "oct": 15, "f": 1500.0,
        "n": None, "q": "1", "neg": -3,
    }  # fmt: skip


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    data, locate = yaml_document(write(tmp_path, b"\xef\xbb\xbfa: 1\r\nb:\r\n  c: 2\r\n"))
    assert data == {"a": 1, "b": {"c": 2}}
    assert locate(("b", "c")) == 3


def test_aliases_and_merge_keys(tmp_path: Path) -> None:
    text = "base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nlist: [*b, *b]\nmany: {<<: [*b, {z: 1}]}\n"
    data = yaml_document(write(tmp_path, text)).data
    assert data["use"] == {"y": 3, "x": 1}
    assert data["list"] == [{"x": 1, "y": 2}] * 2
    assert data["many"] == {"x": 1, "y": 2, "z": 1}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\na: 2\n", 2, "key 'a' is repeated (first on line 1)"),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", 4, "'b' is repeated (first on line 2)"),
        ("{a: 1, a: 1}", 1, "repeated"),
        ("- a\n", 1, "holds a list; expected a mapping"),
        ("just text\n", 1, "holds a single value; expected a mapping"),
        ("a: b: c\n", 1, "mapping values are not allowed"),
        ("a: 'x\n", 2, "unexpected end"),
        ("a:\n\tb: 1\n", 2, "found a tab in the indentation; expected spaces"),
        ("a: 1\n\tb: 1\n", 2, "found a tab in the indentation; expected spaces"),
        ("a: 1\nb: \x07\n", 2, "U+0007"),
        ("a: 1\nb: \x00\n", 2, "U+0000"),
        ("a: 1\n---\nb: 1\n", 2, "second document"),
        ("a: !!python/object:os.system x\n", 1, "the tag 'tag:yaml.org,2002:python/object:os.system'"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "the tag"),
        ("a: !mine {b: 1}\n", 1, "the tag '!mine'"),
        ("a: !!binary aGk=\n", 1, "the tag"),
        ("a: !!int yes\n", 1, "the tag"),
        ("a: *nowhere\n", 1, "the alias '*nowhere'"),
        ("a: &a [*a]\n", 1, "the alias '*a'"),
        ("1: x\n", 1, "a key that is no text"),
        ("? [a, b]\n: x\n", 1, "a key that is no text"),
        ("a: .inf\n", 1, "finite"),
        ("a: .nan\n", 1, "finite"),
        ("a: 1e999\n", 1, "finite"),
        ("a: 9007199254740993\n", 1, "beyond 2**53"),
        ("a: {<<: 1}\n", 1, "'<<' merges something that is no mapping"),
    ],
)
def test_refuses_with_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    message = refused(tmp_path, text)
    assert message.startswith(f"{tmp_path}/file.yaml:{line}: ")
    assert words in message
    assert "\n" not in message


def test_no_piece_of_the_file_in_a_syntax_error(tmp_path: Path) -> None:
    assert "hunter2" not in refused(tmp_path, "password: hunter2: x\n")
    assert "hunter2" not in refused(tmp_path, "password: 'hunter2\n")


def test_explicit_safe_tags(tmp_path: Path) -> None:
    data = yaml_document(
        write(tmp_path, "a: !!str 1\nb: !!int 2\nc: !!map {}\nd: !!seq []\ne: ! 3\nf: !!float 1\n")
    ).data
    assert data == {"a": "1", "b": 2, "c": {}, "d": [], "e": "3", "f": 1}


def test_alias_bomb(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.monotonic()
    assert "aliases expand to more than 10,000 values" in refused(tmp_path, "\n".join(rows))
    merges = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40)]
    assert "expand" in refused(tmp_path, "\n".join(merges))
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("text", ["a: " + "[" * 50_000, "{a: " * 50_000, "- " * 50_000, "a: " + "[" * 70 + "]" * 70])
def test_depth_is_bounded(tmp_path: Path, text: str) -> None:
    assert "levels" in refused(tmp_path, text)


def test_depth_through_aliases_is_bounded(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 80)]
    assert "levels" in refused(tmp_path, "\n".join(rows))


def test_size_and_kind_of_file(tmp_path: Path) -> None:
    assert "larger than 1 MiB" in refused(tmp_path, "a: 1 #" + "x" * 1024 * 1024)
    with pytest.raises(PlaybookError, match="no regular file"):
        yaml_document(tmp_path, PlaybookError)
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        yaml_document(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="not a usable file name"):
        yaml_document(Path("a\0b"))
    assert ":2: found bytes that are no UTF-8" in refused(tmp_path, b"a: 1\nb: \xff\n")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.text("ab:-[]{}&*!<>|'\"#%@`,? \n\t~0.1", max_size=80).map(str.encode),
    )
)
def test_any_bytes_give_json_data_or_one_of_our_errors(tmp_path: Path, raw: bytes) -> None:
    with contextlib.suppress(InterlockError):
        canonical_json(yaml_document(write(tmp_path, raw)).data)
