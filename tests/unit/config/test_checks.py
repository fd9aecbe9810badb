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
        "verify.expect.y: unknown expectation; expected one of contains, equals, lacks, matches, ok",
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


SERVERS = """\
tools:
  files: {builtin: workspace, root: .}
  far: {url: "https://x/mcp"}
  one:
    command: x
"""


def tool_faults(folder: Path, text: str, policy: str = "{}") -> list[str]:
    found = faults(folder, "", files={"interlock.yaml": SERVERS + text, "policy.yaml": policy})
    return [row.partition("interlock.yaml:")[2] for row in found]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("    staging: one\n", "6: tools.one.staging: found 'one' itself; expected another server"),
        ("    staging: fils\n", "6: tools.one.staging: no tool server 'fils' is configured; did you mean 'files'?"),
        (
            "    staging: two\n  two: {command: x, staging: files}\n",
            "6: tools.one.staging: found 'two', which has a `staging` of its own; expected one without",
        ),
        ("  two: {url: 'http://x', scope: run}\n", "6: tools.two.scope: found `scope` beside `url`; expected it to be"),
        ("  two: {url: 'http://x', sandbox: {network: true}}\n", "6: tools.two.sandbox: found `sandbox` beside `url`"),
        ("  two: {url: 'http://x', env: {A: b}}\n", "6: tools.two.env: found `env` beside `url`"),
        ("  two: {command: x, transport: sse}\n", "6: tools.two.transport: found `transport` without `url`; expected"),
        (
            "  two: {url: 'http://x', headers: {A: Bearer secret://a}}\n",
            "6: tools.two.headers.A: found a text that holds",
        ),
        ("  two: {command: x, env: {A: 'secret://../a'}}\n", "6: tools.two.env.A: found a text that holds secret://"),
        (
            "  two: {command: x, args: [a, secret://b]}\n",
            "6: tools.two.args[1]: found secret:// where all users of the",
        ),
        ("  two: {command: x, cwd: secret://b}\n", "6: tools.two.cwd: found secret:// where all users of the machine"),
        (
            "    contracts: {a: {fallbacks: [{tool: nope.b}]}}\n",
            "6: tools.one.contracts.a.fallbacks[0].tool: no tool server 'nope' is configured",
        ),
        (
            "    contracts: {a: {fallbacks: [{tool: far.*}]}}\n",
            "fallbacks[0].tool: found 'far.*'; expected server.name",
        ),
        ("    contracts: {a: {fallbacks: [{tool: one.a}]}}\n", "fallbacks[0].tool: found 'one.a' itself; expected"),
        ("    contracts: {a: {dry_run: {}}}\n", "6: tools.one.contracts.a.dry_run: found an empty mapping; expected"),
        ("    contracts: {a: {dry_run: [x]}}\n", "6: tools.one.contracts.a.dry_run: found a list; expected a mapping"),
        ("    contracts: {a: {rate: 5}}\n", "6: tools.one.contracts.a.rate: found a value that is no text; expected a"),
        ("  two: {url: ftp://x}\n", "6: tools.two.url: found a text; expected a text that matches"),
        (
            "  two: {url: 'http://x', command: y}\n",
            "6: tools.two: found both `command` and `url`; expected one of them",
        ),
        ("  two: {package: 'pypi:a/b'}\n", "6: tools.two.package: found 'pypi:a/b'; expected pypi:NAME==VERSION or"),
        (
            "  two: {package: 'pypi:a', overrides: [-x]}\n",
            "6: tools.two: found the override '-x'; expected one such as",
        ),
        (
            "  two: {url: 'http://x', credentials: {x: {A: b}}}\n",
            "6: tools.two: found `credentials` without `builtin: http`; expected it beside it",
        ),
        ("  two: {command: x, ca_file: y}\n", "6: tools.two: found `ca_file` without `builtin: http`; expected"),
        ("  two: {builtin: http, allow: [x], credentials: {x: {}}}\n", "two.credentials: found no header for x; exp"),
        (
            "  two: {builtin: http, allow: [x], credentials: {x: {'A B': c}}}\n",
            "two.credentials: found the header 'A B', which HTTP does not allow; expected its name",
        ),
        (
            "  two: {builtin: http, allow: [x], credentials: {'x y': {A: c}}}\n",
            "two.credentials: found the host 'x y'; expected one such as api.example.com",
        ),
        (
            "  two: {builtin: http, allow: [x], credentials: {x: {A: Bearer secret://a}}}\n",
            "6: tools.two.credentials.x.A: found a text that holds",
        ),
    ],
)
def test_tool_servers(tmp_path: Path, text: str, fault: str) -> None:
    found = tool_faults(tmp_path, text)
    assert len(found) == 1
    assert fault in found[0]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("{agent: ed, text: go}", "7: schedules.s: found neither `cron` nor `every`; expected one of them"),
        ("{agent: ed, text: go, cron: '* * * * *', every: 5m}", "7: schedules.s: found both `cron` and `every`"),
        ("{agent: ed, text: go, cron: '0 25 * * *'}", "schedules.s.cron: found '0 25 * * *'; bad hour; expected five"),
        ("{agent: ed, text: go, cron: '@daily'}", "schedules.s.cron: found '@daily'; expected five fields"),
        ("{agent: ed, text: go, cron: '0 6 * * *', timezone: Berlin}", "s.timezone: found 'Berlin'; expected the name"),
        ("{agent: ed, text: go, every: 5m, timezone: Europe/Berlin}", "found `timezone` beside `every`, whose steps"),
        ("{agent: ed, text: go, every: 5m, jitter: 5m}", "found a `jitter` as long as the time from one to the next"),
        ("{agent: ed, text: go, cron: '* * * * *', jitter: 2m}", "found a `jitter` as long as the time from one to"),
        ("{agent: ed, text: go, every: 100ms}", "found `every` below 1 s; expected more"),
        ("{agent: ed, text: ' ', every: 5m}", "found an empty `text`; expected what the agent shall do"),
        ("{agent: ed, text: go, every: 5m, overlap: wait}", "schedules.s.overlap: found 'wait'; expected"),
        ("{agent: edd, text: go, every: 5m}", "schedules.s.agent: no agent 'edd' is configured; did you mean 'ed'?"),
        ("{text: go, every: 5m}", "schedules.s.agent: missing; expected a text (who does it)"),
    ],
)
def test_schedules(tmp_path: Path, body: str, fault: str) -> None:
    found = faults(tmp_path, f"{agent('tools: []')}schedules:\n  s: {body}\n")
    assert len(found) == 1
    assert fault in found[0]


