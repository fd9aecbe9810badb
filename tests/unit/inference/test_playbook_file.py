"""Reading playbooks: what is wrong is named by file, line and key before anything runs."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.inference import check_playbook, declared_calls, load_playbook
from interlock.model import PlaybookError

Write = Callable[[str], Path]
HEAD = "version: 1\nsteps:\n"


def refused(path: Path) -> str:
    with pytest.raises(PlaybookError) as caught:
        check_playbook(path)
    return caught.value.message.removeprefix(f"{path}:")


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ("  - cal: a.b\n", 3, "steps[0].cal: unknown key 'cal'"),
        ("  - id: x\n", 3, "steps[0]: expected exactly one of"),
        ("  - call: a.b\n    say: x\n", 3, "found call and say"),
        ("  - call: a.b\n    limit: 1\n", 4, "steps[0].limit: unknown key 'limit'"),
        ("  - call: nodot\n", 3, "steps[0].call: expected a tool as server.name"),
        (
            "  - {id: x, call: a.b}\n  - {id: x, call: a.b}\n",
            4,
            "steps[1].id: the id 'x' is used twice (first on line 3)",
        ),
        ("  - call: a.b\n    id: 1x\n", 4, "steps[0].id: expected a name"),
        ("  - call: a.b\n    args: {p: {q: ['{{ x }}']}}\n", 4, "steps[0].args.p.q[0]: unknown name 'x'"),
        (
            "  - call: a.b\n    args:\n      p: '{{ steps.late.text }}'\n",
            5,
            "unknown step 'late'; steps before this one: none",
        ),
        ("  - {id: me, call: a.b, args: {p: '{{ steps.me.text }}'}}\n", 3, "unknown step 'me'"),
        ("  - say: '{{ vars.x }}'\n", 3, "unknown variable 'x'"),
        ("  - say: '{{ request | shout }}'\n", 3, "steps[0].say: unknown filter 'shout'"),
        ("  - say: '{{ request'\n", 3, "never closed"),
        ("  - say: [1]\n", 3, "expected a text"),
        ("  - call: a.b\n    when: {is: x}\n", 4, "steps[0].when: unknown condition 'is'"),
        ("  - call: a.b\n    when: {ok: nope}\n", 4, "steps[0].when: unknown step 'nope'"),
        ("  - call: a.b\n    on_error: goto\n", 4, "steps[0].on_error: expected one of: stop, continue"),
        ("  - call: a.b\n    retry: {times: -1}\n", 4, "steps[0].retry.times: expected a whole number"),
        ("  - call: a.b\n    retry: {times: 999}\n", 4, "from 0 to 20"),
        ("  - calls: []\n", 3, "steps[0].calls: expected a list"),
        ("  - calls: [{id: x}]\n", 3, "steps[0].calls[0]: expected 'call'"),
        ("  - for: {item: f}\n    steps: [{say: x}]\n", 3, "steps[0].for: expected 'in'"),
        ("  - for: {item: vars, in: []}\n    steps: [{say: x}]\n", 3, "the name 'vars' is taken"),
        ("  - for: {in: []}\n", 3, "steps[0].steps: expected a list"),
        ("  - steps: [{say: x}]\n", 3, "steps[0]: expected 'when'"),
        ("  - for: {in: []}\n    steps: [{id: i, call: a.b}]\n  - say: '{{ steps.i.text }}'\n", 5, "unknown step 'i'"),
        ("  - just text\n", 3, "expected a mapping"),
        ("  - call: a.b\n    args: [1]\n", 4, "steps[0].args: expected a mapping"),
        ("  - say: x\n   bad\n", 4, "no valid YAML"),
        ("  []\n", 2, "steps: expected a list with at least one entry"),
    ],
)
def test_wrong(write: Write, body: str, line: int, said: str) -> None:
    message = refused(write(HEAD + body))
    assert re.match(r"\d+", message), message
    assert message.split(":")[0] == str(line), message
    assert said in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: [{say: x}]\n", "version"),
        ("version: 2\nsteps: [{say: x}]\n", "1: version: expected: version: 1"),
        ("version: 1\nstep: []\n", "2: step: unknown key 'step'"),
        ("version: 1\nvars: {a: '{{ vars.b }}', b: 1}\nsteps: [{say: x}]\n", "vars.a: unknown variable 'b'"),
        ("version: 1\nsteps: [{say: x}]\nresult: '{{ steps.x.text }}'\n", "3: result: unknown step 'x'"),
        ("- 1\n", "expected a mapping"),
        ("version: 1\nversion: 1\n", "repeated"),
    ],
)
def test_wrong_file(write: Write, text: str, said: str) -> None:
    assert said in refused(write(text))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="can't be read"):
        check_playbook(tmp_path / "none.yaml")


def test_nesting_is_bounded(write: Write) -> None:
    body = "{say: x}"
    for _ in range(12):
        body = f"{{when: {{ok: a}}, steps: [{body}]}}"
    assert "deep" in refused(write(f"version: 1\nsteps: [{{id: a, call: x.y}}, {body}]\n"))


def test_names_reach_where_they_should(write: Write) -> None:
    path = write(
        HEAD
        + """
  - {id: a, call: s.t}
  - when: {ok: a}
    steps: [{id: b, call: s.t}, {set: {seen: "{{ steps.b.text }}"}}]
    else: [{id: c, call: s.t}]
  - id: l
    for: {item: f, in: [1], where: {gt: ["{{ f }}", 0]}}
    steps: [{id: i, call: s.t, args: {x: "{{ f }}"}}, {say: "{{ steps.i.text }}"}]
  - say: "{{ steps.b.text }} {{ steps.c.text }} {{ steps.l.results }} {{ vars.seen }} {{ notes }} {{ inputs.x }}"
"""
    )
    playbook = check_playbook(path)
    assert playbook.name == "test"
    assert declared_calls(playbook) == [("s.t", {}), ("s.t", {}), ("s.t", {}), ("s.t", {"x": "{{ f }}"})]


def test_example_of_the_documentation(write: Write) -> None:
    text = (Path(__file__).parents[3] / "docs" / "playbooks.md").read_text(encoding="utf-8")
    example = re.findall(r"```yaml\n(version: 1.*?)```", text, re.DOTALL)[0]
    playbook = load_playbook(write(example), "inspect")
    assert [tool for tool, _ in declared_calls(playbook)] == [
        "git.git_log",
        "workspace.list",
        "workspace.read",
        "workspace.write",
    ]


def test_every_filter_and_condition_is_documented() -> None:
    from interlock.inference.conditions import _KINDS
    from interlock.inference.filters import FILTERS

    text = (Path(__file__).parents[3] / "docs" / "playbooks.md").read_text(encoding="utf-8")
    for name in FILTERS:
        assert re.search(rf"`{name}[(`]", text), name
    for name in _KINDS:
        assert f"{{{name}:" in text, name
