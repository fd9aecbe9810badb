"""The installed packages of a state folder: find one without any delay, install one, forget one.

    <home>/packages.lock.json                                what each package became
    <home>/tools/packages/<registry>/<name>/<version>        one installation; with `+hash` for its overrides

One is built beside its place and renamed into it when it is whole, under a lock per package. A crash leaves a folder
that nothing counts, and that the next installation of the package takes away.
"""

import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from threading import Event

from interlock.config import Clock, fault_point
from interlock.model import InstallFailed
from interlock.tools.packages import npm, pypi
from interlock.tools.packages.built import HERE, NODE, Built, chosen
from interlock.tools.packages.locks import held
from interlock.tools.packages.records import Mark, Record, Records
from interlock.tools.packages.running import BUILD_S, Workshop, install_env
from interlock.tools.packages.spec import PackageSpec

_AT_ONCE = 2
_PATIENCE_S = 2 * BUILD_S
_NEW, _OLD = ".new-", ".old-"


@dataclass(frozen=True)
class Installed:
    """A package that can be started.

    Attributes:
        version: what it is.
        integrity: a hash of what the registry delivered.
        folder: all of it; must be readable where it runs.
        argv: what starts its program, the first word a full path; `spec.args` follow it.
    """

    spec: PackageSpec
    version: str
    integrity: str
    folder: Path
    argv: tuple[str, ...]


