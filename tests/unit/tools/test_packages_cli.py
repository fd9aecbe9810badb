"""`interlock tools install`, as far as it needs no registry."""

import json
from pathlib import Path

import pytest

from interlock.cli import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INTERLOCK_HOME", str(tmp_path / "home"))
    return tmp_path


def install(project: Path, *words: str) -> int:
    return main(["tools", "install", *words, "--project", str(project)])


def test_nothing_to_install(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "interlock.yaml").write_text("tools: {a: {command: x}, b: {url: 'https://x'}}")
    assert install(project) == 0
    assert capsys.readouterr().out == "nothing to install\n"
    assert install(project, "a", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"v": 1, "ok": True, "items": []}


def test_an_unknown_server(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(project, "nope") != 0
    assert "no tool server is named 'nope'" in capsys.readouterr().err


def test_what_can_not_be_pinned_is_told_and_stops_no_other(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    servers = {"a": {"command": "npx", "args": ["github:x/y"]}, "b": {"command": "uvx", "args": ["git+https://x"]}}
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": servers}))
    assert install(project) == 1
    found = capsys.readouterr().out
    assert "a: `npx` would fetch code whenever it starts, and 'github:x/y' is no name of a package" in found
    assert "b: `uvx` would fetch code" in found
    assert found.count("hint: ") == 2
