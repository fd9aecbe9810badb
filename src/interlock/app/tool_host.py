"""One process per host owns the tool servers of a project: how it is found, started, and what it runs."""

import os
import signal
import sys
from asyncio import get_running_loop
from collections.abc import Mapping
from pathlib import Path

from interlock.app.shelf import ADMIN, DatabaseShelf, Paste, Present
from interlock.config import OF_ALL, Project, Secrets, Settings, SystemClock
from interlock.model import NotFound, canonical_sha256
from interlock.tools import (
    HostedTools,
    HostProgram,
    LoginPrompt,
    Packages,
    Place,
    Surroundings,
    Toolbox,
    ToolHost,
    login_to,
)


def surroundings_of(settings: Settings, project: Project, env: Mapping[str, str], state_dir: Path) -> Surroundings:
    """Where the tool servers of a project live, with their private homes below `state_dir`; opens nothing."""
    return Surroundings(
        folder=project.folder,
        state_dir=state_dir,
        env=env,
        secrets=Secrets(settings.home, env),
        shelf=DatabaseShelf(settings, project, env),
        sandbox=project.config.policy.sandbox,
        packages=Packages(settings.home, env, SystemClock()),
    )


def toolbox_of(settings: Settings, project: Project, env: Mapping[str, str], state_dir: Path) -> Toolbox:
    """The tool servers of a project as children of this process."""
    return Toolbox(project.config.tools, surroundings_of(settings, project, env, state_dir), SystemClock())


async def log_in(
    settings: Settings,
    project: Project,
    env: Mapping[str, str],
    server: str,
    person: tuple[Present, Paste | None],
) -> None:
    """Let a person log in to a remote tool server, and keep what that gives.

    Args:
        settings: where the state folder is.
        project: that the server belongs to.
        env: for variables in its configuration.
        server: its name.
        person: shows the address to open in a browser; reads the address that the browser ended at, if it must.

    Raises:
        NotFound: no server has that name.
        InterlockError: it is not remote, asks for no login, can't be used, or the login did not work.
    """
    config = project.config.tools.get(server)
    if config is None:
        known = ", ".join(sorted(project.config.tools)) or "none"
        raise NotFound(
            f"there is no tool server '{server[:100]}'; configured are: {known}", hint="interlock tools list"
        )
    where = surroundings_of(settings, project, env, settings.home / "tools" / "login")
    await login_to(server, config, where, LoginPrompt(*person), SystemClock())
    await DatabaseShelf(settings, project, env).note_login(server, ADMIN)


def place_of(settings: Settings, project: Project) -> Place:
    """Where the tool host of a project is."""
    return Place.of(settings.home, project.folder)


def fingerprint_of(project: Project, env: Mapping[str, str]) -> str:
    """What all who use one tool host must agree on: the servers, how they are confined, and the environment.

    Nothing of it is stored: the environment may hold keys.
    """
    servers = {
        name: server.model_dump(mode="json", by_alias=True, exclude=set(OF_ALL))
        for name, server in project.config.tools.items()
    }
    ours = {name: value for name, value in env.items() if name not in _OF_ONE_PROCESS}
    return canonical_sha256([servers, project.config.policy.sandbox, os.fspath(project.folder), sorted(ours.items())])


# Differs between a shell, a service and their children without any server noticing.
_OF_ONE_PROCESS = frozenset(
    {"_", "PWD", "OLDPWD", "SHLVL", "COLUMNS", "LINES", "TERM", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID"}
    | {"INTERLOCK_PARENT_PID", "INTERLOCK_TOKEN", "INTERLOCK_URL", "INTERLOCK_DEBUG", "PYTEST_CURRENT_TEST"}
)


def hosted_tools(settings: Settings, project: Project, env: Mapping[str, str]) -> HostedTools:
    """The tool servers of a project by way of its tool host, which is started when there is none."""
    command = [sys.executable, "-m", "interlock", "tool-host", "--project", os.fspath(project.folder)]
    return HostedTools(place_of(settings, project), HostProgram(command, env, fingerprint_of(project, env)))


async def host_tools(settings: Settings, project: Project, env: Mapping[str, str]) -> bool:
    """Be the tool host of a project until nobody needs it; False when there is one already."""
    place = place_of(settings, project)
    place.make()
    with place.only_one() as mine:
        if not mine:
            return False
        host = ToolHost(toolbox_of(settings, project, env, place.folder / "servers"), fingerprint_of(project, env))
        loop = get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, host.retire)
        await host.serve(place)
    return True
