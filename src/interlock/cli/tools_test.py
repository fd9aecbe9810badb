"""`interlock tools test`: tries every configured tool server; needs no running server."""

import asyncio
import os
import sys
from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.options import Json, Project, folder_of
from interlock.cli.output import emit, paint_for, progress, terminal_width
from interlock.cli.views.tool_tests import tests_lines
from interlock.config import Settings


def try_servers(
    *names: Annotated[str, Parameter(help="Only these tool servers.")],
    project: Project = None,
    json: Json = False,
) -> int:
    """Try tool servers: install, start, list, compare with what was accepted, and make one safe call through the gate.

    The safe call is the `test:` of the server, else a read that needs no arguments. Servers are started for it and
    stopped again, also beside those of an interlock that runs. One that was never started before is accepted as it is.
    Exit status 0 only if every required server passes.
    """
    from interlock.app import check_project, try_tools

    settings, checked = Settings.from_env(os.environ), check_project(folder_of(project), os.environ)
    tell = (lambda _: None) if json else progress
    found = asyncio.run(try_tools(settings, checked, os.environ, names, tell))
    items: list[dict[str, Any]] = [{**asdict(one), "passed": one.passed} for one in found]
    good = all(one.passed or not one.required for one in found)
    emit(
        {"ok": good, "items": items},
        tests_lines(items, paint_for(sys.stdout), terminal_width(sys.stdout)),
        as_json=json,
    )
    return edge.OK if good else edge.FAILED
