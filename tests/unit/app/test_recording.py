"""What leaves with an export, and what does not."""

import json
from pathlib import Path
from typing import Any

from interlock.app.recording import known_secrets
from interlock.config import Secrets, load_project
from interlock.guardrails import is_internal
from interlock.servers.shared.schemas import INTERNAL
from interlock.servers.shell.tools import TOOLS as SHELL
from interlock.servers.sql.tools import offered
from interlock.servers.workspace.tools import TOOLS as WORKSPACE


def test_the_gates_own_tools_are_known_by_name(tmp_path: Path) -> None:
    """Pins do not say which tools are internal, so the names must be those that the servers mark."""
    (tmp_path / "interlock.yaml").write_text("tools: {w: {builtin: workspace, root: .}}\n")
    server = load_project(tmp_path, {}).config.tools["w"]
    for tools in (WORKSPACE, SHELL, offered(read_only=False)):
        for name, definition in tools.items():
            assert is_internal(server, name) == (INTERNAL in definition.get("_meta", {})), name


def test_secrets_are_found_where_the_configuration_names_them(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "mail").write_text("correct-horse-battery\n")
    config: dict[str, Any] = {
        "mail": {"command": "mail", "env": {"MAIL_PASSWORD": "secret://mail", "OTHER": "secret://missing"}}
    }
    (tmp_path / "secrets" / "hook").write_text("what-only-senders-know\n")
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "none.yaml").write_text("version: 1\nsteps: [{result: nothing}]\n")
    signed = {"kind": "json", "agent": "a", "text": "go"}
    triggers = {"one": {**signed, "secret": "secret://hook"}, "two": {**signed, "secret": "${SENDERS}"}}
    whole = {"tools": config, "agents": {"a": {"model": "playbook:none"}}, "triggers": triggers}
    (tmp_path / "interlock.yaml").write_text(json.dumps(whole))
    project = load_project(tmp_path, {})
    env = {
        "SENDERS": "what-others-know",
        "ANTHROPIC_API_KEY": "k-123456789",
        "HOME": "/home/ann/very-long",
        "X_TOKEN": "short",
        "MONKEY": "bananas-12",
    }
    found = known_secrets(project, Secrets(tmp_path, env))
    assert found == ("correct-horse-battery", "k-123456789", "what-only-senders-know", "what-others-know")
    assert known_secrets(project, None) == ()
