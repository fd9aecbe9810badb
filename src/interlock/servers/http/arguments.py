"""A call's arguments, checked against the very schema that the tool publishes, and made into a request."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from interlock.model import UserError
from interlock.servers.http.exchange import Request
from interlock.servers.http.headers import Headers, check_headers, has
from interlock.servers.http.limits import KEY_CHARACTERS, REQUEST_BODY_BYTES, TIMEOUT_S
from interlock.servers.http.redirects import SAFE
from interlock.servers.http.target import parse_target, shown
from interlock.servers.http.tools import TOOLS
from interlock.servers.shared.arguments import fault_of

_KEY = "Idempotency-Key"


@dataclass(frozen=True)
class Asked:
    """What a call asks for.

    Attributes:
        follow: whether redirects are followed.
        raw: whether HTML is shown as it came.
    """

    request: Request
    timeout_s: float
    follow: bool
    raw: bool


def read_arguments(tool: str, args: Mapping[str, Any], key: str | None) -> Asked:
    """What a call asks for; `key` is the caller's name for the call, for servers that do nothing twice.

    Raises:
        UserError: there is no such tool, or it does not take these arguments; the sentence names the field.
    """
    if tool not in TOOLS:
        raise UserError(f"There is no tool {shown(tool)} here; the tools are: {', '.join(TOOLS)}.")
    error = next(_validator(tool).iter_errors(args), None)
    if error is not None:
        raise UserError(f"Wrong arguments for '{tool}': {fault_of(error)}.")
    method = str(args.get("method", "GET"))
    request = Request(method, parse_target(args["url"]), check_headers(args.get("headers", {})))
    request = _with_body(request, args)
    if method not in SAFE and key and not has(request.headers, _KEY.lower()):
        request = replace(request, headers=(*request.headers, (_KEY, _sendable_key(key))))
    return Asked(
        request, float(args.get("timeout_s", TIMEOUT_S)), args.get("follow_redirects", True), args.get("raw", False)
    )


def _with_body(request: Request, args: Mapping[str, Any]) -> Request:
    given = [name for name in ("body", "json") if name in args]
    if request.method in SAFE:
        if given:
            raise UserError(f"A {request.method} has no '{given[0]}'.")
        return request
    if len(given) > 1:
        raise UserError("Give 'body' or 'json', not both.")
    content, content_type = b"", ""
    try:
        if "body" in args:
            content, content_type = args["body"].encode("utf-8"), "text/plain; charset=utf-8"
        elif "json" in args:
            content, content_type = json.dumps(args["json"], allow_nan=False).encode(), "application/json"
    except ValueError as error:  # a lone surrogate, or a number without a value
        raise UserError(f"'{given[0]}' holds something that can't be sent.") from error
    if len(content) > REQUEST_BODY_BYTES:
        raise UserError(f"The body has {len(content):,} bytes; at most {REQUEST_BODY_BYTES:,} are sent.")
    typed: Headers = (
        () if not content_type or has(request.headers, "content-type") else (("Content-Type", content_type),)
    )
    return replace(request, headers=(*request.headers, *typed), body=content)


def _sendable_key(key: str) -> str:
    plain = key.isascii() and key.isprintable() and " " not in key and len(key) <= KEY_CHARACTERS
    return key if plain else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


@cache
def _validator(tool: str) -> Draft202012Validator:
    return Draft202012Validator(TOOLS[tool]["inputSchema"])
