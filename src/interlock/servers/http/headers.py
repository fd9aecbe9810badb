"""Headers of requests and answers: what a caller may set, what goes along over a redirect, what is shown. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from interlock.config import is_header_name
from interlock.model import UserError
from interlock.servers.http.limits import (
    HEADER_SHOWN_CHARACTERS,
    HEADERS_SHOWN,
    HEADERS_SHOWN_CHARACTERS,
    REQUEST_HEADER_CHARACTERS,
    REQUEST_HEADERS_CHARACTERS,
)
from interlock.servers.http.target import shown

Headers: TypeAlias = tuple[tuple[str, str], ...]

HIDDEN = "[redacted]"
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?")

# Set by this server, or about the connection, which is ours.
_OURS = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "accept-encoding",
        "http2-settings",
        "via",
        "forwarded",
        "x-host",
        "x-real-ip",
        "proxy-connection",
    }
)
# Some servers take the method or the path from these instead, and then do another thing than what was judged.
_OVERRIDES = frozenset(
    {
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-original-uri",
    }
)
_KEPT_ACROSS = frozenset({"accept", "accept-language", "user-agent"})
_OF_THE_BODY = frozenset({"idempotency-key"})


def check_headers(given: Mapping[str, str]) -> Headers:
    """The headers that a caller asks for, if they may be sent.

    Raises:
        UserError: a name or value is malformed, set by this server itself, or set twice.
    """
    seen: set[str] = set()
    for name, value in given.items():
        low = check_name(name)
        if low in seen:
            raise UserError(f"The header {shown(name)} is set twice.")
        seen.add(low)
        check_value(name, value)
    if sum(len(name) + len(value) for name, value in given.items()) > REQUEST_HEADERS_CHARACTERS:
        raise UserError(f"The headers have more than {REQUEST_HEADERS_CHARACTERS:,} characters in all.")
    return tuple(given.items())


def check_name(name: str) -> str:
    """The name in lower case, if a caller may set such a header.

    Raises:
        UserError: they may not.
    """
    low = name.lower()
    if not is_header_name(name):
        raise UserError(f"{shown(name)} is no name of a header.")
    if low in _OURS or low.startswith(("proxy-", "x-forwarded-")):
        raise UserError(f"The header {shown(name)} is set by this server and can't be given.")
    if low in _OVERRIDES:
        raise UserError(f"The header {shown(name)} could change what the request does; use 'method' and 'url'.")
    return low


def check_value(name: str, value: str) -> None:
    """Check that a value is one line of printable ASCII.

    Raises:
        UserError: it is not, or too long.
    """
    if len(value) > REQUEST_HEADER_CHARACTERS:
        raise UserError(f"The header {shown(name)} has more than {REQUEST_HEADER_CHARACTERS:,} characters.")
    if not _VALUE.fullmatch(value):
        raise UserError(f"The header {shown(name)} must be one line of printable ASCII without spaces around it.")


def has(headers: Headers, name: str) -> bool:
    """Whether a header is there; `name` in lower case."""
    return any(known.lower() == name for known, _ in headers)


def after_redirect(headers: Headers, *, same_origin: bool, same_method: bool) -> Headers:
    """What of the caller's headers goes along: to another origin nothing that could be a secret."""
    kept = headers
    if not same_origin:
        kept = tuple(pair for pair in kept if pair[0].lower() in _KEPT_ACROSS)
    if not same_method:
        kept = tuple(pair for pair in kept if not _is_of_the_body(pair[0].lower()))
    return kept


def _is_of_the_body(name: str) -> bool:
    return name in _OF_THE_BODY or name.startswith("content-")


@dataclass(frozen=True)
class Received:
    """The headers of an answer, names in lower case, in the order in which they came."""

    pairs: Headers

    @classmethod
    def read(cls, raw: Iterable[tuple[bytes, bytes]]) -> "Received":
        """From the bytes of the wire, which are ASCII or, from sloppy servers, UTF-8."""
        return cls(tuple((name.decode("ascii", "replace").lower(), _text(value)) for name, value in raw))

    def one(self, name: str) -> str | None:
        """The value of a header that came exactly once."""
        values = [value for known, value in self.pairs if known == name]
        return values[0] if len(values) == 1 else None

    def count(self, name: str) -> int:
        """How often a header came."""
        return sum(known == name for known, _ in self.pairs)

    def to_json(self) -> dict[str, str]:
        """Name to value, repeated ones joined with a comma; long ones are cut, cookies lose their values."""
        merged: dict[str, str] = {}
        room = HEADERS_SHOWN_CHARACTERS
        for name, full in self.pairs[:HEADERS_SHOWN]:
            value = _without_cookie(full) if name == "set-cookie" else full
            value = value[: min(HEADER_SHOWN_CHARACTERS, max(0, room))]
            room -= len(name) + len(value)
            merged[name] = f"{merged[name]}, {value}" if name in merged else value
        return merged


def _text(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    return "".join(character if character.isprintable() or character == "\t" else "�" for character in text)


def _without_cookie(value: str) -> str:
    cookie, semicolon, attributes = value.partition(";")
    return f"{cookie.partition('=')[0]}={HIDDEN}{semicolon}{attributes}"
