"""What is stored of a configuration: no secrets, and what each machine must have by itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from interlock.config import HIDDEN, Project, load_project, own_parts

SERVER = {
    "command": "serve",
    "args": ["--api-key", "k1-very-secret", "--token=k2-very-secret", "--port=80", "--auth=${AUTH}"],
    "env": {"KEY": "k3-very-secret", "OTHER": "secret://other", "THIRD": "${THIRD}", "FOURTH": "${X:-k4-very-secret}"},
}
REMOTE = {"url": "https://me:k5-very-secret@example.com/mcp", "headers": {"Authorization": "Bearer k6-very-secret"}}
DATABASE = {"builtin": "sql", "database": "postgresql://me:k7-very-secret@db/x"}
WEB = {"builtin": "http", "allow": ["a.example"], "credentials": {"a.example": {"X-Key": "k8-very-secret"}}}


def project_of(folder: Path, **config: Any) -> Project:
    (folder / "interlock.yaml").write_text(json.dumps(config))
    return load_project(folder, {})


def test_no_secret_is_stored_but_references_are(tmp_path: Path) -> None:
    tools = {"one": SERVER, "two": REMOTE, "three": DATABASE, "four": WEB}
    stored = project_of(tmp_path, tools=tools, database={"url": "postgresql://me:k9-very-secret@db/y"}).stored
    assert "very-secret" not in json.dumps(stored)
    assert stored["tools"]["one"]["env"] == {
        "KEY": HIDDEN,
        "OTHER": "secret://other",
        "THIRD": "${THIRD}",
        "FOURTH": HIDDEN,
    }
    assert stored["tools"]["one"]["args"] == ["--api-key", HIDDEN, f"--token={HIDDEN}", "--port=80", "--auth=${AUTH}"]
    assert stored["tools"]["two"]["url"] == f"https://{HIDDEN}@example.com/mcp"
    assert "database" not in stored


@pytest.mark.parametrize(
    ("change", "own"),
    [
        ({"args": ["--other"]}, True),
        ({"env": {"KEY": "another"}}, True),
        ({"call_timeout": "5s"}, True),
        ({"contracts": {"x": {"class": "read"}}}, False),
        ({"breaker": {"failures": 2}}, False),
        ({"required": False}, False),
        ({"host": "alpha"}, False),
    ],
)
def test_a_machine_has_what_starts_its_servers_and_nothing_else(
    tmp_path: Path, change: dict[str, Any], own: bool
) -> None:
    before = project_of(tmp_path, tools={"one": SERVER})
    after = project_of(tmp_path, tools={"one": {**SERVER, **change}})
    assert before.sha256 != after.sha256
    assert (before.stored["own"] != after.stored["own"]) is own


def test_the_folder_is_no_part_of_it_but_the_code_is(tmp_path: Path) -> None:
    found = []
    for name, code in (("a", "pass"), ("b", "pass"), ("c", "print()")):
        (tmp_path / name / "tools").mkdir(parents=True)
        (tmp_path / name / "tools" / "mine.py").write_text(code)
        found.append(project_of(tmp_path / name, agents={"x": {"model": "anthropic:m"}}))
    assert found[0].stored == found[1].stored
    assert found[0].sha256 == found[1].sha256
    assert found[0].stored["own"]["mine"] != found[2].stored["own"]["mine"]
    assert found[0].stored["agents"] == found[2].stored["agents"]


def test_playbooks_are_stored_as_data(tmp_path: Path) -> None:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "hello.yaml").write_text("version: 1  # a comment\nsteps: [{result: hi}]\n")
    stored = project_of(tmp_path).stored
    assert stored["playbooks"] == {"hello": {"version": 1, "steps": [{"result": "hi"}]}}
    assert stored["own"] == own_parts(stored)
