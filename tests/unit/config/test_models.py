"""Faults of shape: each with file, line, key, what was found and what was expected."""

from pathlib import Path
from typing import Literal

import pytest

from interlock.config import Config, Strict, load_yaml_model
from interlock.model import ConfigError, PlaybookError


def faults(folder: Path, text: str) -> list[str]:
    path = folder / "interlock.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_yaml_model(path, Config)
    return [row.removeprefix(f"{folder}/") for row in caught.value.message.split("\n")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("\ntols: {}\n", "interlock.yaml:2: tols: unknown key; did you mean 'tools'?"),
        (
            "xyz: {}\n",
            (
                "interlock.yaml:1: xyz: unknown key; expected one of agents, database, models, policy, "
                "schedules, server, tools, triggers"
            ),
        ),
        (
            "memory: {}\n",
            "interlock.yaml:1: memory: this block does nothing in this release; expected it to be left out",
        ),
        (
            "agents:\n  ed:\n    instrctions: hi\n",
            "interlock.yaml:3: agents.ed.instrctions: unknown key; did you mean 'instructions'?",
        ),
        ("agents:\n  ed: 5\n", "interlock.yaml:2: agents.ed: found 5; expected a mapping"),
        ("agents: [a]\n", "interlock.yaml:1: agents: found a list; expected a mapping"),
        (
            "agents:\n  Ed: {}\n",
            "interlock.yaml:2: agents.Ed: found 'Ed' as a name; expected small letters, digits and '-', as in my-name",
        ),
        ("server:\n  port: 70000\n", "interlock.yaml:2: server.port: found 70000; expected 65535 or less"),
        ("server:\n  port: web\n", "interlock.yaml:2: server.port: found 'web'; expected a whole number"),
        (
            "server: {retention: {tasks: never}}\n",
            "server.retention.tasks: found 'never'; expected a duration such as 30s, 5m or 2h, or forever",
        ),
        ("server: {retention: {tasks: 90}}\n", "server.retention.tasks: found less than an hour; expected a duration"),
        ("server: {retention: {calls: 9d}}\n", "server.retention.calls: unknown key; expected one of tasks"),
        ("server: {workers: 1.5}\n", "interlock.yaml:1: server.workers: found 1.5; expected a whole number"),
        (
            "agents:\n  ed:\n    tools:\n      - a.b\n      - 7\n",
            "interlock.yaml:5: agents.ed.tools[1]: found 7; expected a text (put it in quotes)",
        ),
        (
            "agents:\n  ed:\n    limits:\n      max_duration: 5 minutes\n",
            "interlock.yaml:4: agents.ed.limits.max_duration: found '5 minutes'; expected a duration such as 30s, 5m or 2h",
        ),
        (
            "policy:\n  rules:\n    - id: a\n      when: {}\n      then: alow\n",
            "interlock.yaml:5: policy.rules[0].then: found 'alow'; expected 'allow', 'ask' or 'deny'",
        ),
        (
            "policy:\n  rules:\n    - id: a\n      when: {}\n",
            "policy.rules[0].then: missing; expected one of allow, ask, deny (allow, ask (a person decides) or deny)",
        ),
        (
            "policy:\n  rules:\n    - {id: a, when: {action_class: read}, then: ask}\n",
            "interlock.yaml:3: policy.rules[0].when.action_class: unknown key; expected one of agent, class,",
        ),
        (
            "models:\n  tiers:\n    huge: []\n",
            "interlock.yaml:3: models.tiers.huge: found 'huge'; expected 'small', 'medium' or 'large'",
        ),
        (
            "agents: {ed: {limits: {cost_usd: 'inf'}}}\n",
            "agents.ed.limits.cost_usd: found 'inf'; expected a finite number",
        ),
        ("tools: {a: {command: x, builtin: workspace, root: .}}\n", "tools.a: found both `builtin` and `command`"),
        ("tools: {a: {builtin: workspace}}\n", "tools.a: `root` is missing"),
        ("tools: {a: {args: [x]}}\n", "tools.a: found `args` without `command`"),
        ('tools: {a: {command: "x\\0"}}\n', "tools.a.command: found a zero character"),
        (
            "tools: {a: {command: x, env: {'A=B': x}}}\n",
            "tools.a.env: found a name or value that no environment can hold",
        ),
        ("tools: {a: {command: x, call_timeout: 0}}\n", "tools.a.call_timeout: found a duration of zero"),
    ],
)
def test_one_fault(tmp_path: Path, text: str, fault: str) -> None:
    found = faults(tmp_path, text)
    assert len(found) == 1
    assert fault in found[0]
    assert "expected" in found[0] or "did you mean" in found[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("{}", 90 * 86_400.0),
        ("{retention: {}}", 90 * 86_400.0),
        ("{retention: {tasks: 12h}}", 43_200.0),
        ("{retention: {tasks: 3600}}", 3600.0),
        ("{retention: {tasks: forever}}", None),
        ("{retention: {tasks: null}}", None),
    ],
)
def test_how_long_tasks_are_kept(tmp_path: Path, text: str, seconds: float | None) -> None:
    path = tmp_path / "interlock.yaml"
    path.write_text(f"server: {text}\n")
    config = load_yaml_model(path, Config)
    assert config.server.retention.tasks == seconds
    stored = config.model_dump(mode="json", by_alias=True)
    assert Config.model_validate(stored) == config, "as it is stored it can be read again"


def test_all_faults_are_listed_in_order_up_to_twenty(tmp_path: Path) -> None:
    found = faults(tmp_path, "".join(f"key{n}: 1\n" for n in range(30)))
    assert len(found) == 21
    assert [row.split(":")[1] for row in found[:20]] == [str(n) for n in range(1, 21)]
    assert found[20] == "… and 10 more"


def test_no_secret_in_a_message(tmp_path: Path) -> None:
    text = "tools:\n  a:\n    command: x\n    env: {KEY: 98765, B: [hunter2]}\ndatabase: {url: [hunter2]}\n"
    found = "\n".join(faults(tmp_path, text))
    assert "98765" not in found
    assert "hunter2" not in found
    assert "tools.a.env.KEY: found a value that is no text; expected a text" in found


def test_a_message_can_not_drive_a_terminal(tmp_path: Path) -> None:
    found = faults(tmp_path, '"\\e[31mx\\n": 1\n')
    assert len(found) == 1
    assert found[0].isprintable()


class Step(Strict):
    kind: Literal["a", "b"]


class Book(Strict):
    steps: list[Step]


def test_any_model_and_error_class(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text("steps:\n  - kind: a\n  - kind: c\n    knd: a\n")
    with pytest.raises(PlaybookError) as caught:
        load_yaml_model(path, Book, PlaybookError)
    assert caught.value.message.split("\n") == [
        f"{path}:3: steps[1].kind: found 'c'; expected 'a' or 'b'",
        f"{path}:4: steps[1].knd: unknown key; did you mean 'kind'?",
    ]
    path.write_text("steps: [{kind: b}]\n")
    assert load_yaml_model(path, Book, PlaybookError) == Book(steps=[Step(kind="b")])
    path.write_text("")
    with pytest.raises(PlaybookError, match="steps: missing; expected a list"):
        load_yaml_model(path, Book, PlaybookError)
