"""Canonical JSON, tool names and pins, the record's hashes, the error catalogue."""

import datetime
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from interlock.model import (
    GENESIS,
    AuditEntry,
    CallState,
    ToolDefinition,
    ToolRef,
    UserError,
    canonical_json,
    canonical_sha256,
    catalog,
    leaf_hash,
    link_hash,
    record_body,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.text('\x00\x1f\x7f"\\/\u2028é\U0001f600\uffff', max_size=6)
    | st.sampled_from(CallState),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=6))
def test_the_order_of_keys_does_not_change_the_hash(value: dict[str, object]) -> None:
    assert canonical_sha256(value) == canonical_sha256(dict(reversed(value.items())))


@given(json_values)
def test_the_fast_way_gives_the_bytes_of_the_reference(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


def test_keys_are_sorted_by_their_utf_16_units() -> None:
    assert canonical_json({"\uffff": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\uffff":1}'.encode()


def test_numbers_and_keys_are_written_as_rfc_8785_says() -> None:
    assert canonical_json({"b": 1.0, "a": [1e21, 0.1]}) == b'{"a":[1e+21,0.1],"b":1}'


@pytest.mark.parametrize("value", [float("nan"), {"n": 2**60}, {"k": object()}, {1: 2}, {"k": "\ud800"}, "\udfff"])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="not a JSON value"):
        canonical_json(value)


def test_a_tool_is_split_at_the_first_dot() -> None:
    assert ToolRef.parse("git.log.all") == ToolRef("git", "log.all")
    for wrong in ("git", ".x", "x.", ""):
        with pytest.raises(UserError, match=r"server\.name"):
            ToolRef.parse(wrong)


@given(st.text("abcdefgh-", min_size=1, max_size=80), st.text("abcdefgh_", min_size=1, max_size=80))
def test_names_for_models_are_short_enough_and_differ(server: str, name: str) -> None:
    ref, other = ToolRef(server, name), ToolRef(server, name + "x")
    assert len(ref.model_name) <= 64
    assert ref.model_name != other.model_name


def definition(**changes: Any) -> ToolDefinition:
    base: dict[str, Any] = {
        "ref": ToolRef("s", "t"), "title": "T", "description": "d", "input_schema": {"type": "object"},
        "output_schema": None, "annotations": {"readOnlyHint": True},
    }  # fmt: skip
    return ToolDefinition(**{**base, **changes})


@pytest.mark.parametrize(
    "change",
    [
        {"title": "U"}, {"description": "D"}, {"input_schema": {}}, {"output_schema": {}}, {"annotations": {}},
        {"ref": ToolRef("s", "u")},
    ],
)  # fmt: skip
def test_any_change_of_a_definition_changes_its_pin(change: dict[str, object]) -> None:
    assert definition().pin_sha256 != definition(**change).pin_sha256


def test_leaf_and_link_hashes_can_not_stand_for_each_other() -> None:
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    body = record_body(AuditEntry("call.intent", "agent:a", {"task": "t"}), "id", at, "default")
    leaf = leaf_hash(body)
    assert leaf != link_hash(1, GENESIS, leaf)
    assert link_hash(1, GENESIS, leaf) != link_hash(2, GENESIS, leaf)
    assert b'"v":1' in body


def test_every_error_has_a_code_of_its_own_and_a_hint() -> None:
    found = catalog()
    assert len(found) > 20
    for code, kind in found.items():
        assert kind.code == code
        assert kind.hint
        assert kind.__doc__
