"""A package of PyPI in a virtual environment of its own, from wheels only unless it may run code while it is built."""

import hashlib
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.model import InstallFailed
from interlock.tools.packages.built import HERE, Built
from interlock.tools.packages.running import Workshop
from interlock.tools.packages.spec import PackageSpec

if TYPE_CHECKING:
    from importlib.metadata import Distribution

BUILT_WITH = f"python {sys.version_info.major}.{sys.version_info.minor}"
_PIP_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONFIG_FILE")
_NOT_DELIVERED = frozenset({"INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json"})
_ELF = b"\x7fELF"
_SOURCE_ONLY = re.compile(
    r"No matching distribution|no wheels|has no usable wheels|Could not find a version", re.IGNORECASE
)


def build(spec: PackageSpec, version: str | None, parts: Mapping[str, str], shop: Workshop) -> Built:
    """Install a package into `env` below the workshop.

    Args:
        spec: what was asked for.
        version: the exact version to take; None leaves it to what was asked for.
        parts: versions of other packages to keep to, by name.
        shop: where and how long.

    Raises:
        InstallFailed: it can't be installed.
        OSError: a file can't be written.
    """
    from importlib.metadata import distributions

    tree = shop.folder / "env"
    wanted = [f"{spec.name}=={version}" if version else spec.requirement, *spec.requirements]
    constraints = shop.folder / "constraints.txt"
    constraints.write_text("".join(f"{name}=={number}\n" for name, number in parts.items()), encoding="utf-8")
    commands = _uv(tree, constraints, spec, shop) or _pip(tree, constraints, spec, shop)
    for command, what in commands[:-1]:
        shop.run(command, what)
    command, what = commands[-1]
    try:
        shop.run([*command, *wanted], f"{what} {spec.requirement}")
    except InstallFailed as error:
        raise _explained(error, spec) from error
    site = _site(tree)
    found = {_normal(dist.name): dist for dist in distributions(path=[str(site)]) if dist.name}
    main = found.get(spec.base_name)
    if main is None:
        raise InstallFailed(f"the installation of {spec.requirement} holds no such package")
    _make_runnable(found.values())
    return Built(
        tree=tree,
        version=main.version,
        integrity=_integrity(main),
        built_with=BUILT_WITH,
        parts={name: dist.version for name, dist in sorted(found.items()) if name not in (spec.base_name, "pip")},
        programs={name: words for name in _declared(main) if (words := words_of(tree, name)) is not None},
    )


def _pip(tree: Path, constraints: Path, spec: PackageSpec, shop: Workshop) -> list[tuple[list[str], str]]:
    """The environment, then pip; a pip beside the environment where there is one, which is quicker and leaves none."""
    python, venv = str(tree / "bin" / "python"), [sys.executable, "-I", "-m", "venv"]
    wheel = _pip_wheel()
    if wheel is None:
        pip = [python, "-I", "-m", "pip"]
    else:
        import zipfile

        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(shop.folder / "pip")
        venv, pip = [*venv, "--without-pip"], [python, "-I", str(shop.folder / "pip" / "pip")]
    wheels = ["--prefer-binary"] if spec.allows_build else ["--only-binary", ":all:"]
    quiet = [
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        "--no-warn-script-location",
        "--no-user",
    ]
    return [
        ([*venv, str(tree)], "the making of a virtual environment"),
        ([*pip, "install", *quiet, "-c", str(constraints), *wheels, "--"], "pip install"),
    ]


def _pip_wheel() -> Path | None:
    """The pip that comes with this Python, if it lies where it usually does."""
    places = [Path(sysconfig.get_path("stdlib")) / "ensurepip" / "_bundled", Path("/usr/share/python-wheels")]
    return next((found for place in places for found in sorted(place.glob("pip-*-py3-none-any.whl"))), None)


