"""The MCP side: lists the tools, runs each call in a thread, and turns its outcome into a result."""

import asyncio
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

from interlock.config import SystemClock
from interlock.model import VERSION
from interlock.servers.workspace.journal import Journal
from interlock.servers.workspace.operations import READERS, CallNotes, Outcome, Workspace
from interlock.servers.workspace.root import Root
from interlock.servers.workspace.tools import TOOLS

KEY = "interlock/idempotency_key"
EXPECT = "interlock/expect_state_sha256"


def build_server(workspace: Workspace) -> Server[dict[str, Any]]:
    """The server for one workspace; changing and internal calls run one at a time, reading ones beside them."""
    turn = asyncio.Lock()
    listed = [types.Tool.model_validate(tool) for tool in TOOLS.values()]

    async def list_tools(
        _ctx: ServerRequestContext[dict[str, Any]], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(
        _ctx: ServerRequestContext[dict[str, Any]], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        notes = _notes(dict(params.meta or {}))
        arguments = params.arguments or {}
        if params.name in READERS:
            return _result(await asyncio.to_thread(workspace.call, params.name, arguments, notes))
        async with turn:
            return _result(await asyncio.to_thread(workspace.call, params.name, arguments, notes))

    return Server(
        "workspace",
        version=VERSION,
        instructions="Files of one folder. Paths are relative to it.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve(folder: Path, effect_log: Path | None) -> None:
    """Serve one folder over standard input and output until the input ends.

    Raises:
        OSError: the folder, or the log's file, can't be opened.
    """
    root = Root(folder)
    journal = Journal(effect_log, SystemClock())
    try:
        server = build_server(Workspace(root, journal))
        async with stdio_server() as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())
    finally:
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
