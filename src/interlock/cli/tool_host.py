"""`interlock tool-host`: the process that owns the tool servers; started by whoever needs them first."""

import asyncio
import os

from interlock.cli import edge
from interlock.cli.logs import log_to_stderr
from interlock.cli.options import Json, Project, folder_of
from interlock.config import Settings


def tool_host(*, project: Project = None, json: Json = False) -> int:
    """Own the tool servers of a project on this host, until nobody uses them any more.

    Workers and `up` start it by themselves; there is no need to type this.
    """
    log_to_stderr(as_json=json)
    asyncio.run(_host(project))
    return edge.OK


async def _host(project: Project) -> None:
    from interlock.app import check_project, host_tools

    settings = Settings.from_env(os.environ)
    found = await asyncio.to_thread(check_project, folder_of(project), os.environ)
    await host_tools(settings, found, os.environ)
