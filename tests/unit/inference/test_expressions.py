"""The template language: what it reads, what it refuses, and that it stays bounded."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.inference.conditions import compile_condition, holds
from interlock.inference.expressions import (
    MAX_TEXT,
    EvaluationError,
    ExpressionError,
    parse_path,
    parse_template,
    render,
)

SCOPE: dict[str, Any] = {
    "inputs": {"name": "World", "a key": 1, "many": list(range(20)), "nothing": None, "flag": True},
    "steps": {
        "list": {
            "ok": True,
            "text": "b.md\na.md\n\nc.txt",
            "structured": {"entries": [{"path": "x/a.md"}, {"size": 2}]},
        }
    },
    "notes": ["one", "two"],
    "odd": "{{ inputs.name }}",
}


def value(text: str) -> Any:
    return render(parse_template(text), SCOPE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("Hello {{ inputs.name }}!", "Hello World!"),
        ("{{ inputs.many }}", list(range(20))),
        ("{{inputs.flag}}", True),
        ("is {{ inputs.flag }} {{ inputs.nothing }}.", "is true ."),
        ('{{ inputs["a key"] }}', 1),
        ("{{ steps.list.structured.entries[0].path | basename }}", "a.md"),
        ("{{ steps.list.structured.entries[-1].size }}", 2),
        ("{{ inputs.none | default('x') }}", "x"),
        ("{{ inputs.none.deeper | upper | default(inputs.name) }}", "World"),
        ("{{ inputs.nothing | default(0) }}", 0),
        ("{{ steps.list.text | lines | match('md$') | sort | bullets }}", "- a.md\n- b.md"),
        ("{{ steps.list.text | reject('md$') | join(',') }}", ",c.txt"),
        ("{{ steps.list.structured.entries | pluck('path') }}", ["x/a.md"]),
        ("{{ steps.list | get('structured.entries[1].size') | add(3) }}", 5),
        ("{{ 'a=1;b=2' | after(';') | before('=') | upper }}", "B"),
        ("{{ \"}}\" }}{{ '{{' }}", "}}{{"),
        ("{{ '[1, {\"k\": null}]' | parse_json }}", [1, {"k": None}]),
        ("{{ inputs.many | slice(1, 3) | json }}", "[1, 2]"),
        ("{{ ' 42 ' | number }}", 42),
        ("{{ '4.0' | number }}", 4.0),
        ("{{ 'x\\ty' }}", "x\ty"),
        ("{{ notes | join(' + ') | limit(3) }}", "one …"),
        ("{{ 'a b a' | words | unique | length }}", 2),
        ("{{ 'a\nb' | indent(2) }}", "  a\n  b"),
        ("{{ odd }}", "{{ inputs.name }}"),
        ("{{ odd }} ", "{{ inputs.name }} "),
    ],
)
def test_value(text: str, expected: Any) -> None:
    result = value(text)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ inputs.name", "never closed"),
        ("{{ }}", "expected a name"),
        ("{{ inputs. }}", "expected a name"),
        ("{{ inputs.name | shout }}", "unknown filter 'shout'"),
        ("{{ inputs.name | join(1, 2) }}", "takes 0 to 1 arguments, not 2"),
        ("{{ inputs.name | match(inputs.name) }}", "takes a quoted text"),
        ("{{ inputs.name | match('(') }}", "no pattern"),
        ("{{ inputs.name | match('(?=a)') }}", "look-around"),
        ("{{ __import__('os') }}", "expected '}}'"),
        ("{{ 1 + 1 }}", "expected '}}'"),
        ("{{ inputs[1.5] }}", "whole number"),
        ("{{ " + "a" * 3000 + " }}", "characters"),
    ],
)
def test_refused_when_read(text: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=said.replace("(", r"\(").replace("}}", r"\}\}")):
        parse_template(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ inputs.none }}", "'inputs.none' is not there; inputs has: name"),
        ("{{ steps.list.structured.entries[7] }}", "is a list of 2"),
        ("{{ inputs.name.x }}", "inputs.name is str"),
        ("{{ inputs.name | first }}", "expected a list"),
        ("{{ inputs.many | upper }}", "expected text, found a list"),
        ("{{ '' | lines | first }}", "finds nothing there"),
        ("{{ 'x' | number }}", "no number"),
        ("{{ 'NaN' | parse_json }}", "no JSON"),
        ("{{ '" + "[" * 1500 + "' | parse_json }}", "no JSON|nested"),
        ("{{ inputs.name | default(inputs.none) }}", "inputs.none"),
    ],
)
def test_refused_when_evaluated(text: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said.replace("[", r"\[")):
        value(text)


def test_output_is_bounded() -> None:
    big = {"inputs": {"x": "a" * (MAX_TEXT // 2)}}
    for text in ("{{ inputs.x }}{{ inputs.x }}-", "{{ inputs.x | replace('a', 'bcd') }}"):
        with pytest.raises(EvaluationError, match="longer"):
            render(parse_template(text), big)


def test_patterns_can_not_hang() -> None:
    began = time.monotonic()
    scope = {"inputs": {"x": "a" * 50_000 + "!"}}
    assert render(parse_template("{{ inputs.x | match('^(a+)+$') }}"), scope) == []
    assert time.monotonic() - began < 1


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, "{{" + text + "}}", "{{ inputs" + text):
        try:
            template = parse_template(candidate)
        except ExpressionError:
            continue
        try:
            render(template, SCOPE)
        except EvaluationError:
            continue


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"equals": ["{{ inputs.name }}", "World"]}, True),
        ({"equals": ["{{ inputs.flag }}", 1]}, False),
        ({"contains": ["{{ steps.list.text }}", "a.md"]}, True),
        ({"contains": ["{{ inputs.many }}", 3]}, True),
        ({"contains": ["{{ inputs }}", "name"]}, True),
        ({"contains": ["{{ inputs }}", ["name"]]}, False),
        ({"matches": ["{{ inputs.name }}", "^W.*d$"]}, True),
        ({"exists": "steps.list.structured"}, True),
        ({"exists": "inputs.nothing"}, False),
        ({"exists": "inputs.none.x"}, False),
        ({"empty": "{{ steps.list.text | match('zip') }}"}, True),
        ({"empty": 0}, False),
        ({"ok": "list"}, True),
        ({"ok": "never"}, False),
        ({"gt": ["{{ inputs.many | count }}", 19]}, True),
        ({"lt": [1, 0.5]}, False),
        ({"not": {"ok": "list"}}, False),
        ({"all": [{"ok": "list"}, {"not": {"empty": "x"}}]}, True),
        ({"any": [{"ok": "never"}, {"ok": "list"}]}, True),
    ],
)
def test_condition(condition: dict[str, Any], expected: bool) -> None:
    assert holds(compile_condition(condition), SCOPE) is expected


@pytest.mark.parametrize(
    "condition",
    [
        None,
        "true",
        {},
        {"ok": "a", "not": {"ok": "b"}},
        {"is": 1},
        {"equals": [1]},
        {"matches": ["x", "("]},
        {"matches": ["x", "{{ inputs.name }}"]},
        {"exists": "a | upper"},
        {"all": []},
        {"ok": 1},
    ],
)
def test_no_condition(condition: Any) -> None:
    with pytest.raises(ExpressionError):
        compile_condition(condition)


def test_deep_conditions_are_refused() -> None:
    condition: dict[str, Any] = {"ok": "x"}
    for _ in range(50):
        condition = {"not": condition}
    with pytest.raises(ExpressionError, match="deep"):
        compile_condition(condition)


def test_numbers_are_not_guessed() -> None:
    with pytest.raises(EvaluationError, match="number"):
        holds(compile_condition({"gt": ["10", 9]}), SCOPE)


def test_path() -> None:
    assert str(parse_path("steps.a[0].b")) == "steps.a[0].b"
