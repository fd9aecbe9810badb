import os
from pathlib import Path

import pytest

from interlock.sandbox import Confinement, needed
from interlock.sandbox.places import Show, View, homes, view_of

PROGRAM = Path("/usr/bin/env")


def shows(confinement: Confinement) -> dict[Path, Show]:
    return dict(view_of(confinement, PROGRAM, ()).places)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("project/sub", "state/x/home", "state/keys"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path.resolve()


def test_only_the_system_and_private_places_are_there_by_themselves() -> None:
    found = shows(Confinement())
    assert found[Path("/usr")] is Show.READ
    assert found[Path("/tmp")] is Show.EMPTY
    assert Show.WRITE not in found.values()
    assert not any(home in found for home in homes())
    assert Path("/run") not in found


def test_grants_add_up_and_the_state_folder_stays_hidden(folder: Path) -> None:
    state, home = folder / "state", folder / "state" / "x" / "home"
    asked = Confinement(
        read=(folder, folder / "project", state / "keys"), write=(folder / "project",), home=home, hidden=(state,)
    )
    found = shows(asked)
    assert found[folder] is Show.READ
    assert found[folder / "project"] is Show.WRITE
    assert found[state] is Show.HIDE
    assert found[home] is Show.WRITE
    assert state / "keys" not in found
    assert list(found).index(state) < list(found).index(home)


def test_a_write_grant_covers_a_read_grant_inside(folder: Path) -> None:
    found = shows(Confinement(read=(folder / "project" / "sub",), write=(folder / "project",)))
    assert folder / "project" / "sub" not in found


def test_parts_of_the_program_are_shown_even_in_the_state_folder(folder: Path) -> None:
    found = shows(Confinement(hidden=(folder / "state",), shown=(folder / "state" / "x",)))
    assert found[folder / "state" / "x"] is Show.READ
    assert found[folder / "state"] is Show.HIDE


def test_what_is_not_there_is_left_out(folder: Path) -> None:
    assert folder / "nope" not in shows(Confinement(read=(folder / "nope",), hidden=(folder / "never",)))


def test_all_that_is_hidden_is_taken_out_of_a_grant(folder: Path) -> None:
    view = view_of(Confinement(read=(Path("/"),), hidden=(folder / "state",)), PROGRAM, ())
    out = view.below(Path("/"))
    assert {folder / "state", Path("/tmp")} <= set(out)
    assert any(home in out for home in homes())


def test_the_kernel_s_own_places_can_t_be_granted() -> None:
    found = shows(Confinement(read=(Path("/proc"), Path("/dev")), write=(Path("/proc/sys"),)))
    assert not any(str(path).startswith("/proc") or path == Path("/dev") for path in found)


def test_a_link_is_kept_so_that_the_name_works(folder: Path) -> None:
    link = folder / "link"
    link.symlink_to("project")
    view = view_of(Confinement(read=(link,)), PROGRAM, ())
    assert isinstance(view, View)
    assert dict(view.places)[folder / "project"] is Show.READ
    assert (link, folder / "project") in view.links


def tool(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_programs_of_the_system_need_nothing() -> None:
    assert needed(Path("/bin/sh"), os.defpath) == ()


def test_a_program_needs_its_installation(tmp_path: Path) -> None:
    assert needed(tool(tmp_path / "node-20" / "bin" / "node"), "") == (tmp_path / "node-20",)
    assert needed(tool(tmp_path / "plain" / "server"), "") == (tmp_path / "plain",)


def test_a_program_of_a_virtual_environment_needs_it_and_its_python(tmp_path: Path) -> None:
    tool(tmp_path / "base" / "bin" / "python3")
    venv = tmp_path / "venv"
    program = tool(venv / "bin" / "serve", f"#!{venv}/bin/python\n")
    (venv / "bin" / "python").symlink_to(tmp_path / "base" / "bin" / "python3")
    (venv / "pyvenv.cfg").write_text(f"home = {tmp_path}/base/bin\n")
    assert set(needed(program, "")) == {venv, tmp_path / "base"}


def test_a_program_of_npm_needs_its_modules_and_node(tmp_path: Path) -> None:
    node = tool(tmp_path / "node" / "bin" / "node")
    entry = tool(tmp_path / "app" / "node_modules" / "it" / "dist" / "index.js", "#!/usr/bin/env node\n")
    link = tmp_path / "app" / "node_modules" / ".bin" / "it"
    link.parent.mkdir()
    link.symlink_to("../it/dist/index.js")
    assert set(needed(link, str(node.parent))) == {tmp_path / "app" / "node_modules", tmp_path / "node"}
    assert needed(entry, "") == (tmp_path / "app" / "node_modules",)


def test_a_program_in_a_home_folder_does_not_open_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "me"
    monkeypatch.setenv("HOME", str(home))
    for name in ("server", "bin/server", ".local/bin/server"):
        program = tool(home / name)
        places = needed(program, "")
        assert places in ((program,), (program.parent,))
        assert home not in places
        assert home / ".local" not in places


def test_a_script_with_an_odd_first_line_is_no_obstacle(tmp_path: Path) -> None:
    for text in ("#!\n", "#!/usr/bin/env\n", "#!/usr/bin/env -S\n", "#! relative\n", "\x00\xff"):
        assert needed(tool(tmp_path / "odd" / "x", text), "") == (tmp_path / "odd",)