TRIGGER = "kind: json, agent: ed, text: go, secret: 'secret://a'"
MANAGED = TRIGGER.replace("json", "alertmanager")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("kind: json, agent: ed, text: go", "7: triggers.t.secret: missing; expected a text (what proves that"),
        (
            "kind: json, agent: ed, text: go, secret: hunter2hunter2",
            "7: triggers.t.secret: found a value that is no ref",
        ),
        (
            "kind: json, agent: ed, text: go, secret: 12345678",
            "7: triggers.t.secret: found a value that is no reference",
        ),
        (
            "kind: json, agent: ed, text: go, secret: 'x${A}'",
            "7: triggers.t.secret: found a value that is no reference",
        ),
        (
            "kind: json, agent: ed, text: go, secret: '${A:-b}'",
            "7: triggers.t.secret: found a value that is no reference",
        ),
        (
            TRIGGER.replace("agent: ed", "agent: edd"),
            "triggers.t.agent: no agent 'edd' is configured; did you mean 'ed'?",
        ),
        (TRIGGER.replace("go", "' '"), "triggers.t: found an empty `text`; expected what the agent shall do"),
        (TRIGGER.replace("json", "xml"), "triggers.t.kind: found 'xml'; expected"),
        (TRIGGER + ", on: both", "found `on` beside `kind: json`; expected it beside `kind: alertmanager`"),
        (TRIGGER + ", each: alert", "found `each` beside `kind: json`"),
        (MANAGED + ", dedupe: [/a]", "found `dedupe` beside `kind: alertmanager`, whose groups have keys; expected"),
        (
            TRIGGER + ", inputs: {a: b}",
            "triggers.t.inputs.a: found 'b'; expected a JSON pointer such as /alerts/0/labels",
        ),
        (TRIGGER + ", inputs: {a: /~2}", "triggers.t.inputs.a: found '/~2'; expected a JSON pointer"),
        (TRIGGER + ", inputs: {a-b: /a}", "as a name; expected"),
        (TRIGGER + ", optional: [a]", "found 'a' in `optional`; expected names of `inputs`"),
        (TRIGGER + ", rate: 5", "triggers.t.rate: found a value that is no text; expected a rate"),
        (TRIGGER + ", signature: none", "triggers.t.signature: found 'none'; expected"),
        (TRIGGER + ", signature: bearer, timestamp_header: X-T", "found `timestamp_header` beside `signature: bearer`"),
        (TRIGGER + ", signature: standard-webhooks, id_header: X", "which has one; expected none"),
        (TRIGGER + ", signature_header: 'X Y'", "found the header 'X Y', which HTTP does not allow"),
        (TRIGGER + ", tolerance: 5m", "found `tolerance` without a timestamp; expected `timestamp_header`"),
        (TRIGGER + ", id_header: x-interlock-signature", "found the same header for two purposes"),
    ],
)
def test_triggers(tmp_path: Path, body: str, fault: str) -> None:
    found = faults(tmp_path, f"{agent('tools: []')}triggers:\n  t: {{{body}}}\n")
    assert len(found) == 1
    assert fault in found[0]
    assert "hunter2" not in found[0]
    assert "1234" not in found[0]


