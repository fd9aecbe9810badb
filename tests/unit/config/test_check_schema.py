"""The shape of checks: exactly one subject, and only what belongs to it; stored ones are read again as they were."""

from typing import Any

import pytest
from pydantic import ValidationError

from interlock.config import CheckConfig

GOOD: list[dict[str, Any]] = [
    {"tool": "files.read", "args": {"path": "x"}, "expect": {"contains": "y"}},
    {"file": "x", "expect": {"exists": False}, "server": "files"},
    {"command": "make test"},
    {"schema": {"type": "object"}},
    {"effect": "files.*", "at_least": 2, "args": {"path": "x"}},
    {"judge": "second", "question": "Is it?"},
    {"person": "Is it?"},
]


@pytest.mark.parametrize("check", GOOD, ids=[next(iter(check)) for check in GOOD])
def test_each_kind_survives_being_stored(check: dict[str, Any]) -> None:
    read = CheckConfig.model_validate(check)
    assert read.subject == next(iter(check))
    assert read.label
    assert CheckConfig.model_validate(read.model_dump(mode="json", by_alias=True)) == read


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({}, "found none of them; expected exactly one of tool, file"),
        ({"tool": "a.b", "person": "?"}, "found tool and person"),
        ({"person": "?", "expect": {"ok": True}}, "found `expect` beside `person`"),
        ({"effect": "a.b", "question": "?"}, "found `question` beside `effect`; it belongs to judge"),
        ({"schema": {}, "server": "x"}, "found `server` beside `schema`; it belongs to command or file"),
    ],
)
def test_a_check_that_says_two_things_is_refused(check: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words.replace("`", ".").replace("?", ".")):
        CheckConfig.model_validate(check)
