"""A small and fast MCP server over HTTP, for measuring what lies in front of it.

    python -m uvicorn --factory interlock.testing.echo_server:application --port 8000

One tool, `echo`, which gives `text` back; stateless, with JSON bodies, on the plain server of the MCP SDK.
"""

from typing import Any

from mcp.server.lowlevel.server import Server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

_TOOL = Tool(
    name="echo",
    description="Gives the text back.",
    input_schema={
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    },
    annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
)


async def _list_tools(_: Any, __: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[_TOOL])


async def _call_tool(_: Any, params: CallToolRequestParams) -> CallToolResult:
    text = str((params.arguments or {}).get("text", ""))
    return CallToolResult(content=[TextContent(type="text", text=text)])


def application() -> Any:
    """The ASGI application; its endpoint is `/mcp`."""
    server = Server("echo", on_list_tools=_list_tools, on_call_tool=_call_tool)
    return server.streamable_http_app(json_response=True, stateless_http=True)
