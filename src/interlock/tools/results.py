"""What a server answered, made into the result that is recorded and that a model reads; bounded.

What is left out of it goes along beside it: the text before it was cut, and the bytes of images and the like.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from interlock.model import Attachment, ToolResult
from interlock.observability import HIDDEN

if TYPE_CHECKING:
    from mcp.types import CallToolResult, ContentBlock, EmbeddedResource

RESULT_BYTES = 256 * 1024
KEPT_BYTES = 16 * 1024 * 1024
KEPT_ATTACHMENTS = 64
_DETAIL_CHARS = 500
_MIME_CHARS = 100


@dataclass
class _Kept:
    """Attachments, as long as there is room."""

    attachments: list[Attachment] = field(default_factory=list)
    bytes: int = 0

    def add(self, base64_text: str, mime: str) -> None:
        size = _decoded_bytes(base64_text)
        if self.bytes + size > KEPT_BYTES or len(self.attachments) >= KEPT_ATTACHMENTS:
            return
        try:
            body = base64.b64decode(base64_text)
        except (binascii.Error, ValueError):
            return
        self.bytes += len(body)
        self.attachments.append(Attachment(mime, body))


def read_result(result: "CallToolResult", *, bounded: bool = True) -> ToolResult:
    """The texts joined, other content named by kind and size, and the JSON object if there is one.

    Args:
        result: what the SDK parsed.
        bounded: cut what is longer than `RESULT_BYTES`; only the gate's own internal tools go without.
    """
    kept = _Kept()
    structured = _as_object(result.structured_content)
    parts = [_describe(block, kept) for block in result.content]
    if not parts and structured is not None:
        parts = [json.dumps(result.structured_content, ensure_ascii=False)]
    whole = "\n".join(parts)
    text, cut = _cut(whole) if bounded else (whole, False)
    left_out = [whole] if cut else []
    if bounded and structured is not None:
        written = json.dumps(structured, ensure_ascii=False)
        size = len(written.encode(errors="replace"))
        if size > RESULT_BYTES:
            structured, cut = None, True
            left_out += [] if written in left_out else [written]
            text += f"\n[the structured result of {size} bytes is left out: more than {RESULT_BYTES}]"
    return ToolResult(
        ok=not result.is_error,
        text=text,
        structured=structured,
        truncated=cut,
        overflow=_overflow(left_out),
        attachments=tuple(kept.attachments),
    )


def _overflow(left_out: list[str]) -> bytes | None:
    return "\n".join(left_out).encode(errors="replace")[:KEPT_BYTES] if left_out else None


def without(result: ToolResult, credentials: Iterable[str]) -> ToolResult:
    """The result with the server's own keys and passwords taken out: no model and no record needs them."""
    values = tuple(credentials)
    if any(value in result.text or value in str(result.structured) for value in values):
        result = replace(result, text=_hide(result.text, values), structured=_hide(result.structured, values))
    if values and (result.overflow is not None or result.attachments):
        return _without_kept(result, tuple(value.encode() for value in values))
    return result


def _without_kept(result: ToolResult, credentials: tuple[bytes, ...]) -> ToolResult:
    overflow = result.overflow or b""
    for secret in credentials:
        overflow = overflow.replace(secret, HIDDEN.encode())
    clean = tuple(found for found in result.attachments if not any(secret in found.body for secret in credentials))
    return replace(result, overflow=overflow or None, attachments=clean)


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


def _describe(block: "ContentBlock", kept: _Kept) -> str:
    if block.type == "text":
        return block.text
    if block.type == "resource":
        return _describe_resource(block, kept)
    if block.type == "resource_link":
        return f"[link to {block.uri}]"
    kept.add(block.data, _mime(block.mime_type))
    return f"[{_mime(block.mime_type) or block.type}, {_decoded_bytes(block.data)} bytes]"


def _describe_resource(block: "EmbeddedResource", kept: _Kept) -> str:
    content = block.resource
    text = getattr(content, "text", None)
    if isinstance(text, str):
        return f"[resource {content.uri}]\n{text}"
    blob = str(getattr(content, "blob", ""))
    kept.add(blob, _mime(content.mime_type))
    return f"[resource {content.uri}, {_decoded_bytes(blob)} bytes]"


def _mime(text: str | None) -> str:
    return " ".join((text or "").split())[:_MIME_CHARS] or "application/octet-stream"


def _decoded_bytes(base64_text: str) -> int:
    return len(base64_text) * 3 // 4 - base64_text[-2:].count("=")


def _cut(text: str) -> tuple[str, bool]:
    raw = text.encode(errors="replace")
    if len(raw) <= RESULT_BYTES:
        return text, False
    kept = raw[:RESULT_BYTES].decode(errors="ignore")
    return f"{kept}\n[truncated: the first {RESULT_BYTES} of {len(raw)} bytes]", True
