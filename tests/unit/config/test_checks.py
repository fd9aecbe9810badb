"""Names that one block uses and no other declares; rules that can't hold."""

from pathlib import Path

import pytest

from interlock.config import load_project
from interlock.model import ConfigError, PolicyError, UserError

BASE = """\
models: {aliases: {sonnet: {provider: openai, model: m}}}
tools: {files: {builtin: workspace, root: .}}
"""


def faults(
    folder: Path, text: str, error: type[UserError] = ConfigError, files: dict[str, str] | None = None
) -> list[str]:
    (folder / "playbooks").mkdir()
    for name, content in {"interlock.yaml": BASE + text, "playbooks/clean.yaml": "", **(files or {})}.items():
        (folder / name).write_text(content)
    with pytest.raises(error) as caught:
        load_project(folder, {})
    return [row.removeprefix(f"{folder}/") for row in caught.value.message.split("\n")]


def agent(body: str) -> str:
    return f"agents:\n  ed:\n    {body}\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            agent("tools: [fils.read]"),
            "5: agents.ed.tools[0]: no tool server 'fils' is configured; did you mean 'files'?",
        ),
        (agent("tools: [read]"), "5: agents.ed.tools[0]: found 'read'; expected server.name, or server.*"),
        (agent("tools: ['*.read']"), "5: agents.ed.tools[0]: found '*.read'; expected server.name, or server.*"),
        (agent("tools: [files.re*]"), "5: agents.ed.tools[0]: found 'files.re*'; expected server.name, or server.*"),
        (agent("plan: [{tool: files.*}]"), "5: agents.ed.plan[0].tool: found 'files.*'; expected server.name"),
        (
            agent("plan: [{tool: files.x, args: {a: {pattern: '('}}}]"),
            "5: agents.ed.plan[0].args.a.pattern: found '(', no regular expression (missing ), unterminated subpattern",
        ),
        (
            agent("plan: [{tool: files.x, args: {a: {pattern: 5}}}]"),
            "plan[0].args.a.pattern: found a value that is no text",
        ),
        (agent("verify: [{tool: x}]"), "5: agents.ed.verify[0].tool: found 'x'; expected server.name"),
        (
            agent("verify: [{tool: files.x, expect: {contain: x}}]"),
            "5: agents.ed.verify[0].expect.contain: unknown expectation; did you mean 'contains'?",
        ),
        (
            agent("verify: [{tool: files.x, expect: {ok: 1}}]"),
            "verify[0].expect.ok: found a value that is no truth value",
        ),
        (
            agent("verify: [{tool: files.x, expect: {matches: 'a{99999999999}'}}]"),
            "expect.matches: found 'a{99999999999}', no",
        ),
        (agent("model: sonet"), "5: agents.ed.model: no model alias 'sonet'; did you mean 'sonnet'?, or playbook:NAME"),
        (agent("model: 'playbook:clear'"), "5: agents.ed.model: no playbook 'clear'; did you mean 'clean'?"),
        (
            agent("model: 'gemini:x'"),
            "5: agents.ed.model: found 'gemini:x'; expected an alias, playbook:NAME, anthropic:MODEL",
        ),
        (agent("model: 'openai:'"), "5: agents.ed.model: found 'openai:'; expected an alias"),
    ],
)
def test_agents(tmp_path: Path, text: str, fault: str) -> None:
    found = faults(tmp_path, text)
    assert len(found) == 1
    assert fault in found[0]
    assert found[0].startswith("interlock.yaml:5: ")


def test_models(tmp_path: Path) -> None:
    text = "models:\n  default: x\n  tiers:\n    small: [y]\n"
    path = tmp_path / "interlock.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_project(tmp_path, {})
    others = "or playbook:NAME, anthropic:MODEL, openai:MODEL"
    assert caught.value.message.split("\n") == [
        f"{path}:2: models.default: no model alias 'x'; models.aliases declares none, {others}",
        f"{path}:4: models.tiers.small[0]: no model alias 'y'; expected one that models.aliases declares",
    ]


@pytest.mark.parametrize("model", ["sonnet", "playbook:clean", "anthropic:claude", "openai:gpt:x"])
def test_good_models(tmp_path: Path, model: str) -> None:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/clean.yaml").write_text("")
    (tmp_path / "interlock.yaml").write_text(BASE + agent(f"model: '{model}'"))
    assert load_project(tmp_path, {}).config.agents["ed"].model == model


def test_contracts(tmp_path: Path) -> None:
    config = BASE.replace(
        "root: .}", "root: ., contracts: {x: {verify: {tol: a, expect: {y: 1}}, inverse: {tool: nope.x, args: 1}}}}"
    )
    found = faults(tmp_path, "", files={"interlock.yaml": config})
    assert [row.partition("contracts.x.")[2] for row in found] == [
        "verify.tol: unknown key; did you mean 'tool'?",
        "verify.tool: missing or no text; expected server.name",
        "verify.expect.y: unknown expectation; expected one of contains, equals, matches, ok",
        "inverse.tool: no tool server 'nope' is configured; expected one of files",
        "inverse.args: found a value that is no mapping; expected a mapping",
    ]


RULES = "policy:\n  rules:\n    - {id: a, when: {tool: files.*}, then: ask}\n"


def test_repeated_rule_ids(tmp_path: Path) -> None:
    more = "rules:\n  - id: b\n    when: {}\n    then: ask\n  - id: a\n    when: {}\n    then: deny\n"
    assert faults(tmp_path, RULES, PolicyError, {"policy.yaml": more}) == [
        "policy.yaml:5: rules[1].id: the rule id 'a' is repeated (first in interlock.yaml:5); expected an id of its own"
    ]


def test_no_rule_lets_a_destructive_call_through(tmp_path: Path) -> None:
    text = RULES + "    - id: b\n      when: {class: destructive, planned: true}\n      then: allow\n"
    found = faults(tmp_path, text, PolicyError)
    assert len(found) == 1
    assert found[0].startswith("interlock.yaml:8: policy.rules[1].then: no rule may let a destructive call through")
    assert found[0].endswith("without a person; expected then: ask, or then: deny")


@pytest.mark.parametrize("rule", ["{id: a, when: {}, then: allow}", "{id: a, when: {class: destructive}, then: ask}"])
def test_rules_that_are_fine(tmp_path: Path, rule: str) -> None:
    (tmp_path / "policy.yaml").write_text(f"rules: [{rule}]")
    assert len(load_project(tmp_path, {}).config.policy.rules) == 1


def test_rules_that_match_nothing_are_noted(tmp_path: Path) -> None:
    (tmp_path / "interlock.yaml").write_text(BASE + agent("tools: []"))
    (tmp_path / "policy.yaml").write_text(
        "rules:\n  - {id: a, when: {tool: fils.x, agent: ed*}, then: deny}\n  - {id: b, when: {agent: de}, then: deny}\n"
        "  - {id: c, when: {tool: shell.run, agent: undo}, then: deny}\n  - {id: d, when: {tool: 'fi*'}, then: deny}\n"
    )
    assert load_project(tmp_path, {}).notes == (
        "policy.yaml:2: rules[0].when.tool: no tool server 'fils' is configured; did you mean 'files'?",
        "policy.yaml:3: rules[1].when.agent: no agent 'de' is configured; expected one of ed, undo",
    )


def test_bad_policy_file(tmp_path: Path) -> None:
    assert faults(tmp_path, "", PolicyError, files={"policy.yaml": "rule: []"}) == [
        "policy.yaml:1: rule: unknown key; did you mean 'rules'?"
    ]
