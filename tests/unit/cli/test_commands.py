"""The table of commands, and what the command line makes of wrong words."""

import inspect
import json
import pkgutil

import pytest

from interlock import __version__
from interlock.cli import main
from interlock.cli.commands import GROUPS, Entry, build, entries, group_page, overview

ALL = list(entries())
PROMISED = (
    "demo init up down status doctor worker submit approve deny undo halt resume bench version",
    "config check|schema|apply|versions|diff|rollback",
    "tasks list|show|watch|export|cancel|retry|resolve",
    "queue pause|resume|drain",
    "schedules list|pause|resume|trigger",
    "triggers list|test",
    "approvals list|show",
    "calls show|resolve",
    "agents list|show",
    "tools list|show|pin|restart|test|login|install|classify",
    "audit list|verify|export",
    "db migrate",
    "tokens create|list|revoke",
    "mcp serve",
)


def promised() -> set[str]:
    found = set(PROMISED[0].split())
    for line in PROMISED[1:]:
        group, names = line.split()
        found |= {f"{group} {name}" for name in names.split("|")}
    return found


def test_every_promised_command_is_there() -> None:
    assert {" ".join(entry.words) for entry in ALL} == promised()
    assert {entry.words[0] for entry in ALL if len(entry.words) > 1} == set(GROUPS)


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: " ".join(entry.words))
def test_every_command_can_be_loaded_takes_json_and_explains_itself(
    entry: Entry, capsys: pytest.CaptureFixture[str]
) -> None:
    command = pkgutil.resolve_name(f"interlock.cli.{entry.target}")
    assert "json" in inspect.signature(command).parameters
    assert main([*entry.words, "--help"]) == 0
    page = capsys.readouterr().out
    assert "--json" in page
    assert (inspect.getdoc(command) or "?").splitlines()[0] in page


def test_the_overview_names_every_command_and_fits_a_terminal() -> None:
    page = overview()
    for entry in ALL:
        assert any(line.startswith(f"  {' '.join(entry.words)} ") and entry.help in line for line in page)
    assert max(len(line) for line in page) <= 110
    assert max(len(line) for group in GROUPS for line in group_page(group)) <= 110


def test_the_parser_knows_every_command_without_loading_one() -> None:
    app = build()
    for entry in ALL:
        place = app
        for word in entry.words[:-1]:
            place = place[word]
        assert entry.words[-1] in list(place)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tsks"], "there is no command 'tsks'. Did you mean 'tasks'?"),
        (["tasks", "lst"], "there is no command 'tasks lst'. Did you mean 'list'?"),
        (["db", "xyzzy"], "there is no command 'db xyzzy'; there are: migrate"),
        (["frobnicate"], "there is no command 'frobnicate'"),
        (["up", "--prt", "3"], "Unknown option: --prt. Did you mean --port?"),
        (["up", "--port", "x"], "Invalid value for --port: 'x' is no whole number"),
        (["submit", "hello"], "interlock submit: --agent is missing"),
        (["deny", "1234"], "interlock deny: --reason is missing"),
        (["tasks", "show"], "interlock tasks show: TASK is missing"),
    ],
)
def test_a_wrong_command_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == f"error: {said}"
    assert err.splitlines()[1].startswith("hint: interlock ")
    assert "Traceback" not in err


def test_a_wrong_command_line_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tsks", "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "usage"
    assert "tasks" in error["message"]


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == overview()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"v", "version", "python", "platform"}
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
