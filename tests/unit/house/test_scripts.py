"""The scripts a newcomer types first: they are complete, and say what to do where they can't go on."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = ("setup", "demo", "check", "test", "torture")
NEEDED = ("bash", "dirname", "cat", "cksum", "mktemp", "mkdir", "rm", "ln", "tail")
OLD = '#!/bin/sh\ncase "$*" in *platform*) echo 3.9.2 ;; *) exit 1 ;; esac\n'
NO_VENV = '#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; *platform*) echo 3.11.2 ;; *) exit 0 ;; esac\n'


@pytest.fixture
def clone(tmp_path: Path, root: Path) -> Path:
    """A clone that holds the scripts only, at a path with a space."""
    clone = tmp_path / "a clone"
    shutil.copytree(root / "scripts", clone / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("uv.lock", "pyproject.toml"):
        (clone / name).write_text("", encoding="utf-8")
    return clone


def run(clone: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/setup where `python3` is the given shell script, and no other Python is there."""
    programs = clone.parent / "programs"
    programs.mkdir()
    for name in NEEDED:
        (programs / name).symlink_to(shutil.which(name) or "/missing")
    if python:
        (programs / "python3").write_text(python, encoding="utf-8")
        (programs / "python3").chmod(0o755)
    return subprocess.run(
        [str(programs / "bash"), str(clone / "scripts" / "setup")],
        env={"PATH": str(programs)},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize(("python", "found"), [(OLD, "python3=3.9.2"), ("", "none")])
def test_a_python_that_does_not_fit_is_named_with_what_to_do(clone: Path, python: str, found: str) -> None:
    done = run(clone, python)
    assert done.returncode == 1
    assert f"Python 3.11 to 3.14 is needed; found: {found}\n" in done.stderr
    assert "hint: install one" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_names_the_package(clone: Path) -> None:
    done = run(clone, NO_VENV)
    assert done.returncode == 1
    assert "ensurepip are missing" in done.stderr
    assert "apt-get install python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("name", [*(f"scripts/{script}" for script in SCRIPTS), ".ci/run"])
def test_a_script_can_be_run_and_stops_at_the_first_error(root: Path, name: str) -> None:
    path = root / name
    assert os.access(path, os.X_OK)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines


def test_ci_runs_what_a_person_runs(root: Path) -> None:
    lines = (root / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-2:] == ["scripts/check", "scripts/test"]


def test_the_map_fits_on_one_page(root: Path) -> None:
    assert len((root / "AGENTS.md").read_text(encoding="utf-8").splitlines()) <= 60


def test_the_map_names_every_room_and_script(root: Path) -> None:
    text = (root / "AGENTS.md").read_text(encoding="utf-8")
    rooms = [path.parent.name for path in (root / "src" / "interlock").glob("*/__init__.py")]
    missing = [room for room in rooms if f"`{room}`" not in text]
    missing += [script for script in SCRIPTS if script != "setup" and f"scripts/{script}" not in text]
    assert missing == []
