"""Playing playbooks: order, conditions, loops, failures, notes, bounds, and a playbook that changes under a run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interlock.inference import answer, load_playbook
from interlock.model import (
    Bug,
    CallRequest,
    ModelTurn,
    Observation,
    PlaybookError,
    PlaybookFailed,
    RequestTurn,
)

from .conftest import Run, asked

Start = Callable[..., Run]


def books(name: str, args: dict[str, Any]) -> tuple[bool, str, dict[str, Any] | None]:
    if name == "workspace.list":
        return True, "3 entries", {"entries": [{"path": "a.md"}, {"path": "b.txt"}, {"path": "c.md"}]}
    if name == "workspace.read" and args["path"] == "c.md":
        return False, "no such file", None
    if name == "workspace.read":
        return True, f"# Title of {args['path']}\nbody", None
    return True, "ok", None


def test_example_of_the_documentation(write: Callable[[str], Path]) -> None:
    text = (Path(__file__).parents[3] / "docs" / "playbooks.md").read_text(encoding="utf-8")
    example = text[text.index("version: 1\n") :].split("```")[0]
    run = Run(load_playbook(write(example), "inspect"), books)
    assert run.to_end() == "Report written: ok"
    assert [name for name, _ in run.calls] == [
        "git.git_log",
        "workspace.list",
        "workspace.read",
        "workspace.read",
        "workspace.write",
    ]
    assert run.calls[0][1] == {"repo_path": ".", "max_count": 20}
    assert "- # Title of a.md" in run.calls[-1][1]["content"]
    assert {turn.model for turn in run.turns if isinstance(turn, ModelTurn)} == {"playbook:inspect"}


def test_steps_between_calls(run: Start) -> None:
    playing = run(
        """
version: 1
vars: {who: "{{ inputs.n | add(1) }}"}
steps:
  - say: First I look.
  - {id: a, call: s.look, args: {n: "{{ vars.who }}"}, reason: "For {{ request }}"}
  - set: {who: "{{ steps.a.text | upper }}"}
  - when: {contains: ["{{ vars.who }}", "LOOK"]}
    steps: [{id: b, call: s.more, args: {deep: {list: ["{{ vars.who }}", 1]}}}]
    else: [{id: c, call: s.less}]
  - {id: d, call: s.never, when: {not: {ok: b}}}
  - say: Last words.
result: "{{ steps.c.skipped }} {{ steps.d.text | default('x') }}|{{ steps.b.tries }}"
"""
    )
    first = playing.step()
    assert first.text == "First I look."
    assert (first.calls[0].tool, first.calls[0].args, first.calls[0].reason) == ("s.look", {"n": 4}, "For do it")
    assert (first.model, first.usage.input_tokens, first.cost_usd) == ("playbook:test", 0, 0.0)
    assert playing.step().calls[0].args == {"deep": {"list": ["S.LOOK {'N': 4}", 1]}}
    assert playing.step().text == "Last words.\ntrue |1"


def test_parallel_calls_are_one_turn_and_only_failed_ones_repeat(run: Start) -> None:
    failures = {"s.b": 1}

    def tool(name: str, _args: dict[str, Any]) -> tuple[bool, str, None]:
        failures[name] = failures.get(name, 0) - 1
        return failures[name] < 0, "x", None

    playing = run(
        "version: 1\nsteps: [{calls: [{id: a, call: s.a}, {id: b, call: s.b}], retry: {times: 2}}]\n"
        "result: '{{ steps.a.tries }}{{ steps.b.tries }}'\n",
        tool,
    )
    assert [len(playing.step().calls), len(playing.step().calls)] == [2, 1]
    assert playing.to_end() == "12"


def test_loops(run: Start) -> None:
    playing = run(
        """
version: 1
steps:
  - id: outer
    for: {item: x, in: [1, 2, 3, 4], where: {gt: ["{{ x }}", 1]}, limit: 2}
    steps:
      - id: inner
        for: {item: y, in: ["{{ x }}", b]}
        steps: [{id: call, call: s.t, args: {x: "{{ x }}", y: "{{ y }}", round: "{{ round }}"}}]
      - say: "{{ round }}:{{ steps.inner.count }}"
  - id: none
    for: {in: []}
    steps: [{call: s.t}]
