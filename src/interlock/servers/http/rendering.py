"""What a call answers: `text` for a model, `structured` for programs; bounded, without secrets."""

import base64
import json
import math
from dataclasses import dataclass
from html import unescape
from http import HTTPStatus
from typing import Any

from interlock.servers.http.body import Body
from interlock.servers.http.credentials import Vault
from interlock.servers.http.fetch import Answer, Trip
from interlock.servers.http.limits import (
    BINARY_INLINE_BYTES,
    INLINE_BYTES,
    JSON_DEPTH,
    SHOWN_BYTES,
    STRUCTURED_BYTES,
)
from interlock.servers.http.media import MediaKind, kind_of_body, media_type, shown_text, text_of
from interlock.servers.http.page import page_text
from interlock.servers.shared.calls import Outcome

_DISPENSABLE = ("body", "text", "base64", "json", "headers", "redirects")  # in this order, when there is too much
_MOST_CHARACTERS = 120


@dataclass(frozen=True)
class _Content:
    """A body, ready to be shown: `shown` for people, `parts` for the structured result."""

    shown: str
    parts: dict[str, Any]


def render(trip: Trip, vault: Vault, *, raw: bool) -> Outcome:
    """The outcome of a trip; `raw` shows HTML as it came instead of its text.

    Its structured part: `{status, method, final_url, redirects: [{status, method, url}], headers, kind, size_bytes,
    complete, sha256, json?, body?, text?, base64?, in_doubt?, fault?}`.
    """
    structured: dict[str, Any] = {"status": None, "method": trip.hops[-1].method, "final_url": trip.hops[-1].url}
    structured["redirects"] = [{"status": hop.status, "method": hop.method, "url": hop.url} for hop in trip.hops[:-1]]
    lines = [f"{'Not sent' if not trip.sent else 'No answer'}: {trip.fault}"] if trip.answer is None else []
    shown = ""
    if trip.answer is not None:
        answered = [hop for hop in trip.hops if hop.status is not None][-1]
        content = _content(trip.answer, vault, raw=raw)
        structured |= {"status": trip.answer.status, "method": answered.method, "final_url": answered.url}
        structured |= {"headers": trip.answer.headers.to_json(), **content.parts}
        lines.append(_first_line(trip, trip.answer))
        lines += [] if trip.fault is None else [trip.fault]
        lines += _notes(trip.answer.body, content)
        shown = f"\n\n{content.shown}" if content.shown else ""
    if trip.fault is not None:
        structured["fault"] = trip.fault
    if trip.in_doubt is not None:
        structured["in_doubt"] = True
        lines.append(f"Whether the {trip.in_doubt} acted is unknown: find out before you repeat it.")
    text = vault.hide("\n".join(lines) + shown)
    return Outcome(_sendable(text), _fitting(vault.hide_all(structured)), trip.failed)


def _first_line(trip: Trip, answer: Answer) -> str:
    answered = [hop for hop in trip.hops if hop.status is not None]
    phrase = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus.__members__.values() else ""
    over = f", after {len(answered) - 1} redirects" if len(answered) > 1 else ""
    what = media_type(answer.headers.one("content-type"))[:_MOST_CHARACTERS]
    size = f"{'' if answer.body.complete else 'more than '}{answer.body.size:,} bytes"
    status = f"HTTP {answer.status} {phrase}".rstrip()
    return f"{status} - {answered[-1].method} {answered[-1].url}{over} - {what + ', ' if what else ''}{size}"


def _notes(body: Body, content: _Content) -> list[str]:
    notes = []
    if body.fault is not None:
        notes.append(f"The body did not come whole: {body.fault}.")
    if content.parts["kind"] == "binary":
        notes.append(f"It is binary{f', packed as {body.packed}' if body.packed else ''}; sha256 {body.sha256}.")
    elif not content.parts["complete"]:
        notes.append("Only the start of the body is shown.")
    return notes


def _content(answer: Answer, vault: Vault, *, raw: bool) -> _Content:
    body, content_type = answer.body, answer.headers.one("content-type")
    kind = kind_of_body(body.content, content_type, packed=body.packed is not None)
    parts: dict[str, Any] = {"kind": kind, "size_bytes": body.size, "complete": body.complete, "sha256": body.sha256}
    if kind == "empty":
        return _Content("", parts)
    if kind == "binary":
        if body.complete and body.size <= BINARY_INLINE_BYTES:
            parts["base64"] = base64.b64encode(vault.hide_bytes(body.content)).decode()
        return _Content("", parts)
    full = vault.hide(text_of(body.content, content_type))
    known = _json_of(full, kind) if body.complete else None
    if known is not None and vault.hide_all(known) != known:  # a secret, in letters written as \u0000
        known = vault.hide_all(known)
        full = json.dumps(known)
    if kind == "html" and vault.hide(unescape(full)) != unescape(full):
        full = vault.hide(unescape(full))
    shown, whole = shown_text(full, drop=0 if body.complete else vault.longest, most_bytes=SHOWN_BYTES)
    return _textual(shown, known, parts, raw=raw, whole=whole and body.complete)


def _textual(text: str, known: Any, parts: dict[str, Any], *, raw: bool, whole: bool) -> _Content:
    html = page_text(text) if parts["kind"] == "html" else None
    parts["complete"] = whole
    small = len(text.encode("utf-8", "replace")) <= INLINE_BYTES
    if known is not None and small:
        parts["json"] = known
    elif small:
        parts["body"] = text
    if html is not None and len(html.encode("utf-8", "replace")) <= INLINE_BYTES:
        parts["text"] = html
    return _Content(text if html is None or raw else html, parts)


def _json_of(text: str, kind: MediaKind) -> Any:
    """The value of a JSON text; None if it is none, or has numbers or depths that other programs can't read."""
    if kind != "json":
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if _is_plain(value, JSON_DEPTH) else None


def _is_plain(value: Any, depth: int) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict | list) and depth == 0:
        return False
    if isinstance(value, dict):
        return all(_sendable(key) == key and _is_plain(item, depth - 1) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_plain(item, depth - 1) for item in value)
    return not isinstance(value, str) or _sendable(value) == value


def _sendable(text: str) -> str:
    """The text without lone surrogates, which no message can carry."""
    return text.encode("utf-8", "replace").decode()


def _fitting(structured: dict[str, Any]) -> dict[str, Any]:
    """The structured result within its bound: what the text says as well is left out first."""
    for name in _DISPENSABLE:
        if len(json.dumps(structured, ensure_ascii=False).encode("utf-8", "replace")) <= STRUCTURED_BYTES:
            break
        structured.pop(name, None)
    return structured
