"""JSON pointers, by the examples of RFC 6901 and what else can be written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config import look_up

DOCUMENT: dict[str, Any] = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("", DOCUMENT), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/e^f", 3),
     ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8)],
)  # fmt: skip
def test_the_examples_of_the_standard(pointer: str, value: Any) -> None:
    assert look_up(DOCUMENT, pointer) == value


@pytest.mark.parametrize(
    "pointer", ["/no", "/foo/2", "/foo/-", "/foo/01", "/foo/+1", "/foo/-1", "/foo/x", "/foo/0/0", "//"]
)
def test_where_nothing_is(pointer: str) -> None:
    with pytest.raises(LookupError):
        look_up(DOCUMENT, pointer)


@pytest.mark.parametrize("pointer", ["foo", "/~", "/~2", "/a~", "#/foo", "/" + "a" * 1000])
def test_what_is_no_pointer(pointer: str) -> None:
    with pytest.raises(ValueError, match="expected a JSON pointer"):
        look_up(DOCUMENT, pointer)


@given(st.text(max_size=20), st.text(max_size=20))
def test_every_name_can_be_reached(outer: str, inner: str) -> None:
    def token(name: str) -> str:
        return name.replace("~", "~0").replace("/", "~1")

    assert look_up({outer: {inner: 1}}, f"/{token(outer)}/{token(inner)}") == 1
