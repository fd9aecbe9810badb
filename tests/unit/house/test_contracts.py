"""The import contracts: up to date, kept by all that the table allows, broken by all that it forbids.

The planted trees are made up of tiny modules, so that these tests do not depend on what the rooms hold today.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

RUNS = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as run; run()"


@dataclass(frozen=True)
class Report:
    """What lint-imports said: its exit status, and for each broken contract the text that explains it."""

    status: int
    broken: dict[str, str]
    text: str


def lint(tree: Path, contracts: ModuleType) -> Report:
    """Run lint-imports on the package `interlock` below `tree`."""
    (tree / ".importlinter").write_text(contracts.render(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUNS, "--no-logo", "--no-cache"],
        cwd=tree,
        env={**os.environ, "COLUMNS": "400", "NO_COLOR": "1", "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    _, _, details = done.stdout.partition("Broken contracts")
    parts = re.split(r"^(.+)\n-{3,}\n", details, flags=re.MULTILINE)
    return Report(done.returncode, dict(zip(parts[1::2], parts[2::2], strict=True)), done.stdout + done.stderr)


def module(tree: Path, dotted: str, imports: list[str]) -> None:
    """Write the module `interlock.<dotted>` that imports what is named, nothing else."""
    path = tree / "interlock" / Path(*dotted.split("."))
    target = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    target.write_text("".join(f"import {name}\n" for name in imports), encoding="utf-8")


def skeleton(tree: Path, contracts: ModuleType) -> Path:
    """A tree with every room, each with a door and an inside, that uses all it may use."""
    for room in contracts.USES:
        (tree / "interlock" / room).mkdir(parents=True)
        module(tree, room, [f"interlock.{room}.inside"])
        libraries = [library for library, home in contracts.HOME.items() if room in home.split()]
        doors = [f"interlock.{other}" for other in contracts.USES[room].split()]
        module(tree, f"{room}.inside", doors + libraries)
    (tree / "interlock" / "__init__.py").touch()
    module(tree, "__main__", ["interlock.cli"])
    return tree


def plant_all(tree: Path, contracts: ModuleType) -> None:
    """Plant every import that the table forbids, each kind in a module of its own."""
    for room in contracts.USES:
        allowed = contracts.USES[room].split()
        for other in contracts.USES:
            if other != room:
                module(tree, f"{room}.peek_{other}", [f"interlock.{other}.inside"])
            if other != room and other not in allowed:
                module(tree, f"{room}.use_{other}", [f"interlock.{other}"])
        for library, home in contracts.HOME.items():
            if room not in home.split():
                module(tree, f"{room}.vendor_{library}", [library])


@pytest.fixture(scope="session")
def contracts(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("contracts")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, contracts: ModuleType) -> Report:
    tree = skeleton(tmp_path_factory.mktemp("planted"), contracts)
    plant_all(tree, contracts)
    return lint(tree, contracts)


def test_the_committed_file_is_what_the_table_says(root: Path, contracts: ModuleType) -> None:
    assert (root / ".importlinter").read_text(encoding="utf-8") == contracts.render()
    assert contracts.main(["--check"]) == 0


def test_there_is_no_exception_list(contracts: ModuleType) -> None:
    assert "ignore_imports" not in contracts.render()
    assert contracts.render().count("exhaustive_ignores") == 1


def test_the_table_names_each_room_once_on_a_floor(root: Path, contracts: ModuleType) -> None:
    on_floors = [room.strip() for floor in contracts.FLOORS for room in floor.split("|")]
    rooms = [path.parent.name for path in (root / "src" / "interlock").glob("*/__init__.py")]
    assert sorted(on_floors) == sorted(contracts.USES) == sorted(rooms)


def test_only_the_gate_uses_tools_and_models(contracts: ModuleType) -> None:
    def users(room: str) -> set[str]:
        return {user for user, used in contracts.USES.items() if room in used.split()}

    # `app` wires the rooms together, `testing` builds fakes of them; no room that acts for an agent is among them.
    assert users("tools") == users("inference") == {"guardrails", "app", "testing"}
    assert users("servers") == set()


def test_all_that_the_table_allows_is_kept(tmp_path: Path, contracts: ModuleType) -> None:
    report = lint(skeleton(tmp_path, contracts), contracts)
    assert report.status == 0, report.text
    assert "0 broken" in report.text


@pytest.mark.parametrize(
    ("room", "other"),
    [
        ("agent", "tools"),
        ("orchestrator", "tools"),
        ("agent", "inference"),
        ("orchestrator", "inference"),
        ("server", "guardrails"),
        ("server", "tools"),
        ("memory", "inference"),
        ("store", "orchestrator"),
        ("guardrails", "agent"),
        ("tools", "servers"),
        ("app", "servers"),
        ("cli", "servers"),
    ],
)
def test_a_way_around_a_door_is_named(planted: Report, contracts: ModuleType, room: str, other: str) -> None:
    assert planted.status != 0
    explained = planted.broken[f"{room} uses only: {contracts.USES[room] or 'nothing'}"]
    assert f"interlock.{room}.use_{other} -> interlock.{other} " in explained


@pytest.mark.parametrize(
    ("room", "library"),
    [
        ("store", "dbos"),
        ("agent", "pydantic_ai"),
        ("agent", "subprocess"),
        ("orchestrator", "subprocess"),
        ("guardrails", "mcp"),
        ("app", "psycopg"),
        ("agent", "httpx"),
    ],
)
def test_a_library_away_from_home_is_named(planted: Report, contracts: ModuleType, room: str, library: str) -> None:
    explained = planted.broken[f"{library} lives only in: {contracts.HOME[library]}"]
    assert f"interlock.{room}.vendor_{library} -> {library} " in explained


def test_every_import_that_the_table_forbids_is_named(planted: Report, contracts: ModuleType) -> None:
    missed = []
    for room, allowed in contracts.USES.items():
        used = planted.broken[f"{room} uses only: {allowed or 'nothing'}"]
        entered = planted.broken[f"{room} is entered only by its door"]
        for other in contracts.USES:
            if other != room and f"interlock.{other}.peek_{room} -> interlock.{room}.inside " not in entered:
                missed.append(f"{other} into {room}")
            if other not in (room, *allowed.split()) and f"interlock.{room}.use_{other} ->" not in used:
                missed.append(f"{room} to {other}")
    for library, home in contracts.HOME.items():
        explained = planted.broken[f"{library} lives only in: {home}"]
        away = [room for room in contracts.USES if room not in home.split()]
        missed += [f"{room} to {library}" for room in away if f"interlock.{room}.vendor_{library} ->" not in explained]
    assert missed == []
    assert "Imports only go down" in planted.broken


def test_an_undeclared_room_is_named(tmp_path: Path, contracts: ModuleType) -> None:
    tree = skeleton(tmp_path, contracts)
    (tree / "interlock" / "attic").mkdir()
    module(tree, "attic", ["interlock.tools"])
    report = lint(tree, contracts)
    assert report.status != 0
    assert "attic" in report.text
