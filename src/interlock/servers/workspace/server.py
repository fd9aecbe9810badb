"""The MCP side: lists the tools, runs each call in a thread, and turns its outcome into a result."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp.server.lowlevel.server import Server

from interlock.config import SystemClock
from interlock.model import InterlockError
from interlock.servers.shared.calls import CallNotes, Outcome
from interlock.servers.shared.journal import Journal
from interlock.servers.shared.serving import build_server as mcp_server
from interlock.servers.shared.serving import speak
from interlock.servers.workspace.operations import READERS, Workspace
from interlock.servers.workspace.root import Root
from interlock.servers.workspace.tools import TOOLS


def build_server(workspace: Workspace) -> Server[dict[str, Any]]:
    """The server for one workspace; changing and internal calls run one at a time, reading ones beside them."""
    turn = asyncio.Lock()

    async def call(tool: str, args: Mapping[str, Any], notes: CallNotes) -> Outcome:
        async with contextlib.nullcontext() if tool in READERS else turn:
            return await asyncio.to_thread(workspace.call, tool, args, notes)

    return mcp_server("workspace", "Files of one folder. Paths are relative to it.", TOOLS.values(), call)


async def serve(folder: Path, effect_log: Path | None) -> None:
    """Serve one folder over standard input and output until the input ends.

    Raises:
        OSError: the folder, or the log's file, can't be opened.
    """
    root = Root(folder)
    journal = Journal(effect_log, SystemClock())
    try:
        workspace = Workspace(root, journal)
        with contextlib.suppress(InterlockError, OSError):  # the first call does it again, and says why it can't
            await asyncio.to_thread(workspace.recover)
        server = build_server(workspace)
        await speak(server)
    finally:
        journal.close()
        root.close()
