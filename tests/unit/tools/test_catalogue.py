from typing import Any

import pytest
from mcp.types import Tool, ToolAnnotations

from interlock.model import ToolDefinition, ToolRef, ToolUnavailable
from interlock.tools import compare, granted
from interlock.tools.catalogue import catalogue_of, read_definition


def _define(name: str, *, server: str = "s", description: str = "", **more: Any) -> ToolDefinition:
    return ToolDefinition(ToolRef(server, name), None, description, {"type": "object"}, **more)


def _tool(**more: Any) -> Tool:
    return Tool(**{"name": "t", "input_schema": {"type": "object"}, **more})


def test_a_definition_keeps_all_that_a_pin_covers() -> None:
    tool = _tool(
        title="T",
        description="D",
        output_schema={"type": "object"},
        annotations=ToolAnnotations(read_only_hint=True),
    )
    found = read_definition("s", tool, builtin=False)
    assert (str(found.ref), found.title, found.description) == ("s.t", "T", "D")
    assert found.annotations == {"readOnlyHint": True}
    assert found.output_schema == {"type": "object"}


@pytest.mark.parametrize(
    ("mark", "builtin", "internal"), [(True, True, True), (True, False, False), (1, True, False), (None, True, False)]
)
def test_only_a_builtin_server_can_mark_a_tool_as_internal(mark: Any, builtin: bool, internal: bool) -> None:
    tool = Tool.model_validate({"name": "t", "inputSchema": {"type": "object"}, "_meta": {"interlock/internal": mark}})
    assert read_definition("s", tool, builtin=builtin).internal is internal


def test_bounds_of_64_bit_integers_can_be_hashed() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 2**63 - 1, "minimum": -5}}}
    found = read_definition("s", _tool(input_schema=schema), builtin=False)
    assert found.input_schema["properties"]["n"] == {"type": "integer", "maximum": float(2**63), "minimum": -5}
    assert len(found.pin_sha256) == 64


def test_a_catalogue_is_sorted_and_a_name_is_there_once() -> None:
    catalogue = catalogue_of("s", [_define("b"), _define("a")])
    assert [found.ref.name for found in catalogue.definitions] == ["a", "b"]
    assert catalogue.pins["a"] == catalogue.definitions[0].pin_sha256
    assert catalogue.find("c") is None
    with pytest.raises(ToolUnavailable, match="lists the tool 'a' twice"):
        catalogue_of("s", [_define("a"), _define("a", description="other")])


def test_only_what_a_pattern_names_is_granted() -> None:
    tools = [_define("a"), _define("b"), _define("a", server="other"), _define("preview", internal=True)]
    assert [str(found.ref) for found in granted(tools, ["s.a"])] == ["s.a"]
    assert [str(found.ref) for found in granted(tools, ["s.*"])] == ["s.a", "s.b"]
    assert granted(tools, ["s.preview", "*", "s", "s.A"]) == ()


def test_pins_tell_new_changed_missing_and_renamed_apart() -> None:
    before = [_define("same"), _define("changed"), _define("gone"), _define("old-name", description="x")]
    accepted = {found.ref.name: found.pin_sha256 for found in before}
    after = [_define("same"), _define("changed", description="evil"), _define("new-name", description="x")]
    report = compare(accepted, after)
    assert report.accepted == ("same",)
    assert report.changed == ("changed",)
    assert report.new == ("new-name",)
    assert report.missing == ("gone", "old-name")
    assert not report.clean
    assert compare(accepted, before).clean


@pytest.mark.parametrize("name", ["a\0b", "a\x1b[31m", "a\nb", "x" * 513])
def test_a_name_that_can_not_be_one_stops_the_server(name: str) -> None:
    with pytest.raises(ToolUnavailable, match="lists a tool of a name that can't be one"):
        catalogue_of("s", [_define(name)])


def test_the_hash_of_a_list_tells_whether_anything_in_it_is_different() -> None:
    one, other = _define("a"), _define("b")
    assert catalogue_of("s", [one, other]).sha256 == catalogue_of("s", [other, one]).sha256
    assert catalogue_of("s", [one, other]).sha256 != catalogue_of("s", [one, _define("b", description="x")]).sha256
