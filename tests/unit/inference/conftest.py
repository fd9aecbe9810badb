"""A playbook from text, and a run of it against tools that are plain functions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from interlock.inference import Playbook, answer, load_playbook
from interlock.model import (
    CallRequest,
    ModelAnswer,
    ModelRequest,
    ModelTurn,
    NoteTurn,
    Observation,
    RequestTurn,
    Turn,
)

Tool = Callable[[str, dict[str, Any]], tuple[bool, str, dict[str, Any] | None]]


def asked(turns: tuple[Turn, ...]) -> ModelRequest:
    return ModelRequest("playbook:test", "", turns, ())


@dataclass
class Run:
    """Plays the agent loop: asks the playbook, answers its calls, until it ends."""

    playbook: Playbook
    tool: Tool
    turns: tuple[Turn, ...] = (RequestTurn("do it", {"n": 3}),)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.turns = (*self.turns, NoteTurn(text))

    def step(self) -> ModelAnswer:
        reply = answer(self.playbook, asked(self.turns))
        first = len(self.calls)
        requests = tuple(
            CallRequest(first + index, call.tool, call.args, call.reason) for index, call in enumerate(reply.calls)
        )
        self.turns = (*self.turns, ModelTurn(reply.text, requests, reply.model))
        for request in requests:
            self.calls.append((request.tool, request.args))
            ok, text, structured = self.tool(request.tool, request.args)
            self.turns = (*self.turns, Observation(request.call_no, request.tool, ok, text, structured))
        return reply

    def to_end(self) -> str:
        while True:
            reply = self.step()
            if not reply.calls:
                return reply.text


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def save(text: str) -> Path:
        path = tmp_path / "test.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return save


@pytest.fixture
def run(write: Callable[[str], Path]) -> Callable[..., Run]:
    def start(text: str, tool: Tool | None = None, **options: Any) -> Run:
        return Run(load_playbook(write(text)), tool or (lambda name, args: (True, f"{name} {args}", None)), **options)

    return start
