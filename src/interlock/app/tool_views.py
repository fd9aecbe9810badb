"""Tool servers and their tools as plain JSON, the same for the API, the CLI and the console."""

from collections.abc import Iterable
from typing import Any

from interlock.app.pinning import Look
from interlock.app.views import when
from interlock.config import ToolServerConfig
from interlock.guardrails import BreakerView, Opinion, class_of, contract_of
from interlock.model import ServerHealth, ToolContract, ToolDefinition


def health_view(health: ServerHealth) -> dict[str, Any]:
    """The health of a server."""
    return {
        "server": health.server,
        "state": health.state,
        "reason": health.reason,
        "since": health.since or None,
        "tools": health.tools,
        "restarts": health.restarts,
        "pid": health.pid,
        "sandbox": health.sandbox,
        "stderr_tail": list(health.stderr_tail),
    }


def tool_view(definition: ToolDefinition, config: ToolServerConfig, look: Look) -> dict[str, Any]:
    """A tool as in lists; `declared` says that its class was, else it was read off its definition."""
    contract = contract_of(config, definition.ref.name)
    action_class, _ = class_of(definition, contract, trusted_hints=config.trusted_hints)
    pinned = look.pins.get(definition.ref.name)
    pin = "new" if pinned is None else "accepted" if pinned == definition.pin_sha256 else "changed"
    return {
        "tool": str(definition.ref),
        "title": definition.title,
        "description": definition.description,
        "input_schema": definition.input_schema,
        "annotations": definition.annotations,
        "class": action_class,
        "declared": contract.action_class is not None,
        "egress": contract.egress,
        "pin": pin,
        "pin_sha256": definition.pin_sha256,
        "internal": definition.internal,
    }


def contract_view(contract: ToolContract) -> dict[str, Any]:
    """What is declared of a tool, by the operator or by us; only what differs from declaring nothing."""
    plain = ToolContract()
    found = {name: value for name, value in vars(contract).items() if value != getattr(plain, name)}
    if "action_class" in found:
        found = {"class": found.pop("action_class"), **found}
    if contract.fallbacks:
        found["fallbacks"] = [{"tool": tool, "args": args} for tool, args in contract.fallbacks]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def opinion_view(opinion: Opinion) -> dict[str, Any]:
    """What the definition of a tool alone tells of its class."""
    return {
        "class": opinion.action_class,
        "egress": opinion.egress,
        "arg_dependent": opinion.arg_dependent,
        "reasons": list(opinion.reasons),
    }


def sighting_views(server: str, look: Look) -> list[dict[str, Any]]:
    """The tools that are not the accepted ones: what became of each, and how it differs."""
    return [
        {
            "tool": f"{server}.{name}",
            "kind": sighting.kind,
            "sha256": sighting.sha256,
            "seen_at": when(sighting.seen_at),
            "was": f"{server}.{look.renames[name].old}" if name in look.renames else None,
            "diff": look.difference(name),
        }
        for name, sighting in look.sightings.items()
    ]


def breaker_views(breakers: Iterable[BreakerView]) -> list[dict[str, Any]]:
    """Breakers that remember a failure, by tool."""
    return [
        {
            "tool": found.key.partition(":")[2],
            "phase": found.phase,
            "failures": found.failures,
            "retry_after_s": round(found.retry_after_s, 1),
            "reason": found.reason,
        }
        for found in breakers
    ]