result: "{{ steps.outer.results | pluck('inner.count') | json }} {{ steps.outer.ok }} {{ steps.none.count }}"
"""
    )
    assert playing.to_end().endswith("[2, 2] true 0")
    assert [args for _, args in playing.calls] == [
        {"x": 2, "y": 2, "round": 1},
        {"x": 2, "y": "b", "round": 2},
        {"x": 3, "y": 3, "round": 1},
        {"x": 3, "y": "b", "round": 2},
    ]


def test_a_round_does_not_see_the_round_before(run: Start) -> None:
    playing = run(
        """
version: 1
steps:
  - for: {item: x, in: [1, 2]}
    steps:
      - {id: a, call: s.t, when: {equals: ["{{ x }}", 1]}}
      - say: "{{ steps.a.skipped }}"
"""
    )
    assert playing.to_end() == "false\ntrue\nDone."


@pytest.mark.parametrize(("ending", "error"), [("result: early", None), ("fail: 'no {{ request }}'", "no do it")])
def test_early_ends(run: Start, ending: str, error: str | None) -> None:
    playing = run(f"version: 1\nsteps: [{{call: s.t}}, {{for: {{in: [1]}}, steps: [{{{ending}}}]}}, {{call: s.no}}]\n")
    playing.step()
    if error is None:
        assert playing.to_end() == "early"
        return
    with pytest.raises(PlaybookFailed, match=error) as caught:
        playing.step()
    assert caught.value.retryable


def failing(_name: str, _args: dict[str, Any]) -> tuple[bool, str, None]:
    return False, "denied: a rule\nforbids it", None


def test_failure_stops_after_its_retries(run: Start) -> None:
    playing = run("version: 1\nsteps: [{id: a, call: s.t, retry: {times: 2}}]\n", failing)
    for _ in range(3):
        assert len(playing.step().calls) == 1
    with pytest.raises(PlaybookFailed, match=r"step 'a' \(line 2\): s.t failed: denied: a rule forbids it"):
        playing.step()


def test_failure_can_be_passed_over(run: Start) -> None:
    playing = run("version: 1\nsteps: [{id: a, call: s.t, on_error: continue}]\nresult: '{{ steps.a.text }}'", failing)
    assert "forbids" in playing.to_end()


def test_a_note_after_a_failure_tries_again(run: Start) -> None:
    playing = run(
        "version: 1\nsteps: [{id: a, call: s.t, args: {how: '{{ notes | last | default(\"plain\") }}'}}, {call: s.u}]\n",
        failing,
    )
    playing.step()
    with pytest.raises(PlaybookFailed):
        playing.step()
    playing.note("careful")
    assert playing.step().calls[0].args == {"how": "careful"}
    playing.tool = lambda _name, _args: (True, "fine", None)
    with pytest.raises(PlaybookFailed):
        playing.step()
    playing.note("again")
    assert playing.step().calls[0].args == {"how": "again"}
    assert playing.step().calls[0].tool == "s.u"
    assert playing.to_end() == "Done."


def test_notes_choose_the_path_and_late_ones_do_not_rewrite_it(run: Start) -> None:
    playing = run(
        """
version: 1
steps:
  - when: {contains: ["{{ notes | join }}", "archive"]}
    steps: [{call: s.archive}]
    else: [{call: s.plain}]
  - {call: s.next, args: {notes: "{{ notes | count }}"}}
