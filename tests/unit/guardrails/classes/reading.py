"""Reads `definitions.txt`: made-up tools of many trades, each with the class that a careful person would give it."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interlock.model import ActionClass, ToolDefinition, ToolRef

_COMMA = re.compile(r', (?![^"]*"(?:[^"]*"[^"]*")*[^"]*$)')


@dataclass(frozen=True)
class Case:
    """A tool and its class."""

    gold: ActionClass
    definition: ToolDefinition

    @property
    def name(self) -> str:
        return str(self.definition.ref)


def cases() -> list[Case]:
    lines = Path(__file__).with_name("definitions.txt").read_text(encoding="utf-8").splitlines()
    return [case_of(line) for line in lines if line and not line.startswith("#")]


def case_of(line: str) -> Case:
    gold, ref, description, parameters = (part.strip() for part in f"{line} ".split(" |", 3))
    return Case(ActionClass(gold), tool(ref, description, parameters))


def tool(ref: str, description: str, parameters: str = "", **hints: Any) -> ToolDefinition:
    return ToolDefinition(
        ref=ToolRef.parse(ref),
        title=None,
        description=description,
        input_schema={"type": "object", "properties": dict(map(_property, _COMMA.split(parameters)))}
        if parameters
        else {},
        annotations=hints,
    )


def renamed(definition: ToolDefinition, name: str) -> ToolDefinition:
    return replace(definition, ref=ToolRef(definition.ref.server, name))


def _property(text: str) -> tuple[str, dict[str, Any]]:
    if ':"' in text:
        name, about = text.split(':"', 1)
        return name, {"type": "string", "description": about.rstrip('"')}
    if "=" in text:
        name, choices = text.split("=", 1)
        return name, {"type": "string", "enum": choices.split("/")}
    if text.endswith("?bool"):
        return text.removesuffix("?bool"), {"type": "boolean"}
    return text, {"type": "string"}
