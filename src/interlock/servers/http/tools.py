"""The tools as the server lists them, in the JSON of MCP. The schema that is published is the one that is checked."""

from collections.abc import Mapping
from typing import Any

from interlock.servers.http.limits import (
    KIB,
    LEAST_TIMEOUT_S,
    MIB,
    MOST_TIMEOUT_S,
    REDIRECTS,
    REQUEST_BODY_BYTES,
    REQUEST_HEADER_CHARACTERS,
    REQUEST_HEADERS,
    SHOWN_BYTES,
    TIMEOUT_S,
    URL_CHARACTERS,
)
from interlock.servers.shared.schemas import object_schema

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_COMMON: dict[str, Any] = {
    "url": {
        "type": "string",
        "minLength": 1,
        "maxLength": URL_CHARACTERS,
        "description": "Full http or https URL; the host must be on the operator's allow-list.",
    },
    "headers": {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": REQUEST_HEADER_CHARACTERS},
        "maxProperties": REQUEST_HEADERS,
        "description": "Headers to send. Host, the length of the body and the connection are not yours to set.",
    },
    "timeout_s": {
        "type": "number",
        "minimum": LEAST_TIMEOUT_S,
        "maximum": MOST_TIMEOUT_S,
        "default": TIMEOUT_S,
        "description": "Seconds for all of it, redirects included.",
    },
    "follow_redirects": {
        "type": "boolean",
        "default": True,
        "description": f"Follow redirects, at most {REDIRECTS}, each checked against the allow-list.",
    },
    "raw": {"type": "boolean", "default": False, "description": "Show HTML as it came instead of its text."},
}


TOOLS: Mapping[str, dict[str, Any]] = {
    "get": {
        "name": "get",
        "title": "Get a page or a resource",
        "description": (
            f"Fetch a URL with GET. Shows at most {SHOWN_BYTES // KIB} KiB of text; HTML becomes plain text; binary "
            "content is measured and hashed."
        ),
        "inputSchema": object_schema(dict(_COMMON), ["url"]),
        "annotations": {
            "readOnlyHint": True,
            "destructiveHint": False,
            "idempotentHint": True,
            "openWorldHint": True,
        },
    },
    "request": {
        "name": "request",
        "title": "Send an HTTP request",
        "description": "Send a request with any method, as for the REST API of a service. Use 'get' to only read.",
        "inputSchema": object_schema(
            {
                "method": {"enum": list(METHODS), "description": "The method."},
                **_COMMON,
                "body": {
                    "type": "string",
                    "maxLength": REQUEST_BODY_BYTES,
                    "description": f"Text to send, at most {REQUEST_BODY_BYTES // MIB} MiB; not with GET, HEAD, OPTIONS.",
                },
                "json": {"description": "A value to send as JSON instead of 'body'."},
            },
            ["method", "url"],
        ),
        "annotations": {
            "readOnlyHint": False,
            "destructiveHint": True,
            "idempotentHint": False,
            "openWorldHint": True,
        },
    },
}
