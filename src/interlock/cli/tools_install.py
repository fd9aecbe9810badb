"""`interlock tools install`: installs the packages of tool servers ahead of their first use; needs no server."""

import os
import sys
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.options import Json, Project, folder_of
from interlock.cli.output import emit, paint_for, progress, table
from interlock.config import Settings


def install(
    name: Annotated[str | None, Parameter(help="Only this tool server.")] = None,
    /,
    *,
    upgrade: Annotated[
        bool, Parameter(name="--upgrade", negative="", help="Take the newest versions that the configuration allows.")
    ] = False,
    project: Project = None,
    json: Json = False,
) -> int:
    """Install the packages of the tool servers, each in a folder of its own; what is installed stays as it is.

    Servers install themselves at their first use too. Versions are kept in packages.lock.json in the state folder.
    """
    from interlock.app import check_project, install_packages

    checked = check_project(folder_of(project), os.environ)
    tell = (lambda _: None) if json else progress
    findings = install_packages(
        Settings.from_env(os.environ), checked, os.environ, server=name, upgrade=upgrade, tell=tell
    )
    rows = [(found.server, found.package, found.version or "failed") for found in findings]
    lines = table(("server", "package", "version"), rows, paint_for(sys.stdout)) if rows else ["nothing to install"]
    faults = [f"{found.server}: {found.fault}" for found in findings if found.fault]
    emit({"ok": not faults, "items": [asdict(found) for found in findings]}, [*lines, *faults], as_json=json)
    return edge.FAILED if faults else edge.OK
