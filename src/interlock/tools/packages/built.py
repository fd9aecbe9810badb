"""What the two ways to build have in common: a finished tree, and the choice of a program of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from interlock.model import InstallFailed
from interlock.tools.packages.spec import PackageSpec

HERE = "{folder}"
NODE = "{node}"
_HINT = "set `entry` of the server to one of its programs, then: interlock tools install"


@dataclass(frozen=True)
class Built:
    """A tree that is ready to be put in its place.

    Attributes:
        tree: the folder.
        version, integrity, built_with, parts, programs: as in `records.Mark`.
    """

    tree: Path
    version: str
    integrity: str
    built_with: str
    parts: Mapping[str, str]
    programs: Mapping[str, tuple[str, ...]]


def chosen(
    spec: PackageSpec,
    programs: Mapping[str, tuple[str, ...]],
    other: Callable[[str], tuple[str, ...] | None],
) -> tuple[str, ...]:
    """The words that start the program of a package that is meant: by `entry`, the only one, or that of its name.

    Args:
        spec: the package.
        programs: those it declares.
        other: finds what `entry` names when the package does not declare it.

    Raises:
        InstallFailed: there is no such program, or more than one could be meant.
    """
    if spec.entry is not None:
        found = programs.get(spec.entry) or other(spec.entry)
        if found is None:
            raise InstallFailed(f"{spec.name} has no program '{spec.entry[:60]}'{_listed(programs)}", hint=_HINT)
        return found
    if len(programs) == 1:
        return next(iter(programs.values()))
    short = spec.base_name.rpartition("/")[2]
    for name in (short, short.replace("-", "_")):
        if name in programs:
            return programs[name]
    raise InstallFailed(f"it is not clear which program of {spec.name} to start{_listed(programs)}", hint=_HINT)


def _listed(programs: Mapping[str, tuple[str, ...]]) -> str:
    names = sorted(programs)[:20]
    return f"; it has: {', '.join(names)}" if names else "; it has none"
