"""What a delivery says: the tasks that it asks for, with what they are given. Pure; every fault names its place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interlock.config import TriggerConfig, look_up
from interlock.model import UserError, canonical_sha256

MAX_INPUT_CHARS = 200_000
MAX_ALERTS = 1000
HINT = "interlock triggers list"
_STATUSES = ("firing", "resolved")


@dataclass(frozen=True)
class Event:
    """One task that is asked for.

    Attributes:
        inputs: what the agent gets, as data.
        sameness: hash of what makes it the same task as another one, as long as that is not done.
        delivery: hash of what names it, if anything does: known again for as long as the trigger says.
    """

    inputs: dict[str, Any]
    sameness: str
    delivery: str | None


def events_of(config: TriggerConfig, payload: Any, delivery_id: str | None) -> tuple[Event, ...]:
    """The tasks that a delivery asks for; none when the trigger does not care for it.

    Raises:
        UserError: something that is needed is missing, of another kind, or too large.
    """
    named = None if delivery_id is None else canonical_sha256(["id", delivery_id])
    if config.kind == "json":
        inputs = _inputs(config, payload)
        sameness = [_needed(payload, pointer) for pointer in config.dedupe] if config.dedupe else inputs
        return (Event(inputs, canonical_sha256(sameness), named),)
    return _alertmanager(config, payload, named)


def _alertmanager(config: TriggerConfig, payload: Any, named: str | None) -> tuple[Event, ...]:
    if not isinstance(payload, dict):
        raise UserError("body: expected an object, as Alertmanager sends it", hint=HINT)
    wanted = _STATUSES if config.on == "both" else (config.on or "firing",)
    group, status = _text(payload, "groupKey", "groupKey"), _status(payload, "status")
    alerts = payload.get("alerts")
    if not isinstance(alerts, list) or not alerts or len(alerts) > MAX_ALERTS:
        raise UserError(f"alerts: expected a list of 1 to {MAX_ALERTS} alerts", hint=HINT)
    each = [_alert(alert, f"alerts.{index}") for index, alert in enumerate(alerts)]
    if config.each != "alert":
        same = canonical_sha256(["group", group, status])
        return (Event(_inputs(config, payload), same, named),) if status in wanted else ()
    found = []
    for alert, own in zip(alerts, each, strict=True):
        if own["status"] in wanted:
            inputs = _inputs(config, {**payload, "status": own["status"], "alerts": [alert]})
            same = canonical_sha256(["alert", own["fingerprint"], own["status"]])
            found.append(Event(inputs, same, canonical_sha256(["alert", *own.values()])))
    return tuple(found)


def _alert(alert: Any, place: str) -> dict[str, str]:
    """What tells one occurrence of an alert from all others."""
    if not isinstance(alert, dict):
        raise UserError(f"{place}: expected an object", hint=HINT)
    status = _status(alert, f"{place}.status")
    return {"status": status, **{key: _text(alert, key, f"{place}.{key}") for key in ("fingerprint", "startsAt")}}


def _text(holder: Mapping[str, Any], key: str, place: str) -> str:
    value = holder.get(key)
    if not isinstance(value, str) or not value:
        raise UserError(f"{place}: expected a text", hint=HINT)
    return value


def _status(holder: Mapping[str, Any], place: str) -> str:
    status = _text(holder, "status", place)
    if status not in _STATUSES:
        raise UserError(f"{place}: expected firing or resolved", hint=HINT)
    return status


def _inputs(config: TriggerConfig, payload: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, pointer in config.inputs.items():
        try:
            found[name] = look_up(payload, pointer)
        except LookupError:
            if name not in config.optional:
                raise _missing(pointer) from None
    chars = len(json.dumps(found))
    if chars > MAX_INPUT_CHARS:
        names = ", ".join(config.inputs)
        raise UserError(f"{names}: {chars} characters, more than {MAX_INPUT_CHARS} for the inputs of a task", hint=HINT)
    return found


def _needed(payload: Any, pointer: str) -> Any:
    try:
        return look_up(payload, pointer)
    except LookupError:
        raise _missing(pointer) from None


def _missing(pointer: str) -> UserError:
    return UserError(f"{pointer[:200]}: missing; the trigger needs it", hint=HINT)