def _uv(tree: Path, constraints: Path, spec: PackageSpec, shop: Workshop) -> list[tuple[list[str], str]] | None:
    """The same with uv, if it is there and the settings of the user are not for pip, which uv does not read."""
    uv = shutil.which("uv", path=shop.env.get("PATH"))
    names = {name.upper() for name in shop.env}
    for_pip = names.intersection(_PIP_SETTINGS) and not any(
        name.startswith("UV_") and "INDEX" in name for name in names
    )
    if uv is None or for_pip:
        return None
    wheels = [] if spec.allows_build else ["--no-build"]
    python = [uv, "--no-progress", "--no-python-downloads"]
    install = ["pip", "install", "--python", str(tree / "bin" / "python"), "--link-mode", "copy", "--compile-bytecode"]
    return [
        ([*python, "venv", "--no-project", "--python", sys.executable, str(tree)], "uv venv"),
        ([*python, *install, "-c", str(constraints), *wheels, "--"], "uv pip install"),
    ]


def _explained(error: InstallFailed, spec: PackageSpec) -> InstallFailed:
    if spec.allows_build or not _SOURCE_ONLY.search(error.message):
        return error
    why = (
        f"there is no {spec.requirement} that fits, or it or a package that it needs exists as source only; building "
        "runs its code, which is not done unless `overrides` has '--allow-build'"
    )
    return InstallFailed(f"{why}\n{error.message}", hint="check the name and the version in the configuration")


def _make_runnable(installed: Iterable["Distribution"]) -> None:
    """Let compiled programs among the files of packages be run: some wheels lack that permission.

    Such packages give it to themselves at their first start, which is too late: then their files are read-only.
    """
    for dist in installed:
        for file in dist.files or ():
            path = Path(str(dist.locate_file(file)))
            if file.suffix or ".." in file.parts or path.is_symlink() or not path.is_file():
                continue
            with path.open("rb") as content:
                is_program = content.read(len(_ELF)) == _ELF
            if is_program:
                path.chmod(path.stat().st_mode | 0o111)


def _site(tree: Path) -> Path:
    return tree / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _integrity(main: "Distribution") -> str:
    """A hash of the hashes of all files that the wheel brought, whoever unpacked it and wherever."""
    delivered = sorted(
        f"{file.as_posix()} {file.hash.mode}={file.hash.value}"
        for file in main.files or ()
        if file.hash is not None
        and ".." not in file.parts
        and file.name not in _NOT_DELIVERED
        and file.suffix != ".pyc"
    )
    return "record-sha256:" + hashlib.sha256("\n".join(delivered).encode()).hexdigest()


def _declared(main: "Distribution") -> Iterable[str]:
    """The names of the programs that a package brings; written in Python or not."""
    scripts = {entry.name for entry in main.entry_points if entry.group == "console_scripts"}
    return sorted(
        scripts | {file.name for file in main.files or () if file.parts[-2:-1] == ("bin",) and ".." in file.parts}
    )


def words_of(tree: Path, name: str) -> tuple[str, ...] | None:
    """How to start a program of an environment; None if there is no such program in it."""
    path = tree / "bin" / name
    if "/" in name or name in ("", ".", "..") or not path.is_file() or not os.access(path, os.X_OK):
        return None
    script = f"{HERE}/bin/{name}"
    return (f"{HERE}/bin/python", script) if _is_python(path) else (script,)


def _is_python(path: Path) -> bool:
    """Whether a program is a Python script; one with a long path has a first line for the shell, which hands it on."""
    with path.open("rb") as file:
        first, second = file.readline(4096), file.readline(4096)
    return first.startswith(b"#!") and (b"python" in first or second.startswith(b"'''exec"))


def relocate(tree: Path, final: Path) -> None:
    """Make an environment that is about to be moved name its new place in its scripts.

    Raises:
        OSError: a script can't be written.
    """
    old, new = os.fsencode(tree), os.fsencode(final)
    for path in [*(tree / "bin").iterdir(), tree / "pyvenv.cfg"]:
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            is_text = (
                path.name == "pyvenv.cfg" or path.name.startswith(("activate", "Activate")) or file.read(2) == b"#!"
            )
        if is_text and old in (content := path.read_bytes()):
            path.write_bytes(content.replace(old, new))
