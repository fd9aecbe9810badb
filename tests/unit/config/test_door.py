"""The door is cheap, whole, and the published schema fits what is read."""

import json
import subprocess
import sys
from typing import Any

import jsonschema
import pytest

import interlock.config
from interlock.config import Config, config_schema


def test_every_name_can_be_had() -> None:
    for name in interlock.config.__all__:
        assert getattr(interlock.config, name) is not None
    with pytest.raises(AttributeError, match="nothing_here"):
        getattr(interlock.config, "nothing" + "_here")


def test_importing_the_door_loads_neither_pydantic_nor_yaml() -> None:
    code = (
        "import sys, interlock.config; "
        "print([name for name in ('pydantic', 'yaml', 'platformdirs') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert found.stdout.strip() == "[]"


def test_every_key_is_described() -> None:
    schema = config_schema()
    json.dumps(schema)
    assert schema["title"] == "interlock.yaml"
    blocks: dict[str, Any] = {"Config": schema, **schema["$defs"]}
    bare = [
        f"{block}.{key}"
        for block, part in blocks.items()
        for key, value in part["properties"].items()
        if not value.get("description")
    ]
    assert bare == []
    assert all(part.get("description") for part in blocks.values())


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        ({}, True),
        ({"agents": {"a": {"approval_ttl": "5m", "limits": {"retry_delay": 0}}}}, True),
        ({"agents": {"a": {"approval_ttl": "5 minutes"}}}, False),
        ({"policy": {"rules": [{"id": "a", "when": {"class": "read"}, "then": "ask"}]}}, True),
        ({"policy": {"rules": [{"id": "a", "when": {"action_class": "read"}, "then": "ask"}]}}, False),
        ({"tols": {}}, False),
        ({"agents": {"A": {}}}, False),
    ],
)
def test_the_schema_says_what_the_loader_says(data: dict[str, Any], fits: bool) -> None:
    schema = config_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(data) == fits
    try:
        Config.model_validate(data, by_alias=True, by_name=False)
        loads = True
    except ValueError:
        loads = False
    assert loads == fits