class Packages:
    """The installed packages of one state folder; shared by threads and processes."""

    def __init__(self, home: Path, env: Mapping[str, str], clock: Clock) -> None:
        """Nothing is read or made yet.

        Args:
            home: the state folder.
            env: for the search path, proxies and the settings of pip, uv and npm.
            clock: tells when something was installed.
        """
        self._root = home.absolute() / "tools" / "packages"
        self._records = Records(home.absolute())
        self._env = env
        self._clock = clock
        self.failures: dict[str, tuple[float, InstallFailed]] = {}

    @cached_property
    def workers(self) -> ThreadPoolExecutor:
        """Threads to install in, few, so that neither the machine nor other work in threads has to wait."""
        return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="install")

    def find(self, spec: PackageSpec) -> Installed | None:
        """An installed package, or None. Reads two small files.

        Raises:
            InstallFailed: it is there and can't be started: its program is not clear, or node is missing; or the
                record of packages can't be read.
        """
        record = self._records.find(spec.key)
        if record is None:
            return None
        folder = self._place(spec, record.version)
        mark = Mark.read(folder)
        return self._ready(spec, mark, folder) if mark is not None else None

    def install(self, spec: PackageSpec, *, upgrade: bool = False, stop: Event | None = None) -> Installed:
        """Install a package unless it is there; waits for another process that is at it. Takes seconds to minutes.

        Args:
            spec: what is asked for; what it became before stays.
            upgrade: resolve it and what it needs anew, and accept what that gives; what still runs must be restarted.
            stop: set from elsewhere to end it.

        Raises:
            InstallFailed: it can't be installed; nothing has changed.
        """
        stop = stop or Event()
        try:
            with held(self._lock(spec), time.monotonic() + _PATIENCE_S, stop):
                found = None if upgrade else self.find(spec)
                return found or self._install(spec, upgrade, stop)
        except OSError as error:
            raise InstallFailed(f"{spec.requirement} can't be installed: {error.strerror}") from error

    def installed(self) -> tuple[Installed, ...]:
        """All packages that are installed, in order; without `argv` where it is not clear which program is meant.

        Raises:
            InstallFailed: the record of packages can't be read.
        """
        found = []
        for record in self._records.all().values():
            folder = self._place(record.spec, record.version)
            if (mark := Mark.read(folder)) is None:
                continue
            try:
                entry = self._ready(record.spec, mark, folder)
            except InstallFailed:
                entry = None
            found.append(entry or Installed(record.spec, mark.version, mark.integrity, folder, ()))
        return tuple(found)

    def remove(self, spec: PackageSpec) -> bool:
        """Forget a package, and delete it unless another entry of the record uses it; False if it was not there.

        Raises:
            InstallFailed: it can't be deleted, or is being installed all the time.
        """
        stop = Event()
        try:
            with held(self._lock(spec), time.monotonic() + _PATIENCE_S, stop):
                record = self._records.find(spec.key)
                if record is None:
                    return False
                self._records.drop(spec.key)
                folder = self._place(spec, record.version)
                used = {self._place(other.spec, other.version) for other in self._records.all().values()}
                if folder not in used:
                    self._discard(folder)
                return True
        except OSError as error:
            raise InstallFailed(f"{spec.requirement} can't be removed: {error.strerror}") from error

    # ---- one installation --------------------

    def _install(self, spec: PackageSpec, upgrade: bool, stop: Event) -> Installed:
        before = None if upgrade else self._records.find(spec.key)
        version = before.version if before else spec.version if spec.exact else None
        folder = self._place(spec, version) if version else None
        mark = Mark.read(folder) if folder and not upgrade and self._works(folder) else None
        if folder is None or mark is None:
            with self._workshop(spec, stop) as shop:
                built = _build(spec, version, before, shop)
                self._compare(spec, before, built)
                mark = Mark(built.version, built.integrity, built.built_with, built.parts, built.programs)
                folder = self._place(spec, built.version)
                self._ready(spec, mark, built.tree)
                self._put(built, mark, folder)
        found = self._ready(spec, mark, folder)
        if found is None:
            raise InstallFailed(f"{spec.requirement} was installed, but its interpreter can't be run")
        self._records.keep(self._record(spec, mark))
        return found

    def _compare(self, spec: PackageSpec, before: Record | None, built: Built) -> None:
        """The same version for the same machine must be the same files.

        Raises:
            InstallFailed: it is not.
        """
        if before is None or before.built_with != built.built_with or before.integrity in ("", built.integrity):
            return
        raise InstallFailed(
            f"{spec.name} {built.version} is not what was installed before under that version",
            hint="if that is right: interlock tools install --upgrade",
        )

    def _put(self, built: Built, mark: Mark, folder: Path) -> None:
        """Bring a tree to its place, whole."""
        if Mark.read(folder) == mark and self._works(folder):
            return  # the same is there, and may be running
        if mark.built_with == pypi.BUILT_WITH:
            pypi.relocate(built.tree, folder)
        mark.write(built.tree)
        fault_point("package.built")
        self._discard(folder)
        built.tree.rename(folder)
        fault_point("package.placed")

    def _works(self, folder: Path) -> bool:
        """Whether the interpreter that an environment points to is still there."""
        python = folder / "bin" / "python"
        return python.exists() or not python.is_symlink()

    @contextmanager
    def _workshop(self, spec: PackageSpec, stop: Event) -> Iterator[Workshop]:
        """An empty folder beside the place; what crashes left behind is taken away first, and it itself afterwards."""
        above = self._above(spec)
        above.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in above.iterdir():
            if path.name.startswith((_NEW, _OLD)):
                shutil.rmtree(path, ignore_errors=True)
        folder = above / f"{_NEW}{secrets.token_hex(6)}"
        home = folder / "home"
        home.mkdir(mode=0o700, parents=True)
        try:
            yield Workshop(folder, _workshop_env(self._env, home), time.monotonic() + BUILD_S, stop)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _discard(self, folder: Path) -> None:
        """Delete an installation so that half of it never stands in its place."""
        aside = folder.with_name(f"{_OLD}{secrets.token_hex(6)}")
        try:
            folder.rename(aside)
        except FileNotFoundError:
            return
        shutil.rmtree(aside, ignore_errors=True)

    # ---- names and words --------------------

    def _above(self, spec: PackageSpec) -> Path:
        return self._root / spec.registry / spec.base_name

    def _place(self, spec: PackageSpec, version: str) -> Path:
        if not version or "/" in version or version.startswith("."):
            raise InstallFailed(f"{spec.name} has no usable version")
        return self._above(spec) / spec.folder_name(version)

    def _lock(self, spec: PackageSpec) -> Path:
        return self._root / ".locks" / f"{spec.registry}-{spec.base_name.replace('/', '+')}"

    def _record(self, spec: PackageSpec, mark: Mark) -> Record:
        return Record(
            registry=spec.registry,
            name=spec.name,
            requested=spec.version,
            overrides=spec.overrides,
            version=mark.version,
            integrity=mark.integrity,
            built_with=mark.built_with,
            parts=mark.parts,
            installed_at=self._clock.now().isoformat(timespec="seconds"),
        )

    def _ready(self, spec: PackageSpec, mark: Mark, folder: Path) -> Installed | None:
        """An installation with what starts it; None if its interpreter is gone.

        Raises:
            InstallFailed: its program is not clear, or node is missing.
        """
        words = chosen(spec, mark.programs, partial(_other, spec, folder))
        node = npm.node_of(self._env) if NODE in words else ""
        if node is None:
            raise InstallFailed(f"node is needed for {spec.name} and is not there", hint=npm.INSTALL_NODE)
        argv = tuple(word.replace(HERE, str(folder)) if word != NODE else node for word in words)
        if not os.access(argv[0], os.X_OK):
            return None
        return Installed(spec, mark.version, mark.integrity, folder, argv)


def _build(spec: PackageSpec, version: str | None, before: Record | None, shop: Workshop) -> Built:
    if spec.registry == "npm":
        return npm.build(spec, version, shop)
    return pypi.build(spec, version, before.parts if before else {}, shop)


def _other(spec: PackageSpec, folder: Path, entry: str) -> tuple[str, ...] | None:
    """What starts a program that the package itself does not declare."""
    return pypi.words_of(folder, entry) if spec.registry == "pypi" else npm.words_of(folder, spec.name, entry)


def _workshop_env(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment to build in; caches last as long as the workshop, unless the user has named others."""
    known = install_env(env, home)
    names = {name.upper() for name in known}
    caches = {"UV_CACHE_DIR": str(home / "uv"), "NPM_CONFIG_CACHE": str(home / "npm")}
    if "PIP_CACHE_DIR" not in names:
        caches["PIP_NO_CACHE_DIR"] = "1"
    return {**{name: value for name, value in caches.items() if name not in names}, **known, "TMPDIR": str(home)}
