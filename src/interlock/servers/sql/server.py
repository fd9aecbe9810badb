"""The MCP side: lists the tools, runs each call in a thread, stops it when it is cancelled, answers."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from mcp.server.lowlevel.server import Server

from interlock.config import SystemClock
from interlock.servers.shared.calls import CallNotes, Outcome
from interlock.servers.shared.journal import Journal
from interlock.servers.shared.serving import build_server as mcp_server
from interlock.servers.shared.serving import speak
from interlock.servers.sql.database import Database
from interlock.servers.sql.limits import CONNECTIONS, GRACE_S
from interlock.servers.sql.operations import Rules, Sql, Stop
from interlock.servers.sql.tools import offered

UNKNOWN = 70  # exit status: the answer to a commit was lost


def build_server(sql: Sql, rules: Rules) -> Server[dict[str, Any]]:
    """The server for one database; a few calls run at one time, the others wait."""
    places = asyncio.Semaphore(CONNECTIONS)

    async def call(tool: str, args: Mapping[str, Any], notes: CallNotes) -> Outcome:
        async with places:
            return await _called(sql, tool, args, notes)

    about = "One database. Values go into 'params', never into the text of a statement."
    return mcp_server("sql", about, offered(rules.read_only).values(), call)


async def serve(database: Database, rules: Rules, effect_log: Path | None) -> None:
    """Serve one database over standard input and output until the input ends.

    Raises:
        OSError: the log's file can't be opened.
    """
    journal = Journal(effect_log, SystemClock())
    sql = Sql(database.connect, database.dialect, rules, journal, end_without_answer)
    try:
        server = build_server(sql, rules)
        await speak(server)
    finally:
        sql.close()
        journal.close()


def end_without_answer(why: str) -> NoReturn:
    """End the process at once: an answer would claim to know what nobody knows, so there is none."""
    sys.stderr.write(f"sql: {why}\n")
    sys.stderr.flush()
    os._exit(UNKNOWN)


async def _called(sql: Sql, tool: str, args: Mapping[str, Any], notes: CallNotes) -> Outcome:
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
