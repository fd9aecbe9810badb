"""`init`, `config`, options of `submit`, `halt`, `tasks resolve` and `audit`, the checks of `doctor`."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from interlock.cli import main
from interlock.cli.audit import head_of
from interlock.cli.checks import check_all, port_finding, python_finding
from interlock.cli.halt import scope_of
from interlock.cli.home_files import Running, only_one, write_running
from interlock.cli.submit import Options, inputs_of, options_of
from interlock.cli.tasks import Choice, resolution_of
from interlock.config import Settings
from interlock.model import UserError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "project"
    found.mkdir()
    monkeypatch.chdir(found)
    monkeypatch.setenv("INTERLOCK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("INTERLOCK_URL", raising=False)
    monkeypatch.delenv("INTERLOCK_TOKEN", raising=False)
    return found


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_init_writes_a_project_that_passes_its_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--json"]) == 0
    written = answer(capsys)["written"]
    assert set(written) == {"interlock.yaml", "playbooks/hello.yaml", "playbooks/tidy.yaml", "work/old.log"}
    assert main(["config", "check", "--json"]) == 0
    checked = answer(capsys)
    assert checked["agents"] == ["hello", "tidy"]
    assert checked["tools"] == {"workspace": "interlock.yaml"}
    assert checked["notes"] == []
    assert main(["config", "check"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ok"


def test_init_never_overwrites(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "interlock.yaml").write_text("agents: {}\n")
    assert main(["init", "--yes", "--json"]) == 0
    assert answer(capsys)["kept"] == ["interlock.yaml"]
    assert (folder / "interlock.yaml").read_text() == "agents: {}\n"


def test_init_asks_before_it_writes_among_other_things(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "thesis.txt").write_text("x")
    assert main(["init"]) == 2
    assert "is not empty (thesis.txt)" in (said := capsys.readouterr().err)
    assert "hint: interlock init --yes" in said
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_wrong_configuration_names_file_line_and_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "interlock.yaml").write_text("agents:\n  a:\n    tols: []\n")
    assert main(["config", "check"]) == 1
    error = capsys.readouterr().err
    assert f"{folder}/interlock.yaml:3: agents.a.tols: unknown key; did you mean 'tools'?" in error
    assert "code: config_invalid" in error


def test_a_wrong_playbook_is_found_by_the_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--json"]) == 0
    (folder / "playbooks" / "hello.yaml").write_text("version: 1\nsteps:\n  - cal: workspace.list\n")
    capsys.readouterr()
    assert main(["config", "check", "--json"]) == 1
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "playbook_invalid"
    assert "hello.yaml:3" in error["message"]


def test_the_schema_is_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert "agents" in answer(capsys)["properties"]


def test_nothing_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--json"]) == 0
    assert answer(capsys) == {"v": 1, "stopped": False, "running": False}
    assert main(["status"]) == 5
    assert "hint: interlock up" in capsys.readouterr().err


def test_a_second_up_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = folder.parent / "home"
    home.mkdir(mode=0o700)
    with only_one(home):
        write_running(home, Running("http://127.0.0.1:4242", 4242, "/p"))
        assert main(["up"]) == 1
        assert main(["up", "--detach"]) == 1
    assert capsys.readouterr().err.count("interlock already runs at http://127.0.0.1:4242 for /p") == 2


@pytest.mark.parametrize("words", [["--workers", "0"], ["--workers", "65"], ["--port", "-1"], ["--port", "65536"]])
def test_numbers_that_can_not_be(folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", *words]) == 2
    assert "is not between" in capsys.readouterr().err


def test_inputs() -> None:
    assert inputs_of(["a=1", "b:=[1, 2]", "c=x=y", "d="]) == {"a": "1", "b": [1, 2], "c": "x=y", "d": ""}
    for wrong in (["a"], ["=x"], ["a:=nope"], ["a=1", "a=2"]):
        with pytest.raises(UserError):
            inputs_of(wrong)


def test_only_what_was_given_is_sent() -> None:
    assert options_of(Options()) == {}
    assert options_of(Options(priority=0, delay="10s", input=["a=b"])) == {
        "priority": 0,
        "delay": "10s",
        "inputs": {"a": "b"},
    }


def test_one_resolution() -> None:
    assert resolution_of(Choice(go_on=True)) == "continue"
    for wrong in (Choice(), Choice(accept=True, fail=True)):
        with pytest.raises(UserError):
            resolution_of(wrong)


def test_what_a_halt_is_about() -> None:
    assert (scope_of(None, None), scope_of("a", None), scope_of(None, "git.log")) == ("all", "agent:a", "tool:git.log")
    with pytest.raises(UserError):
        scope_of("a", "git.log")


def test_a_head_that_was_noted() -> None:
    assert head_of("12:" + "ab" * 32) == (12, "ab" * 32)
    for wrong in ("", "12", "x:" + "ab" * 32, "0:" + "ab" * 32, "12:ab"):
        with pytest.raises(UserError):
            head_of(wrong)


def test_an_old_python_is_found() -> None:
    assert python_finding((3, 11, 0)).ok
    assert not python_finding((3, 10, 9)).ok


def test_a_taken_port_is_found(tmp_path: Path) -> None:
    settings = Settings.from_env({"INTERLOCK_HOME": str(tmp_path)})
    with socket.create_server(("127.0.0.1", 0)) as other:
        found = port_finding(settings, other.getsockname()[1])
    assert not found.ok
    assert found.required
    assert "is taken by another program" in found.found
    assert found.fix == "interlock up --port 0"
    assert port_finding(settings, 0).ok


def test_our_own_port_is_fine(tmp_path: Path) -> None:
    settings = Settings.from_env({"INTERLOCK_HOME": str(tmp_path)})
    with only_one(tmp_path):
        write_running(tmp_path, Running("http://127.0.0.1:4242", 4242, "/p"))
        found = port_finding(settings, 4242)
    assert found.ok
    assert found.found == "interlock runs at http://127.0.0.1:4242"


async def test_an_unfit_home_and_a_wrong_project_are_findings_too(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "p"
    home.mkdir()
    home.chmod(0o777)
    folder.mkdir()
    (folder / "interlock.yaml").write_text("agnts: {}\n")
    findings = {found.name: found for found in await check_all(folder, {"INTERLOCK_HOME": str(home)})}
    assert not findings["state folder"].ok
    assert findings["state folder"].fix == f"chmod 700 '{home}'"
    assert not findings["configuration"].ok
    assert "interlock.yaml:1" in findings["configuration"].found
    assert findings["python"].ok
    assert findings["python"].fix == ""