"""
    )
    assert playing.step().calls[0].tool == "s.plain"
    playing.note("use the archive")
    assert playing.step().calls[0].args == {"notes": 1}
    assert playing.to_end() == "Done."
    with_note = replace(playing, turns=(RequestTurn("x"),), calls=[])
    with_note.note("use the archive")
    assert with_note.step().calls[0].tool == "s.archive"


def test_after_its_result_it_begins_anew(run: Start) -> None:
    playing = run("version: 1\nsteps: [{call: s.t}]\n")
    assert playing.to_end() == "Done."
    playing.note("the check failed")
    assert playing.step().calls[0].tool == "s.t"


@pytest.mark.parametrize(
    "other",
    [
        "steps: [{call: s.other}]",
        "steps: [{call: s.t, args: {x: 2}}]",
        "steps: [{calls: [{call: s.t, args: {x: 1}}, {call: s.t}]}]",
        "steps: [{say: nothing}]",
    ],
)
def test_a_changed_playbook_is_noticed(run: Start, write: Callable[[str], Path], other: str) -> None:
    playing = run("version: 1\nsteps: [{call: s.t, args: {x: 1}}, {call: s.u}]\n")
    playing.step()
    playing.playbook = load_playbook(write(f"version: 1\n{other}\n"))
    with pytest.raises(PlaybookError, match="changed during the run") as caught:
        playing.step()
    assert caught.value.next_step == "interlock tasks retry ID"


def test_numbers_stored_another_way_are_the_same(run: Start) -> None:
    playing = run("version: 1\nsteps: [{call: s.t, args: {x: 1.0}}]\n")
    call = CallRequest(0, "s.t", {"x": 1})
    turns = (RequestTurn(""), ModelTurn("", (call,), "m"), Observation(0, "s.t", True, ""))
    assert answer(playing.playbook, asked(turns)).text == "Done."


def test_unanswered_calls_are_a_bug(run: Start) -> None:
    playing = run("version: 1\nsteps: [{call: s.t}]\n")
    with pytest.raises(Bug):
        answer(playing.playbook, asked((RequestTurn(""), ModelTurn("", (CallRequest(0, "s.t", {}),), "m"))))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("steps: [{id: a, call: s.t}, {id: b, call: s.t, args: {x: '{{ steps.a.structured.rows }}'}}]", "step 'b'"),
        ("vars: {big: '{{ inputs.none }}'}\nsteps: [{call: s.t}]", "inputs.none"),
        ("steps: [{call: s.t, when: {gt: ['{{ request }}', 1]}}]", "compares numbers"),
        ("steps: [{for: {in: '{{ request }}'}, steps: [{call: s.t}]}]", "no list"),
        ("steps: [{call: s.t, args: {x: '{{ inputs.huge }}'}}]", "not a JSON value"),
        ("steps: [{call: s.t, args: {x: '{{ inputs.half | parse_json }}'}}]", "arguments of s.t are"),
    ],
)
def test_what_can_not_be_evaluated_names_the_step(run: Start, body: str, said: str) -> None:
    playing = run(f"version: 1\n{body}\n", turns=(RequestTurn("x", {"huge": 2**60, "half": '{"\\ud800": 1}'}),))
    with pytest.raises(PlaybookError, match=said):
        playing.to_end()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{for: {in: '{{ inputs.many }}'}, steps: [{say: x}]}", "more than 1000"),
        (
            "{for: {in: '{{ inputs.some }}'}, steps: [{for: {item: x, in: '{{ inputs.some }}'}, steps: [{set: {a: 1}}]}]}",
            "10000 steps",
        ),
        ("{for: {in: '{{ inputs.some }}'}, steps: [{say: '{{ inputs.long }}'}]}", "says more"),
        ("{call: s.t, args: {a: '{{ inputs.long }}', b: '{{ inputs.long }}'}}", "over 1048576 bytes"),
    ],
)
def test_bounds(run: Start, body: str, said: str) -> None:
    inputs = {"many": [0] * 1001, "some": [0] * 200, "long": "x" * 600_000}
    playing = run(f"version: 1\nsteps: [{body}]\n", turns=(RequestTurn("x", inputs),))
    with pytest.raises(PlaybookError, match=said):
        playing.to_end()


def test_calls_are_bounded(run: Start) -> None:
    fan = ", ".join(["{call: s.t}"] * 20)
    playing = run(f"version: 1\nsteps: [{{for: {{in: '{{{{ inputs.many }}}}'}}, steps: [{{calls: [{fan}]}}]}}]\n")
    playing.turns = (RequestTurn("x", {"many": [0] * 100}),)
    with pytest.raises(PlaybookError, match="1000 calls"):
        playing.to_end()
    assert len(playing.calls) == 1000
