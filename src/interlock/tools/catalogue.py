"""What one server offers, read to the last page, as our own definitions."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from interlock.model import ToolDefinition, ToolRef, ToolUnavailable, UserError, canonical_sha256

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import Tool

INTERNAL_MARK = "interlock/internal"
MAX_PAGES = 100
MAX_TOOLS = 1000
MAX_NAME_CHARS = 512
_SAFE_INTEGER = 2**53 - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHOWN_CHARS = 60


@dataclass(frozen=True)
class Catalogue:
    """The tools of one server, sorted by name, with their pins.

    Attributes:
        ttl_s: how long the server says that the list holds; 0 if it does not say.
    """

    definitions: tuple[ToolDefinition, ...]
    pins: dict[str, str]
    ttl_s: float = 0.0

    @cached_property
    def sha256(self) -> str:
        """Hash over all of it."""
        return canonical_sha256(self.pins)

    def find(self, name: str) -> ToolDefinition | None:
        """The tool of that name."""
        return next((found for found in self.definitions if found.ref.name == name), None)


async def read_catalogue(client: "Client", server: str, *, builtin: bool) -> Catalogue:
    """List all pages.

    Raises:
        ToolUnavailable: nothing is listed, a name twice, too much, or something that has no canonical form.
        MCPError: the server refuses, or the connection ended.
    """
    tools: list[Tool] = []
    cursor: str | None = None
    ttl_s = float("inf")
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="bypass")
        tools += page.tools
        ttl_s = min(ttl_s, page.ttl_ms / 1000)
        cursor = page.next_cursor
        if cursor is None or len(tools) > MAX_TOOLS:
            break
    if cursor is not None or len(tools) > MAX_TOOLS:
        raise ToolUnavailable(f"tool server '{server}' lists more than {MAX_TOOLS} tools or {MAX_PAGES} pages")
    if not tools:
        raise ToolUnavailable(f"tool server '{server}' lists no tools")
    found = catalogue_of(server, (read_definition(server, tool, builtin=builtin) for tool in tools))
    return replace(found, ttl_s=ttl_s)


def catalogue_of(server: str, definitions: Iterable[ToolDefinition]) -> Catalogue:
    """Sort, hash and check the definitions of one server.

    Raises:
        ToolUnavailable: a name is there twice or can't be one, or a definition has no canonical form.
    """
    ordered = tuple(sorted(definitions, key=lambda definition: definition.ref.name))
    pins: dict[str, str] = {}
    for definition in ordered:
        if definition.ref.name in pins:
            raise ToolUnavailable(f"tool server '{server}' lists the tool '{definition.ref.name}' twice")
        if len(definition.ref.name) > MAX_NAME_CHARS or _CONTROL.search(definition.ref.name):
            shown = ascii(definition.ref.name[:_SHOWN_CHARS])
            raise ToolUnavailable(f"tool server '{server}' lists a tool of a name that can't be one: {shown}")
        try:
            pins[definition.ref.name] = definition.pin_sha256
        except UserError as error:
            raise ToolUnavailable(f"tool server '{server}', definition of {definition.ref}: {error.message}") from error
    return Catalogue(ordered, pins)


def read_definition(server: str, tool: "Tool", *, builtin: bool) -> ToolDefinition:
    """One tool of the SDK as ours; only a built-in server can mark a tool as internal."""
    annotations = tool.annotations
    hints = annotations.model_dump(mode="json", by_alias=True, exclude_none=True) if annotations else {}
    return ToolDefinition(
        ref=ToolRef(server, tool.name),
        title=tool.title,
        description=tool.description or "",
        input_schema=_safe_numbers(tool.input_schema),
        output_schema=_safe_numbers(tool.output_schema),
        annotations=_safe_numbers(hints),
        internal=builtin and (tool.meta or {}).get(INTERNAL_MARK) is True,
    )


def granted(definitions: Iterable[ToolDefinition], patterns: Iterable[str]) -> tuple[ToolDefinition, ...]:
    """Those that a pattern names (`server.name` or `server.*`); never an internal one."""
    allowed = set(patterns)
    return tuple(
        definition
        for definition in definitions
        if not definition.internal and ({str(definition.ref), f"{definition.ref.server}.*"} & allowed)
    )


def _safe_numbers(value: Any) -> Any:
    """Integers above 2**53 as floats, as JSON readers take them: typed languages list such bounds in schemas."""
    if isinstance(value, dict):
        return {key: _safe_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_safe_numbers(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _SAFE_INTEGER:
        return float(value)
    return value
