"""The MCP side: lists the tools, runs each call in a thread, stops it when it is cancelled, answers."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

from interlock.config import SystemClock
from interlock.model import VERSION
from interlock.servers.sql.database import Database
from interlock.servers.sql.limits import CONNECTIONS, GRACE_S
from interlock.servers.sql.operations import CallNotes, Outcome, Rules, Sql, Stop
from interlock.servers.sql.tools import offered
from interlock.servers.workspace.journal import Journal

KEY = "interlock/idempotency_key"
EXPECT = "interlock/expect_state_sha256"
UNKNOWN = 70  # exit status: the answer to a commit was lost


def build_server(sql: Sql, rules: Rules) -> Server[dict[str, Any]]:
    """The server for one database; a few calls run at one time, the others wait."""
    places = asyncio.Semaphore(CONNECTIONS)
    listed = [types.Tool.model_validate(tool) for tool in offered(rules.read_only).values()]

    async def list_tools(
        _ctx: ServerRequestContext[dict[str, Any]], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(
        _ctx: ServerRequestContext[dict[str, Any]], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        notes = _notes(dict(params.meta or {}))
        async with places:
            return _result(await _called(sql, params.name, params.arguments or {}, notes))

    return Server(
        "sql",
        version=VERSION,
        instructions="One database. Values go into 'params', never into the text of a statement.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve(database: Database, rules: Rules, effect_log: Path | None) -> None:
    """Serve one database over standard input and output until the input ends.

    Raises:
        OSError: the log's file can't be opened.
    """
    journal = Journal(effect_log, SystemClock())
    sql = Sql(database.connect, database.dialect, rules, journal, end_without_answer)
    try:
        server = build_server(sql, rules)
        async with stdio_server() as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())
    finally:
        sql.close()
        journal.close()


def end_without_answer(why: str) -> NoReturn:
    """End the process at once: an answer would claim to know what nobody knows, so there is none."""
    sys.stderr.write(f"sql: {why}\n")
    sys.stderr.flush()
    os._exit(UNKNOWN)


async def _called(sql: Sql, tool: str, args: dict[str, Any], notes: CallNotes) -> Outcome:
    stop = Stop()
    work = asyncio.ensure_future(asyncio.to_thread(sql.call, tool, args, notes, stop))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await _stopped(work, stop)
        raise


async def _stopped(work: "asyncio.Future[Outcome]", stop: Stop) -> None:
    """Stop a call, gently and then not, and wait until its thread is through with it."""
    import anyio

    with anyio.CancelScope(shield=True):
        for hard in (False, True):
            await asyncio.to_thread(stop.ask, hard=hard)
            done, _ = await asyncio.wait({work}, timeout=GRACE_S)
            if done:
                return


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
