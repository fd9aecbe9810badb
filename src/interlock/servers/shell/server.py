"""The MCP side: lists the tools, runs each call in a thread, ends it when it is cancelled, answers."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp.server.lowlevel.server import Server

from interlock.config import SystemClock
from interlock.sandbox import Means
from interlock.servers.shared.calls import CallNotes, Outcome
from interlock.servers.shared.journal import Journal
from interlock.servers.shared.serving import build_server as mcp_server
from interlock.servers.shared.serving import speak
from interlock.servers.shell.operations import Shell
from interlock.servers.shell.scratch import Scratch
from interlock.servers.shell.staging import Staging
from interlock.servers.shell.tools import listed
from interlock.servers.shell.walls import Walls
from interlock.servers.workspace.root import Root

COMMANDS = ("run", "preview")
ENDING_S = 30.0  # for a call that was cancelled to be over: its processes are gone long before


@dataclass(frozen=True)
class Settings:
    """What the command line says.

    Attributes:
        walls: how commands are confined, and in which folder they work.
        scratch: the server's own folder.
        in_place: no copy: commands work on the folder itself.
        effect_log: gets a line before and after each change.
    """

    walls: Walls
    scratch: Path
    in_place: bool = False
    effect_log: Path | None = None


def build_server(shell: Shell, *, network: bool) -> Server[dict[str, Any]]:
    """The server for one folder; commands run one at a time, and so do the other calls beside them."""
    commands, files = asyncio.Lock(), asyncio.Lock()

    async def call(tool: str, args: Mapping[str, Any], notes: CallNotes) -> Outcome:
        async with commands if tool in COMMANDS else files:
            return await _in_thread(shell, tool, args, notes)

    return mcp_server("shell", "Commands in one folder, each one confined.", listed(network=network), call)


async def _in_thread(shell: Shell, tool: str, args: Mapping[str, Any], notes: CallNotes) -> Outcome:
    """Do a call; when it is cancelled, its command is ended, and it is over before anything else begins."""
    stop = threading.Event()
    working = asyncio.ensure_future(asyncio.to_thread(shell.call, tool, args, notes, stop))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stop.set()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({working}, timeout=ENDING_S)
        raise


async def serve(settings: Settings) -> None:
    """Serve one folder over standard input and output until the input ends.

    Raises:
        OSError: the folder, the scratch folder or the log's file can't be opened.
        Exhausted: another server works in one of them and does not get done.
    """
    walls = settings.walls
    root = Root(walls.root)
    journal = Journal(settings.effect_log, SystemClock())
    scratch = Scratch(settings.scratch, walls.root)
    try:
        staged = walls.means is Means.BUBBLEWRAP and not settings.in_place
        staging = Staging(root, walls, scratch, SystemClock()) if staged else None
        shell = Shell(root, walls, staging, scratch, journal)
        shell.recover()
        server = build_server(shell, network=walls.network)
        await speak(server)
    finally:
        scratch.close()
        journal.close()
        root.close()
