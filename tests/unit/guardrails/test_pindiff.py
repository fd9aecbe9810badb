"""The difference between two definitions: nothing is left out, and nothing in it stays unseen."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interlock.guardrails.pindiff import Renamed, differences, renamed, shown, visible
from interlock.model import canonical_json

OLD: dict[str, Any] = {
    "title": "Write",
    "description": "Writes a file.",
    "input_schema": {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Where."},
            "mode": {"enum": ["a", "b"]},
            "options": {"type": "object", "properties": {"deep": {"type": "integer"}}},
        },
        "required": ["path"],
    },
    "output_schema": None,
    "annotations": {"readOnlyHint": False},
}


def changed(**parts: Any) -> dict[str, Any]:
    return {**OLD, **parts}


def lines(new: dict[str, Any], old: dict[str, Any] = OLD) -> tuple[str, ...]:
    return shown(differences(old, new))


def schema(**parts: Any) -> dict[str, Any]:
    return changed(input_schema={**OLD["input_schema"], **parts})


def test_the_same_is_no_difference() -> None:
    assert differences(OLD, dict(OLD)) == ()


def test_short_texts_side_by_side_and_long_ones_by_sentence() -> None:
    assert lines(changed(title="Write it")) == ('title: "Write" -> "Write it"',)
    assert lines(changed(title=None)) == ('title: "Write" -> (none)',)
    long = "One sentence that is long enough. " * 5
    found = lines(changed(description=long + "Sends it away."), changed(description=long))
    assert found[0] == "description:"
    assert "  +Sends it away." in found
    assert len(found) < 10


def test_parameters_that_came_and_went() -> None:
    properties = dict(OLD["input_schema"]["properties"])
    del properties["mode"]
    properties["note"] = {"type": "string", "description": "Anything\u200b."}
    found = lines(schema(properties=properties, required=["note", "path"]))
    assert found == (
        "- input.mode: (parameter removed)",
        '    enum: ["a", "b"]',
        "+ input.note: string (parameter added, required)",
        "    description: Anything<U+200B>.",
    )


def test_changes_inside_a_parameter() -> None:
    properties = {
        "path": {"type": "string", "description": "Where to."},
        "mode": {"enum": ["a", "b", "c"]},
        "options": {"type": "object", "properties": {"deep": {"type": "string"}}},
    }
    assert lines(schema(properties=properties, required=["path", "mode"])) == (
        'input.mode.enum: ["a", "b"] -> ["a", "b", "c"]',
        'input.options.deep.type: "integer" -> "string"',
        'input.path.description: "Where." -> "Where to."',
        "input.mode: optional -> required",
    )


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ({}, {"readOnlyHint": True}, "hints.readOnlyHint: (none) -> true  (now claims to be less dangerous)"),
        (
            {"destructiveHint": True},
            {"destructiveHint": False},
            "hints.destructiveHint: true -> false  (now claims to be less dangerous)",
        ),
        ({"readOnlyHint": True}, {}, "hints.readOnlyHint: true -> (none)"),
        ({"openWorldHint": False}, {"openWorldHint": True}, "hints.openWorldHint: false -> true"),
        ({"title": "a"}, {"title": "b"}, 'hints.title: "a" -> "b"'),
    ],
)
def test_hints(before: dict[str, Any], after: dict[str, Any], line: str) -> None:
    assert lines(changed(annotations=after), changed(annotations=before)) == (line,)


def test_what_can_not_be_seen_is_written_out_and_flagged() -> None:
    (change,) = differences(OLD, changed(description="Writes a\u202e file.\x1b[2J"))
    assert change.note == "holds characters that can't be seen"
    assert change.lines == (
        'description: "Writes a file." -> "Writes a<U+202E> file.<U+001B>[2J"  (holds characters that can\'t be seen)',
    )
    assert visible("a\tb\nc\u00a0d\U000e0041\ufe0f") == "a b\nc<U+00A0>d<U+E0041><U+FE0F>"


def test_a_very_long_difference_is_cut_and_says_so() -> None:
    many = {f"p{number}": {"type": "string"} for number in range(1000)}
    found = lines(schema(properties=many))
    assert len(found) == 400
    assert found[-1].startswith("... and ")


def test_true_is_not_one() -> None:
    old = schema(properties={"x": {"default": 1}})
    assert lines(schema(properties={"x": {"default": True}}), old) == ("input.x.default: 1 -> true",)
    assert lines(schema(properties={"x": {"default": 1.0}}), old) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab\u200b", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["properties", "required", "type", "x", "y"]), inner, max_size=3)
    ),
    max_leaves=8,
)
SCHEMA = st.dictionaries(st.sampled_from(["properties", "required", "type", "items"]), JSON, max_size=3)
DEFINITION = st.fixed_dictionaries(
    {
        "title": st.none() | st.text("ab", max_size=2),
        "description": st.text("ab\u200b. \n", max_size=5),
        "input_schema": SCHEMA,
        "output_schema": st.none() | SCHEMA,
        "annotations": st.dictionaries(st.sampled_from(["readOnlyHint", "title"]), JSON, max_size=2),
    }
)


@example({"input_schema": {}}, {"input_schema": {"required": []}})
@example({"input_schema": {}}, {"input_schema": {"type": None}})
@example({"input_schema": {"properties": None}}, {"input_schema": {}})
@example({"annotations": {"title": "a"}}, {"annotations": {"title": True}})
@settings(max_examples=120, deadline=None)
@given(DEFINITION, DEFINITION)
def test_every_difference_is_shown_and_only_differences_are(old: dict[str, Any], new: dict[str, Any]) -> None:
    found = differences(old, new)
    assert bool(found) == (canonical_json(old) != canonical_json(new))
    assert all(change.lines for change in found)
    assert all("\u200b" not in line for line in shown(found))


def test_a_renamed_tool_is_guessed() -> None:
    other = changed(description="Deletes everything.", input_schema={"type": "object", "properties": {"id": {}}})
    found = renamed({"write": OLD, "gone": other}, {"write_file": changed(description="Writes one file."), "new": {}})
    assert [(pair.old, pair.new) for pair in found] == [("write", "write_file")]
    assert renamed({"a": OLD}, {"b": OLD, "c": OLD}) == (Renamed("a", "b", 1.0),)
    assert renamed({}, {"b": OLD}) == ()


def test_a_hint_that_was_a_text_and_is_a_truth_value_now_is_shown() -> None:
    old = {"annotations": {"title": "a"}}
    assert differences(old, {"annotations": {"title": True}})
    assert differences(old, {"annotations": {}})
