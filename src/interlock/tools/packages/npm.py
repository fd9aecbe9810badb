"""A package of npm in a folder of its own; its install scripts never run unless the configuration says so."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from interlock.model import InstallFailed
from interlock.tools.packages.built import HERE, NODE, Built
from interlock.tools.packages.running import Workshop
from interlock.tools.packages.spec import PackageSpec

BUILT_WITH = "node"
INSTALL_NODE = "apt-get install nodejs npm"
_MAX_BYTES = 32 * 1024 * 1024
_OPTIONS = ("--no-audit", "--no-fund", "--no-update-notifier", "--no-progress", "--loglevel=error", "--package-lock")
_SCRIPT_SUFFIXES = frozenset({".js", ".mjs", ".cjs"})


def build(spec: PackageSpec, version: str | None, shop: Workshop) -> Built:
    """Install a package into `env` below the workshop.

    Args:
        spec: what was asked for.
        version: the exact version to take; None leaves it to what was asked for.
        shop: where and how long.

    Raises:
        InstallFailed: it can't be installed, or npm is not there.
        OSError: a file can't be written.
    """
    npm = shutil.which("npm", path=shop.env.get("PATH"))
    if npm is None or node_of(shop.env) is None:
        raise InstallFailed("node and npm are needed for this package and are not there", hint=INSTALL_NODE)
    tree = shop.folder / "env"
    tree.mkdir(mode=0o700)
    manifest = {
        "name": "interlock-package",
        "private": True,
        "dependencies": {spec.name: version or spec.version or "latest"},
        "overrides": dict(_split(text) for text in spec.requirements),
    }
    (tree / "package.json").write_text(json.dumps(manifest), encoding="utf-8")
    scripts = [] if spec.allows_build else ["--ignore-scripts"]
    place = ["--prefix", str(tree), "--location=project"]
    shop.run([npm, "install", *place, *_OPTIONS, *scripts], f"npm install {spec.requirement}")
    locked = {str(place): entry for place, entry in _packages(tree) if place and isinstance(entry, dict)}
    found = locked.get(f"node_modules/{spec.name}", {})
    described = _json(tree / "node_modules" / spec.name / "package.json")
    return Built(
        tree=tree,
        version=str(found.get("version") or described.get("version") or ""),
        integrity=str(found.get("integrity") or ""),
        built_with=BUILT_WITH,
        parts={place: str(entry.get("version") or "") for place, entry in locked.items() if entry is not found},
        programs=declared(tree, spec.name, described),
    )


def node_of(env: Mapping[str, str]) -> str | None:
    """The full path of node, or None."""
    found = shutil.which("node", path=env.get("PATH"))
    return str(Path(found).absolute()) if found else None


def _split(requirement: str) -> tuple[str, str]:
    name, _, version = requirement.rpartition("@")
    return name, version


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        raise InstallFailed(f"npm left no usable {path.name}") from None
    return found if isinstance(found, dict) else {}


def _packages(tree: Path) -> Iterable[tuple[str, Any]]:
    """What npm says that it installed: `(place in the tree, description)`; the tree itself has an empty place."""
    found = _json(tree / "package-lock.json").get("packages")
    return found.items() if isinstance(found, dict) else ()


def declared(tree: Path, name: str, described: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What `bin` of a package declares: a path, or paths by name."""
    found = described.get("bin")
    if isinstance(found, str):
        found = {name.rpartition("/")[2]: found}
    pairs = found.items() if isinstance(found, dict) else ()
    words = {str(program): words_of(tree, name, str(file)) for program, file in pairs}
    return {program: start for program, start in words.items() if start is not None}


def words_of(tree: Path, name: str, file: str) -> tuple[str, ...] | None:
    """How to start a file of a package; None if it has no such file."""
    inner = PurePosixPath(file)
    package = tree / "node_modules" / name
    path = package / inner
    if inner.is_absolute() or ".." in inner.parts or not path.is_file():
        return None
    if not path.resolve().is_relative_to(tree.resolve()):
        return None
    script = f"{HERE}/node_modules/{name}/{inner}"
    line = _interpreter_line(path)
    for_node = path.suffix in _SCRIPT_SUFFIXES or re.search(r"\bnode\b", line or "") is not None
    if not for_node and os.access(path, os.X_OK):
        return (script,)
    return (NODE, *_node_options(line), script) if for_node or line is None else None


def _node_options(line: str | None) -> list[str]:
    """What a script wants node to be started with: `#!/usr/bin/env -S node --no-warnings`."""
    try:
        words = shlex.split(line or "")
    except ValueError:
        return []
    after = words[words.index("node") + 1 :] if "node" in words else []
    return [word for word in after if word.startswith("--")]


def _interpreter_line(path: Path) -> str | None:
    """What follows `#!` in a file, or None if it is no script.

    Raises:
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        first = file.readline(512)
    return first[2:].decode("utf-8", "replace").strip() if first.startswith(b"#!") else None
