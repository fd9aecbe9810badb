"""What a server's configuration asks of a registry: a package by name, or an `npx` or `uvx` that would fetch one."""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from interlock.config import ALLOW_BUILD, PackageName, Registry, is_requirement, parse_package
from interlock.model import ConfigError
from interlock.tools.packages.npx import read_npx
from interlock.tools.packages.uvx import read_uvx
from interlock.tools.packages.words import Launched

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig


@dataclass(frozen=True)
class PackageSpec:
    """A package, as it was asked for.

    Attributes:
        registry: `pypi` or `npm`.
        name: with its scope or extras, in the registry's normal form.
        version: an exact one, a range, or None for the newest at the first install.
        overrides: requirements that it is installed with, sorted; `--allow-build` among them lets code run meanwhile.
        entry: the program or file of it to start; None for the only one, or the one of its name.
        args: what the program is given; may hold `${NAME}`. Does not change what is installed.
    """

    registry: Registry
    name: str
    version: str | None = None
    overrides: tuple[str, ...] = ()
    entry: str | None = None
    args: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What is installed, in one line: equal for two specs that share one installation."""
        with_them = f" with {', '.join(self.overrides)}" if self.overrides else ""
        return f"{self.registry}:{self.requirement}{with_them}"

    @property
    def requirement(self) -> str:
        """Name and version as the registry's own tools take them."""
        if self.version is None:
            return self.name
        if self.registry == "npm":
            return f"{self.name}@{self.version}"
        return self.name + (self.version if self.version[0] in "<>=~!" else f"=={self.version}")

    @property
    def base_name(self) -> str:
        """The name without extras."""
        return self.name.partition("[")[0]

    @property
    def exact(self) -> bool:
        """Whether it asks for one version only."""
        return self.version is not None and re.fullmatch(_EXACT[self.registry], self.version) is not None

    @property
    def allows_build(self) -> bool:
        """Whether code of packages may run while they are installed."""
        return ALLOW_BUILD in self.overrides

    @property
    def requirements(self) -> tuple[str, ...]:
        """The overrides that are requirements."""
        return tuple(text for text in self.overrides if text != ALLOW_BUILD)

    def folder_name(self, version: str) -> str:
        """The last part of the folder of an installation: the version, and what else makes it another one."""
        extras = self.name.partition("[")[2]
        if not self.overrides and not extras:
            return version
        marks = "\n".join((extras, *self.overrides))
        return f"{version}+{hashlib.sha256(marks.encode()).hexdigest()[:8]}"


_EXACT = {"pypi": r"[^<>=~!*,][^<>=~!*,]*", "npm": r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"}


def spec_of(server: "ToolServerConfig") -> PackageSpec | None:
    """The package of a server; None for one that is no package: a plain command, a URL, one of interlock's own.

    Raises:
        ConfigError: the command would fetch code at each start and can't be read as a package, or an override
            does not fit the registry.
    """
    if server.package is not None:
        asked = Launched(parse_package(server.package), (), None, tuple(server.args))
    elif server.command is not None and (found := _launched(server.command, tuple(server.args))) is not None:
        asked = found
    else:
        return None
    for text in server.overrides:
        if text != ALLOW_BUILD and not is_requirement(asked.package.registry, text):
            raise ConfigError(f"found the override '{text[:60]}'; expected one that fits {asked.package.registry}")
    overrides = tuple(sorted({*asked.more, *server.overrides}))
    package = _normal(asked.package)
    return PackageSpec(
        package.registry, package.name, package.version, overrides, server.entry or asked.entry, asked.args
    )


def _launched(command: str, words: tuple[str, ...]) -> Launched | None:
    program = re.split(r"[/\\]", command)[-1].lower().removesuffix(".cmd").removesuffix(".exe")
    if program == "cmd" and len(words) > 1 and words[0].lower() == "/c":
        return _launched(words[1], words[2:])
    if program == "npx":
        return read_npx("npx", words)
    if program == "npm" and words[:1] in (("exec",), ("x",)):
        return read_npx("npm exec", words[1:])
    if program == "uvx":
        return read_uvx("uvx", words)
    quiet = [word for word in words if word not in ("-q", "--quiet")][:2]
    if program == "uv" and quiet == ["tool", "run"]:
        return read_uvx("uv tool run", words[words.index("run") + 1 :])
    return None


def _normal(package: PackageName) -> PackageName:
    """Names that PyPI takes for equal, written alike."""
    if package.registry == "npm":
        return package
    name, bracket, extras = package.name.partition("[")
    sorted_extras = ",".join(sorted(extras.removesuffix("]").lower().split(",")))
    plain = re.sub(r"[-_.]+", "-", name).lower()
    return replace(package, name=f"{plain}[{sorted_extras}]" if bracket else plain)
