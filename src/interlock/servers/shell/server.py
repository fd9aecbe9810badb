"""The MCP side: lists the tools, runs each call in a thread, ends it when it is cancelled, answers."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

from interlock.config import SystemClock
from interlock.model import VERSION
from interlock.sandbox import Means
from interlock.servers.shell.operations import Shell
from interlock.servers.shell.scratch import Scratch
from interlock.servers.shell.staging import Staging
from interlock.servers.shell.tools import listed
from interlock.servers.shell.walls import Walls
from interlock.servers.workspace.journal import Journal
from interlock.servers.workspace.operations import CallNotes, Outcome
from interlock.servers.workspace.root import Root

KEY = "interlock/idempotency_key"
EXPECT = "interlock/expect_state_sha256"
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
    tools = [types.Tool.model_validate(tool) for tool in listed(network=network)]

    async def list_tools(
        _ctx: ServerRequestContext[dict[str, Any]], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools)

    async def call_tool(
        _ctx: ServerRequestContext[dict[str, Any]], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        notes = _notes(dict(params.meta or {}))
        async with commands if params.name in COMMANDS else files:
            return _result(await _in_thread(shell, params.name, params.arguments or {}, notes))

    return Server(
        "shell",
        version=VERSION,
        instructions="Commands in one folder, each one confined.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


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
        async with stdio_server() as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())
    finally:
        scratch.close()
        journal.close()
        root.close()


def _notes(meta: dict[str, Any]) -> CallNotes:
    expected, key = meta.get(EXPECT), meta.get(KEY)
    return CallNotes(None if expected is None else str(expected), None if key is None else str(key))


def _result(outcome: Outcome) -> types.CallToolResult:
    # A lone surrogate can't be sent; it could only come from an argument that is echoed.
    text = outcome.text.encode("utf-8", "replace").decode()
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        structured_content=outcome.structured,
        is_error=outcome.failed,
    )
