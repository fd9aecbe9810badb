"""Installs the packages of a project's tool servers, without starting any of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from interlock.config import Project, Settings, SystemClock, ensure_home
from interlock.model import InterlockError, NotFound
from interlock.tools import Packages, spec_of


@dataclass(frozen=True)
class InstallFinding:
    """What became of one server's package.

    Attributes:
        package: what was asked for; empty when that could not even be read.
        version: what it is; None if it could not be installed.
        folder: where it is.
        fault: why it could not be installed, with what to do about it after a line end; None if it could.
    """

    server: str
    package: str
    version: str | None = None
    folder: str | None = None
    fault: str | None = None


def install_packages(
    settings: Settings,
    project: Project,
    env: Mapping[str, str],
    *,
    server: str | None = None,
    upgrade: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[InstallFinding]:
    """Install what the tool servers of a project need, one after the other; what is there stays as it is.

    Args:
        settings: where the state folder is.
        project: the project.
        env: for the search path, and the settings of pip, uv and npm.
        server: only this one.
        upgrade: resolve versions anew.
        tell: hears what is being installed.

    Raises:
        NotFound: no server has that name.
        HomeUnfit: the state folder can't be used.
    """
    if server is not None and server not in project.config.tools:
        raise NotFound(f"no tool server is named '{server}'", hint="interlock config check")
    packages = Packages(ensure_home(settings), env, SystemClock())
    names: Iterable[str] = project.config.tools if server is None else [server]
    found = (_installed(packages, project, name, upgrade, tell) for name in names)
    return [finding for finding in found if finding is not None]


def _installed(
    packages: Packages, project: Project, server: str, upgrade: bool, tell: Callable[[str], None]
) -> InstallFinding | None:
    package = ""
    try:
        spec = spec_of(project.config.tools[server])
        if spec is None:
            return None
        package = spec.key
        ready = None if upgrade else packages.find(spec)
        if ready is None:
            tell(f"{server}: installing {package}…")
            ready = packages.install(spec, upgrade=upgrade)
    except InterlockError as error:
        return InstallFinding(server, package, fault=f"{error.message}\nhint: {error.next_step}")
    return InstallFinding(server, package, ready.version, str(ready.folder))