def test_fallbacks_that_go_round(tmp_path: Path) -> None:
    text = (
        "    contracts:\n      a: {fallbacks: [{tool: far.x}, {tool: files.b}]}\n"
        "  two: {command: x, contracts: {c: {fallbacks: [{tool: one.a}]}}}\n"
        "  six: {command: x, contracts: {d: {fallbacks: [{tool: two.c}]}}}\n"
    ).replace("files.b", "two.c")
    assert tool_faults(tmp_path, text) == [
        "7: tools.one.contracts.a.fallbacks[1].tool: found 'two.c', which falls back to one.a again; expected no circle",
        "8: tools.two.contracts.c.fallbacks[0].tool: found 'one.a', which falls back to two.c again; expected no circle",
    ]


@pytest.mark.parametrize(("mode", "policy"), [("off", "{sandbox: required}"), ("preferred", "{sandbox: required}")])
def test_a_required_sandbox_can_not_be_loosened(tmp_path: Path, mode: str, policy: str) -> None:
    fault = f"found '{mode}' where the policy says sandbox: required; expected 'required', or no mode"
    assert tool_faults(tmp_path, f"    sandbox:\n      mode: {mode}\n", policy) == [
        f"7: tools.one.sandbox.mode: {fault}"
    ]


def test_parts_that_do_not_fit_what_they_extend(tmp_path: Path) -> None:
    mcp = (
        '{"mcpServers": {"near": {"command": "x"}, "away": {"url": "https://x"}, '
        '"npx": {"command": "npx", "args": ["-y", "a"]}}}'
    )
    text = (
        "tools:\n  near: {headers: {A: b}, overrides: [mcp<2]}\n  away: {scope: run, entry: x, cwd: y}\n"
        "  npx: {overrides: [zod@3], entry: x}\n"
    )
    found = faults(tmp_path, "", files={"interlock.yaml": text, ".mcp.json": mcp})
    assert [row.partition("; ")[0].partition("yaml:")[2] for row in found] == [
        "2: tools.near.headers: found `headers` without `url`",
        "2: tools.near.overrides: found `overrides` without `package`",
        "3: tools.away.scope: found `scope` beside `url`",
        "3: tools.away.cwd: found `cwd` beside `url`",
        "3: tools.away.entry: found `entry` without `package`",
    ]


def test_tool_servers_that_are_fine(tmp_path: Path) -> None:
    text = SERVERS + (
        "    staging: two\n    sandbox: {mode: required, network: false}\n"
        "    contracts: {a: {fallbacks: [{tool: two.a, args: {x: '{y}'}}], cache: 5m, rate: 60/m burst 5}}\n"
        "  two: {package: 'npm:@s/x@1.0.0', overrides: [zod@3], entry: x, args: [y], idle_timeout: 5m}\n"
        "  six: {url: 'https://x', transport: sse, headers: {A: 'secret://a'}, max_age: 1h, idle_timeout: 5m}\n"
    )
    (tmp_path / "interlock.yaml").write_text(text)
    (tmp_path / "policy.yaml").write_text("sandbox: required")
    assert len(load_project(tmp_path, {}).config.tools) == 5
