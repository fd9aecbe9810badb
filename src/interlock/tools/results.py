"""What a server answered, made into the result that is recorded and that a model reads; bounded."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from interlock.model import ToolResult
from interlock.observability import HIDDEN

if TYPE_CHECKING:
    from mcp.types import CallToolResult, ContentBlock, EmbeddedResource

RESULT_BYTES = 256 * 1024
_DETAIL_CHARS = 500


def read_result(result: "CallToolResult", *, bounded: bool = True) -> ToolResult:
    """The texts joined, other content named by kind and size, and the JSON object if there is one.

    Args:
        result: what the SDK parsed.
        bounded: cut what is longer than `RESULT_BYTES`; only the gate's own internal tools go without.
    """
    structured = _as_object(result.structured_content)
    parts = [_describe(block) for block in result.content]
    if not parts and structured is not None:
        parts = [json.dumps(result.structured_content, ensure_ascii=False)]
    text, cut = _cut("\n".join(parts)) if bounded else ("\n".join(parts), False)
    if bounded and structured is not None:
        size = len(json.dumps(structured, ensure_ascii=False).encode(errors="replace"))
        if size > RESULT_BYTES:
            structured, cut = None, True
            text += f"\n[the structured result of {size} bytes is left out: more than {RESULT_BYTES}]"
    return ToolResult(ok=not result.is_error, text=text, structured=structured, truncated=cut)


def without(result: ToolResult, credentials: tuple[str, ...]) -> ToolResult:
    """The result with the server's own keys and passwords taken out: no model and no record needs them."""
    if not credentials or not any(value in result.text or value in str(result.structured) for value in credentials):
        return result
    return replace(result, text=_hide(result.text, credentials), structured=_hide(result.structured, credentials))


def _hide(value: Any, credentials: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        for secret in credentials:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, dict):
        return {_hide(key, credentials): _hide(inner, credentials) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hide(inner, credentials) for inner in value]
    return value


def misfit(detail: str) -> ToolResult:
    """The tool acted, and its answer can't be used: done, with a bad result; not the same as not done."""
    text = f"the tool acted but its result does not fit its schema: {' '.join(detail.split())[:_DETAIL_CHARS]}"
    return ToolResult(ok=False, text=text)


def refused(code: int, message: str) -> ToolResult:
    """The server answered with a protocol error instead of a result."""
    text, cut = _cut(f"the server answered with error {code}: {message}")
    return ToolResult(ok=False, text=text, truncated=cut)


def wants_input() -> ToolResult:
    """The tool asked a question back, which no agent may answer by itself."""
    text = "the tool did not finish: it asks for more input from a person or the client, which is not supported"
    return ToolResult(ok=False, text=text)


def _as_object(value: Any) -> dict[str, Any] | None:
    if value is None or isinstance(value, dict):
        return value
    return {"value": value}


def _describe(block: "ContentBlock") -> str:
    if block.type == "text":
        return block.text
    if block.type == "resource":
        return _describe_resource(block)
    if block.type == "resource_link":
        return f"[link to {block.uri}]"
    return f"[{block.type}, {_decoded_bytes(block.data)} bytes]"


def _describe_resource(block: "EmbeddedResource") -> str:
    content = block.resource
    text = getattr(content, "text", None)
    if isinstance(text, str):
        return f"[resource {content.uri}]\n{text}"
    return f"[resource {content.uri}, {_decoded_bytes(str(getattr(content, 'blob', '')))} bytes]"


def _decoded_bytes(base64_text: str) -> int:
    return len(base64_text) * 3 // 4 - base64_text[-2:].count("=")


def _cut(text: str) -> tuple[str, bool]:
    raw = text.encode(errors="replace")
    if len(raw) <= RESULT_BYTES:
        return text, False
    kept = raw[:RESULT_BYTES].decode(errors="ignore")
    return f"{kept}\n[truncated: the first {RESULT_BYTES} of {len(raw)} bytes]", True
