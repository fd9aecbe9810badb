"""Replay is deterministic: at every prefix of a run's history the playbook gives the answer it gave before."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.inference import answer, load_playbook
from interlock.model import (
    ModelTurn,
    PlaybookError,
    PlaybookFailed,
    RequestTurn,
    Turn,
    canonical_sha256,
)

from .conftest import Run, asked

_ids = iter(range(10**9))
_texts = st.sampled_from(
    [
        "plain",
        "{{ notes | join }}",
        "{{ inputs.n }}",
        "{{ vars.v | default('none') }}",
        "{{ request }} {{ inputs.list }}",
    ]
)
_conditions = st.sampled_from(
    [
        {"contains": ["{{ notes | join }}", "b"]},
        {"gt": ["{{ notes | count }}", 0]},
        {"matches": ["{{ vars.v | default('x') }}", "[0-4]"]},
        {"not": {"empty": "{{ inputs.list }}"}},
    ]
)


def _call(args: Any) -> dict[str, Any]:
    name = f"c{next(_ids)}"
    step: dict[str, Any] = {"id": name, "call": "s.t", "args": {"a": args[0], "b": [args[0]]}}
    step |= {"retry": {"times": args[1]}, "on_error": args[2]}
    return step


def _then_set(step: dict[str, Any]) -> list[dict[str, Any]]:
    return [step, {"set": {"v": f"{{{{ steps.{step['id']}.text }}}}"}}]


_call_steps = st.tuples(_texts, st.integers(0, 2), st.sampled_from(["stop", "continue"])).map(_call).map(_then_set)
_steps = st.recursive(
    _call_steps,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda groups: [step for group in groups for step in group]),
        st.tuples(_conditions, inner, inner).map(lambda it: [{"when": it[0], "steps": it[1], "else": it[2]}]),
        st.tuples(inner, st.integers(1, 3)).map(
            lambda it: [{"for": {"item": f"i{next(_ids)}", "in": "{{ inputs.list }}", "limit": it[1]}, "steps": it[0]}]
        ),
    ),
    max_leaves=6,
)


def _flaky(salt: int) -> Any:
    """A tool whose result depends on nothing but how often it was called, so that runs differ by seed."""
    count = iter(range(10**9))

    def tool(name: str, args: dict[str, Any]) -> tuple[bool, str, None]:
        digest = canonical_sha256([salt, next(count), name, args])
        return digest[0] > "4", digest[:8], None

    return tool


def _play(run: Run, notes: list[tuple[int, str]]) -> tuple[Turn, ...]:
    """Play to the end, adding notes at given turns; a failure is answered with a note, twice."""
    pending, failures = dict(notes), 0
    for turn in range(40):
        if turn in pending:
            run.note(pending[turn])
        try:
            if not run.step().calls:
                break
        except PlaybookFailed:
            failures += 1
            if failures > 2:
                break
            run.note("go on")
    return run.turns


@given(_steps, st.integers(0, 10**6), st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["a", "b"])), max_size=3))
@settings(max_examples=120, deadline=None)
def test_every_prefix_gives_the_same_answer(
    steps: list[dict[str, Any]], salt: int, notes: list[tuple[int, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.yaml"
        path.write_text(yaml.safe_dump({"version": 1, "steps": steps, "result": "{{ vars.v }}"}), encoding="utf-8")
        playbook = load_playbook(path)
    inputs = {"n": salt % 5, "list": [1, "two", {"three": 3}]}
    history = _play(Run(playbook, _flaky(salt), (RequestTurn("do", inputs),)), notes)
    for index, turn in enumerate(history):
        if not isinstance(turn, ModelTurn):
            continue
        again = answer(playbook, asked(history[:index]))
        assert again.text == turn.text
        assert [(call.tool, call.args) for call in again.calls] == [(call.tool, call.args) for call in turn.calls]


@given(_steps, st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_changed_arguments_in_the_history_are_noticed(steps: list[dict[str, Any]], salt: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.yaml"
        path.write_text(yaml.safe_dump({"version": 1, "steps": steps}), encoding="utf-8")
        playbook = load_playbook(path)
    run = Run(playbook, _flaky(salt), (RequestTurn("do", {"n": 1, "list": [1]}),))
    first = run.step()
    if not first.calls:
        return
    first.calls[0].args["a"] = "something else"
    with pytest.raises(PlaybookError, match="changed"):
        run.step()
