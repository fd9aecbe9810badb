"""`interlock tools login`: a person lets interlock use a remote tool server in their name, with a browser."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.home_files import holder_of
from interlock.cli.options import Json, Project, folder_of
from interlock.cli.output import emit, interactive, progress
from interlock.cli.words import one_line
from interlock.config import Settings

if TYPE_CHECKING:
    from interlock.config import Project as Checked

MAX_LINE_BYTES = 16 * 1024


def login(
    name: Annotated[str, Parameter(help="A tool server with a url.")],
    /,
    *,
    project: Project = None,
    json: Json = False,
) -> int:
    """Log in to a remote tool server: prints an address to open in a browser, and waits for the answer.

    The login is kept encrypted in the database and renewed by itself. If interlock runs, the server is started anew.
    """
    from interlock.app import check_project

    settings = Settings.from_env(os.environ)
    checked = check_project(folder_of(project), os.environ)
    asyncio.run(_log_in(settings, checked, name))
    restarted = None
    if holder_of(settings.home) is not None:
        with connected() as client:
            restarted = client.restart_tools(name)
    lines = [f"logged in to {name}"]
    if restarted is not None and restarted["state"] == "ready":
        lines.append(f"{name} is ready with {restarted['tools']} tools")
    elif restarted is not None:
        lines += [f"{name} is {restarted['state']}: {one_line(restarted['reason'], 300)}"]
    emit({"server": name, "logged_in": True, "health": restarted}, lines, as_json=json)
    return edge.OK


async def _log_in(settings: Settings, project: "Checked", name: str) -> None:
    from interlock.app import log_in

    def present(address: str) -> None:
        progress(f"open this in a browser to let interlock use {name}:\n\n  {address}\n")
        if interactive():
            progress(
                "if the browser runs elsewhere and ends at a page that does not load, paste the address of that page:"
            )
        else:
            progress("waiting for the browser to come back…")

    await log_in(settings, project, os.environ, name, (present, _pasted if interactive() else None))


async def _pasted() -> str:
    """A line from the terminal; unlike a thread that reads, this can be given up at any moment."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()
    taken = bytearray()

    def more() -> None:
        data = os.read(sys.stdin.fileno(), MAX_LINE_BYTES)
        taken.extend(data)
        if not line.done() and (b"\n" in taken or not data or len(taken) > MAX_LINE_BYTES):
            loop.remove_reader(sys.stdin.fileno())
            line.set_result(taken.partition(b"\n")[0].decode(errors="replace"))

    loop.add_reader(sys.stdin.fileno(), more)
    try:
        return await line
    finally:
        loop.remove_reader(sys.stdin.fileno())
