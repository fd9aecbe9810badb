"""The MCP side: lists the tools and answers calls, a bounded number of them at a time."""

import asyncio
import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpcore
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

from interlock.config import SystemClock
from interlock.model import VERSION
from interlock.servers.http.allow import AllowList
from interlock.servers.http.credentials import Vault
from interlock.servers.http.exchange import Egress
from interlock.servers.http.limits import CALLS_AT_ONCE
from interlock.servers.http.operations import HttpCalls
from interlock.servers.http.rendering import Outcome
from interlock.servers.http.tools import TOOLS
from interlock.servers.workspace.journal import Journal

KEY = "interlock/idempotency_key"


@dataclass(frozen=True)
class Options:
    """How the server was started.

    Attributes:
        ca_file: certificates to trust besides those that this machine trusts.
        effect_log: the file that calls are noted in.
    """

    allow: AllowList
    vault: Vault
    ca_file: Path | None = None
    effect_log: Path | None = None


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Settings that verify certificates and names.

    Raises:
        OSError: the file can't be read, or holds no certificate.
    """
    context = httpcore.default_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def build_server(calls: HttpCalls) -> Server[dict[str, Any]]:
    """The MCP server for these calls."""
    turn = asyncio.Semaphore(CALLS_AT_ONCE)
    listed = [types.Tool.model_validate(tool) for tool in TOOLS.values()]

    async def list_tools(
        _ctx: ServerRequestContext[dict[str, Any]], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(
        _ctx: ServerRequestContext[dict[str, Any]], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        key = dict(params.meta or {}).get(KEY)
        async with turn:
            return _result(await calls.call(params.name, params.arguments or {}, None if key is None else str(key)))

    return Server(
        "http",
        version=VERSION,
        instructions="HTTP requests to the hosts that the operator allows.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve(options: Options) -> None:
    """Serve over standard input and output until the input ends.

    Raises:
        OSError: a file that was named can't be opened.
    """
    tls = cache(lambda: tls_context(options.ca_file))
    if options.ca_file is not None:
        tls()  # a file that can't be used must stop the start, not the first call
    journal = Journal(options.effect_log, SystemClock())
    try:
        server = build_server(HttpCalls(Egress(options.allow, options.vault, tls), journal))
        async with stdio_server() as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())
    finally:
        journal.close()


def _result(outcome: Outcome) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=outcome.text)],
        structured_content=outcome.structured,
        is_error=outcome.failed,
    )
