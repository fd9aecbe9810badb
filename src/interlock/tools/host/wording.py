"""Our nouns as JSON between a worker and the tool host: definitions, health, results, errors."""

import base64
from dataclasses import replace
from typing import Any

from interlock.model import (
    Attachment,
    Bug,
    ConfigError,
    InterlockError,
    NotFound,
    ServerHealth,
    ServerState,
    ToolBusy,
    ToolDefinition,
    ToolLost,
    ToolRef,
    ToolResult,
    ToolTimeout,
    ToolUnavailable,
    UserError,
)
from interlock.tools.delivery import Delivery
from interlock.tools.expectation import Expectation

KEPT_BYTES = 16 * 1024 * 1024  # of one result, besides what a model reads
_KINDS: dict[str, type[InterlockError]] = {
    kind.code: kind for kind in (ToolUnavailable, ToolBusy, ToolLost, ToolTimeout, NotFound, ConfigError, UserError)
}


def definition_to_json(definition: ToolDefinition) -> dict[str, Any]:
    """Shape `{name, title, description, input_schema, output_schema, annotations, internal}`."""
    return {
        "name": definition.ref.name,
        "title": definition.title,
        "description": definition.description,
        "input_schema": definition.input_schema,
        "output_schema": definition.output_schema,
        "annotations": definition.annotations,
        "internal": definition.internal,
    }


def definition_from_json(server: str, data: dict[str, Any]) -> ToolDefinition:
    """Read what `definition_to_json` wrote."""
    return ToolDefinition(ref=ToolRef(server, data["name"]), **{key: data[key] for key in data if key != "name"})


def health_to_json(health: ServerHealth) -> dict[str, Any]:
    """All fields by name."""
    return {**vars(health), "stderr_tail": list(health.stderr_tail)}


def health_from_json(data: dict[str, Any]) -> ServerHealth:
    """Read what `health_to_json` wrote."""
    return ServerHealth(
        **{**data, "state": ServerState(data["state"]), "stderr_tail": tuple(data["stderr_tail"])},
    )


def error_to_json(error: InterlockError) -> dict[str, Any]:
    """Shape `{code, message, hint}`, with `retry_after_s` of a server that is busy."""
    body = {"code": error.code, "message": error.message, "hint": error.next_step}
    return {**body, "retry_after_s": error.retry_after_s} if isinstance(error, ToolBusy) else body


def error_from_json(data: dict[str, Any]) -> InterlockError:
    """Read what `error_to_json` wrote; an error that no caller expects is a bug."""
    kind = _KINDS.get(data["code"], Bug)
    if kind is ToolBusy:
        return ToolBusy(data["message"], hint=data["hint"], retry_after_s=data["retry_after_s"])
    return kind(data["message"], hint=data["hint"])


def delivery_to_json(how: Delivery) -> dict[str, Any]:
    """All but what can't travel: instead of being asked, the tool host is told until when a call may be sent."""
    return {
        "timeout_s": how.timeout_s,
        "idempotency_key": how.idempotency_key,
        "trace": how.trace,
        "run": how.run,
        "repeat": how.repeat,
        "pin_sha256": how.expect.pin_sha256,
        "state_sha256": how.expect.state_sha256,
        "not_after_s": how.expect.not_after_s,
    }


def delivery_from_json(data: dict[str, Any]) -> Delivery:
    """Read what `delivery_to_json` wrote."""
    expect = Expectation(data["pin_sha256"], data["state_sha256"], not_after_s=data["not_after_s"])
    return Delivery(
        data["timeout_s"], data["idempotency_key"], data["trace"], expect, run=data["run"], repeat=data["repeat"]
    )


def result_to_json(result: ToolResult) -> dict[str, Any]:
    """Shape of `ToolResult.to_json`, with `overflow` and `attachments` in base64 as far as there is room for them."""
    body = result.to_json()
    overflow = (result.overflow or b"")[:KEPT_BYTES]
    left = KEPT_BYTES - len(overflow)
    if overflow:
        body["overflow"] = base64.b64encode(overflow).decode()
    attachments = []
    for found in result.attachments:
        if len(found.body) <= left:
            left -= len(found.body)
            attachments.append({"mime": found.mime, "body": base64.b64encode(found.body).decode()})
    return {**body, "attachments": attachments} if attachments else body


def result_from_json(data: dict[str, Any]) -> ToolResult:
    """Read what `result_to_json` wrote."""
    overflow, attachments = data.get("overflow"), data.get("attachments", ())
    return replace(
        ToolResult.from_json(data),
        overflow=None if overflow is None else base64.b64decode(overflow),
        attachments=tuple(Attachment(found["mime"], base64.b64decode(found["body"])) for found in attachments),
    )
