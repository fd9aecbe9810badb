"""What a tool answered beyond what a model reads: kept beside the call, for people, as blobs under their hashes."""

import asyncio
import hashlib
import mimetypes
import re
from dataclasses import dataclass, replace
from typing import Any

from interlock.model import ToolResult
from interlock.store import Transaction, catalog_rows

MAX_SUFFIX_CHARS = 8
_SHORT_ID = 8
_SHORT_HASH = 12
_SUFFIX = re.compile(r"\.[a-z0-9]+")


@dataclass(frozen=True)
class _Piece:
    name: str
    mime: str
    body: bytes
    what: str


async def keep(tx: Transaction, result: ToolResult, task_id: str, call_id: str) -> ToolResult:
    """Store what was left out of a result; a result of which nothing was left out comes back as it is.

    Args:
        tx: stores each artifact in a statement of its own; one that is stored and not referred to does no harm.
        result: as the tool server's client made it.
        task_id: they are kept for as long as this task is.
        call_id: named in the text, so that people know where to find them.

    Returns:
        The result with `artifacts` filled in, a line for each at the end of its text, and the bytes gone from it.
    """
    pieces = _pieces(result)
    if not pieces:
        return result
    kept: list[dict[str, Any]] = []
    lines: list[str] = []
    bodies = {await asyncio.to_thread(_sha256, piece.body): piece.body for piece in pieces}
    for sha256, body in sorted(bodies.items()):  # in one order, for whoever keeps the same at this moment
        await catalog_rows.keep_blob(tx, sha256, body, task_id)
    for piece in pieces:
        sha256 = next(one for one, body in bodies.items() if body == piece.body)
        kept.append({"sha256": sha256, "mime": piece.mime, "size_bytes": len(piece.body), "name": piece.name})
        where = f"interlock calls show {call_id[-_SHORT_ID:]} --artifact {sha256[:_SHORT_HASH]}"
        lines.append(f"[{piece.what}, {_size(len(piece.body))}: {where}]")
    text = "\n".join([result.text, *lines]) if result.text else "\n".join(lines)
    return replace(result, text=text, overflow=None, attachments=(), artifacts=tuple(kept))


def _pieces(result: ToolResult) -> list[_Piece]:
    pieces = []
    if result.overflow is not None:
        pieces.append(_Piece("answer.txt", "text/plain", result.overflow, "the whole answer"))
    for number, found in enumerate(result.attachments, start=1):
        name = f"attachment-{number}{_suffix(found.mime)}"
        pieces.append(_Piece(name, found.mime, found.body, f"{name} of the answer"))
    return pieces


def _suffix(mime: str) -> str:
    """How a file of this kind usually ends; the kind is what a stranger says, so only a plain one counts."""
    guessed = mimetypes.guess_extension(mime.partition(";")[0].strip().lower()) or ".bin"
    return guessed if len(guessed) <= MAX_SUFFIX_CHARS and _SUFFIX.fullmatch(guessed) else ".bin"


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _size(number: int) -> str:
    if number < 1000:
        return f"{number} B"
    return f"{number / 1000:.1f} kB" if number < 1_000_000 else f"{number / 1_000_000:.1f} MB"
