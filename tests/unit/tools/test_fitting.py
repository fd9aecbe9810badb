"""Results against the schemas of their tools: right, and bounded whatever the server declares."""

import time
from typing import Any

import pytest
from mcp.types import CallToolResult

from interlock.model import ToolDefinition, ToolRef
from interlock.tools.fitting import Fitting


def fault(schema: dict[str, Any] | None, content: Any) -> str | None:
    definition = ToolDefinition(
        ref=ToolRef("s", "t"), title=None, description="", input_schema={}, output_schema=schema, annotations={}
    )
    return Fitting().fault(definition, CallToolResult(content=[], structured_content=content))


def an(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}, "required": ["a"]}


@pytest.mark.parametrize(
    ("schema", "content", "says"),
    [
        (None, {"a": 1}, None),
        (an({"type": "integer"}), {"a": 1}, None),
        (an({"type": "integer"}), {"a": "x"}, "a: 'x' is not of type 'integer'"),
        (an({"type": "integer"}), {}, "'a' is a required property"),
        (an({"type": "array", "prefixItems": [{"type": "string"}], "items": False}), {"a": ["x", 1]}, "a"),
        (an({"dependentRequired": {"x": ["y"]}}), {"a": {"x": 1}}, "a: 'y' is a dependency of 'x'"),
        ({**an({"$ref": "#/$defs/n"}), "$defs": {"n": {"type": "null"}}}, {"a": 1}, "a: 1 is not of type 'null'"),
        (an({"type": "string", "pattern": "^[a-z]+-\\d{4}$"}), {"a": "ab-123"}, "does not match"),
        (an({"type": "string", "pattern": "^[a-z]+-\\d{4}$"}), {"a": "ab-1234"}, None),
        (an({"uniqueItems": True}), {"a": [1, True, 1.0]}, "found the same element twice"),
        (an({"uniqueItems": True}), {"a": [1, True, [1], [True]]}, None),
        (an({"patternProperties": {"^x": {"type": "null"}}}), {"a": {"x1": 1, "y": 1}}, "a.x1: 1 is not of type"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", **an({"items": [{"const": 1}]})}, {"a": [2]}, "a.0"),
        ({"type": 5}, {"a": 1}, "the schema itself is no good"),
        (an({"$ref": "https://example.com/schema.json"}), {"a": 1}, "refers to something that is not in it"),
        (an({"$ref": "#/$defs/missing"}), {"a": 1}, "refers to something that is not in it"),
        (an({"$ref": "#/properties/a"}), {"a": 1}, "goes round in circles"),
    ],
)
def test_a_result_fits_or_it_is_said_what_does_not(
    schema: dict[str, Any] | None, content: Any, says: str | None
) -> None:
    found = fault(schema, content)
    assert (found is None) if says is None else (found is not None and says in found)


def test_no_content_does_not_fit_a_schema() -> None:
    definition = ToolDefinition(
        ref=ToolRef("s", "t"), title=None, description="", input_schema={}, output_schema=an({}), annotations={}
    )
    assert "no structured content" in str(Fitting().fault(definition, CallToolResult(content=[])))


def _doubling(levels: int) -> dict[str, Any]:
    named = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {**an({"$ref": "#/$defs/d0"}), "$defs": {**named, f"d{levels}": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "content"),
    [
        (_doubling(40), {"a": 1}),
        (an({"pattern": "^(a+)+$"}), {"a": "a" * 60 + "!"}),
        (an({"pattern": "a?" * 40 + "a" * 40}), {"a": "a" * 39}),
        (an({"pattern": "(a|a)?" * 40 + "b"}), {"a": "a" * 40}),
        (an({"pattern": ".*.*.*.*.*=x"}), {"a": "a" * 5_000}),
        (an({"uniqueItems": True}), {"a": [{"n": number} for number in range(20_000)]}),
        (an({"items": {"items": {"type": "integer"}}}), {"a": [[1] * 400 for _ in range(800)]}),
        (an({"patternProperties": {"(x+x+)+y": {}}}), {"a": {"x" * 60: 1}}),
    ],
)
def test_what_would_take_too_long_is_left_unjudged(schema: dict[str, Any], content: Any) -> None:
    started = time.monotonic()
    assert fault(schema, content) is None
    assert time.monotonic() - started < 3
