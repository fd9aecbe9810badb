"""The tools that the scenarios of the conformance suite call, as an ordinary MCP server over stdio behind the gateway."""

import asyncio
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

EMPTY: dict[str, Any] = {"type": "object", "properties": {}}
WIDE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
HEADED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "priority": {"type": "integer", "x-mcp-header": "Priority"},
        "verbose": {"type": "boolean", "x-mcp-header": "Verbose"},
        "query": {"type": "string"},
    },
    "required": ["region"],
}
SCHEMAS = {
    "test_simple_text": EMPTY,
    "test_error_handling": EMPTY,
    "test_custom_headers": HEADED,
    "test_input_required_result_elicitation": EMPTY,
    "test_logging_tool": EMPTY,
    "test_streaming_elicitation": EMPTY,
    "json_schema_2020_12_tool": WIDE,
}
Context = ServerRequestContext[Any, Any]


async def list_tools(context: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    """All of them; they only read."""
    del context, params
    hints = types.ToolAnnotations(read_only_hint=True, open_world_hint=False)
    return types.ListToolsResult(
        tools=[
            types.Tool(
                name=name, description=f"Returns what {name} is to return.", input_schema=schema, annotations=hints
            )
            for name, schema in SCHEMAS.items()
        ]
    )


async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    """What the scenario wants."""
    del context
    text = types.TextContent(type="text", text="This is a simple text response for testing.")
    failing = params.name == "test_error_handling"
    return types.CallToolResult(content=[text], is_error=failing)


async def main() -> None:
    """Speak MCP on stdin and stdout."""
    server: Server[Any] = Server("offering", version="1", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main())
