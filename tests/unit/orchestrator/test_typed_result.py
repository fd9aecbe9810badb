"""Results that are data: what is read, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.orchestrator.typed_result import MAX_CHARS, parsed, told

data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(data)
def test_any_json_is_read_plain_or_in_a_fence(value: Any) -> None:
    text = json.dumps(value)
    assert parsed(text, {}) == (value, None)
    assert parsed(f"```json\n{text}\n```\n", {}) == (value, None)


@given(st.text(max_size=200), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3))
def test_whatever_a_model_writes_is_data_or_a_sentence(text: str, value: dict[str, int]) -> None:
    for answer in (text, f"Sure! {json.dumps(value)}", json.dumps(value)):
        found, problem = parsed(answer, {"type": "object"})
        assert (problem is None) is (isinstance(found, dict))


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "", "{'a': 1}", "[" * 100_000, "1" * (MAX_CHARS + 1)])
def test_what_is_no_json_is_refused(text: str) -> None:
    found, problem = parsed(text, {})
    assert found is None
    assert problem is not None


def test_the_field_that_does_not_fit_is_named() -> None:
    schema = {"properties": {"a": {"items": {"type": "integer"}}}}
    assert parsed('{"a": [1, "x"]}', schema)[1] == "a.1: 'x' is not of type 'integer'"


def test_an_agent_without_a_schema_is_told_nothing() -> None:
    assert told([]) == ""
    assert '{"type": "integer"}' in told([{"type": "integer"}])
