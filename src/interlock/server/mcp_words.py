"""Results of MCP that say what went wrong and what to do, for a model to read."""

from typing import Any

import mcp_types as types

from interlock.model import InterlockError


def error_of(error: InterlockError) -> types.CallToolResult:
    """An error of ours as a result, with its code and hint."""
    facts = {"status": "error", "code": error.code, "hint": error.next_step, "retryable": error.retryable}
    return failed(f"Error: {error.message}\nhint: {error.next_step}\ncode: {error.code}", facts)


def failed(words: str, facts: dict[str, Any]) -> types.CallToolResult:
    """A result that is none, in words and as an object."""
    return types.CallToolResult(content=[text_of(words)], structured_content=facts, is_error=True)


def text_of(text: str) -> types.TextContent:
    """A text as a part of a result."""
    return types.TextContent(type="text", text=text)
