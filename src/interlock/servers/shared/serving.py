"""The MCP side: lists the tools, hands calls over, and turns their outcomes into results."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

from interlock.model import VERSION
from interlock.servers.shared.calls import CallNotes, Outcome

KEY = "interlock/idempotency_key"
EXPECT = "interlock/expect_state_sha256"
Call: TypeAlias = Callable[[str, Mapping[str, Any], CallNotes], Awaitable[Outcome]]


def build_server(
    name: str, instructions: str, tools: Iterable[Mapping[str, Any]], call: Call
) -> Server[dict[str, Any]]:
    """The MCP server for some tools, in the JSON of MCP; `call` carries one out and never raises."""
    listed = [types.Tool.model_validate(tool) for tool in tools]

    async def list_tools(
        _ctx: ServerRequestContext[dict[str, Any]], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(
        _ctx: ServerRequestContext[dict[str, Any]], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        return _result(await call(params.name, params.arguments or {}, _notes(dict(params.meta or {}))))

    return Server(name, version=VERSION, instructions=instructions, on_list_tools=list_tools, on_call_tool=call_tool)


async def speak(server: Server[dict[str, Any]]) -> None:
    """Serve over standard input and output until the input ends."""
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


def _notes(meta: Mapping[str, Any]) -> CallNotes:
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
