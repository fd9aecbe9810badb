"""How the programs of an installation are started, whatever they are written in."""

import json
from pathlib import Path

import pytest

from interlock.tools.packages import npm, pypi


def place(path: Path, content: str | bytes, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("content", "by_python"),
    [
        ("#!/x/env/bin/python\nimport sys\n", True),
        ("#!/bin/sh\n'''exec' '/a long/path/bin/python' \"$0\" \"$@\"\n' '''\nimport sys\n", True),
        ("#!/bin/sh\necho python\n", False),
        (b"\x7fELF\0\0python", False),
    ],
)
def test_programs_of_an_environment(tmp_path: Path, content: str | bytes, by_python: bool) -> None:
    place(tmp_path / "bin/x", content, 0o755)
    words = ("{folder}/bin/python", "{folder}/bin/x") if by_python else ("{folder}/bin/x",)
    assert pypi.words_of(tmp_path, "x") == words


@pytest.mark.parametrize("name", ["absent", "folder", "plain", "", ".", "..", "../outside", "/bin/sh"])
def test_what_is_no_program_of_an_environment(tmp_path: Path, name: str) -> None:
    (tmp_path / "env/bin/folder").mkdir(parents=True)
    place(tmp_path / "env/bin/plain", "#!/bin/sh\n")
    place(tmp_path / "env/outside", "#!/bin/sh\n", 0o755)
    assert pypi.words_of(tmp_path / "env", name) is None


def test_an_environment_that_moves_names_its_new_place(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "far/away/new"
    script = place(old / "bin/x", f"#!{old}/bin/python\n'{old}'\n", 0o755)
    binary = place(old / "bin/y", b"\x7fELF" + bytes(str(old), "ascii"), 0o755)
    place(old / "pyvenv.cfg", f"command = python -m venv {old}\n")
    (old / "bin/python").symlink_to("/usr/bin/env")
    pypi.relocate(old, new)
    assert script.read_text() == f"#!{new}/bin/python\n'{new}'\n"
    assert script.stat().st_mode & 0o777 == 0o755
    assert binary.read_bytes() == b"\x7fELF" + bytes(str(old), "ascii")
    assert str(new) in (old / "pyvenv.cfg").read_text()


@pytest.mark.parametrize(
    ("file", "content", "mode", "words"),
    [
        ("dist/index.js", "#!/usr/bin/env node\n", 0o644, ("{node}", "{folder}/node_modules/@s/n/dist/index.js")),
        ("./cli.js", "x", 0o755, ("{node}", "{folder}/node_modules/@s/n/cli.js")),
        ("cli", "#!/usr/bin/env node\n", 0o755, ("{node}", "{folder}/node_modules/@s/n/cli")),
        ("cli", "no first line", 0o644, ("{node}", "{folder}/node_modules/@s/n/cli")),
        (
            "cli.mjs",
            "#!/usr/bin/env -S node --no-warnings x\n",
            0o755,
            ("{node}", "--no-warnings", "{folder}/node_modules/@s/n/cli.mjs"),
        ),
        ("bin/x", b"\x7fELF\xff\xfe", 0o755, ("{folder}/node_modules/@s/n/bin/x",)),
        ("run.sh", "#!/bin/bash\n", 0o755, ("{folder}/node_modules/@s/n/run.sh",)),
        ("run.sh", "#!/bin/bash\n", 0o644, None),
    ],
)
def test_programs_of_an_npm_package(
    tmp_path: Path, file: str, content: str | bytes, mode: int, words: tuple[str, ...] | None
) -> None:
    place(tmp_path / "node_modules/@s/n" / file, content, mode)
    assert npm.words_of(tmp_path, "@s/n", file) == words


@pytest.mark.parametrize("file", ["absent.js", "../other/x.js", "/etc/passwd", "link.js", "", "dist"])
def test_no_file_outside_of_an_npm_package_is_started(tmp_path: Path, file: str) -> None:
    tree = tmp_path / "env"
    place(tree / "node_modules/other/x.js", "")
    outside = place(tmp_path / "x.js", "")
    (tree / "node_modules/n/dist").mkdir(parents=True)
    (tree / "node_modules/n/link.js").symlink_to(outside)
    assert npm.words_of(tree, "n", file) is None


def test_what_a_package_of_npm_declares(tmp_path: Path) -> None:
    for name in ("a.js", "b.js"):
        place(tmp_path / "node_modules/@s/n" / name, "")
    for declared, names in (
        ("a.js", ["n"]),
        ({"a": "a.js", "b": "./b.js", "c": "absent.js", "d": "../../x"}, ["a", "b"]),
        (None, []),
        (5, []),
    ):
        described = json.loads(json.dumps({"bin": declared}))
        assert sorted(npm.declared(tmp_path, "@s/n", described)) == names
