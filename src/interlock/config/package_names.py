"""Packages of registries as people write them: `pypi:NAME==VERSION`, `npm:@scope/name@VERSION`."""

import re
from dataclasses import dataclass
from typing import Literal

Registry = Literal["pypi", "npm"]
ALLOW_BUILD = "--allow-build"

_PYPI = (
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?(?:\[[A-Za-z0-9._,-]{1,128}\])?)"
    r"((?:(?:[~<>!=]=|[<>])[A-Za-z0-9.*+!_-]{1,64},?){0,8})"
)
_NPM = (
    r"((?:@[A-Za-z0-9~_][A-Za-z0-9._~-]{0,126}/)?[A-Za-z0-9~_][A-Za-z0-9._~-]{0,126})"
    r"(?:@([A-Za-z0-9^~<>=*][A-Za-z0-9.^~<>=|*+-]{0,127}))?"
)
_EXPECTED = "expected pypi:NAME==VERSION or npm:NAME@VERSION"


@dataclass(frozen=True)
class PackageName:
    """A package of a registry, as people write it.

    Attributes:
        name: with the scope or the extras, as in `@scope/name` and `name[extra]`.
        version: an exact one, a range as the registry writes it, or None for the newest.
    """

    registry: Registry
    name: str
    version: str | None


def parse_package(text: str) -> PackageName:
    """Read `pypi:NAME`, `pypi:NAME==VERSION`, `npm:NAME` or `npm:@SCOPE/NAME@VERSION`.

    Raises:
        ValueError: the text is none of these; an address or a path is not.
    """
    registry, _, rest = text.partition(":")
    pattern = {"pypi": _PYPI, "npm": _NPM}.get(registry)
    found = re.fullmatch(pattern, rest) if pattern else None
    if found is None:
        raise ValueError(f"found '{text[:60]}'; {_EXPECTED}")
    version = (found[2] or "").rstrip(",")
    if registry == "npm":
        return PackageName("npm", found[1], None if version in ("", "latest") else version)
    exact = re.fullmatch(r"==([^*,]+)", version)
    return PackageName("pypi", found[1], exact[1] if exact else version or None)


def is_requirement(registry: str, text: str) -> bool:
    """Whether a text names a package of a registry and which versions of it are wanted, such as `mcp<2` or `zod@3`."""
    try:
        return parse_package(f"{registry}:{text}").version is not None
    except ValueError:
        return False
