"""A submission, read: every fault names its field, and nothing is half taken in."""

import datetime
import json
from typing import Any

from interlock.config import parse_duration_s
from interlock.model import TaskRequest, UserError

MAX_CHECKS = 50
MAX_CHECKS_CHARS = 100_000
MAX_DURATION_S = 10 * 366 * 86_400.0
_SUBMIT = "interlock submit --help"
_FIELDS = frozenset({"agent", "text", "inputs", "priority", "dedupe_key", "delay", "at", "max_duration", "checks"})


def read_submission(body: dict[str, Any], now: datetime.datetime) -> TaskRequest:
    """Read a submission.

    Raises:
        UserError: a field is unknown, missing, or not what it should be.
    """
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise UserError(f"{unknown[0]}: unknown field; expected {', '.join(sorted(_FIELDS))}", hint=_SUBMIT)
    for name in ("agent", "text"):
        if not isinstance(body.get(name), str):
            raise UserError(f"{name}: expected a text", hint=_SUBMIT)
    inputs = body.get("inputs") or {}
    if not isinstance(inputs, dict) or len(json.dumps(inputs)) > 200_000:
        raise UserError("inputs: expected an object of at most 200,000 characters", hint=_SUBMIT)
    priority = body.get("priority", 5)
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise UserError("priority: expected a whole number from 0 to 9", hint=_SUBMIT)
    dedupe_key = body.get("dedupe_key")
    if dedupe_key is not None and not isinstance(dedupe_key, str):
        raise UserError("dedupe_key: expected a text", hint=_SUBMIT)
    return TaskRequest(
        agent=body["agent"],
        text=body["text"],
        inputs=inputs,
        priority=priority,
        dedupe_key=dedupe_key,
        not_before=_not_before(body, now),
        max_duration_s=_seconds("max_duration", body.get("max_duration")),
        checks=_checks(body.get("checks")),
    )


def _checks(value: Any) -> tuple[dict[str, Any], ...]:
    """Checks in the shape of `verify:`; what is in them is looked at when the agent is known."""
    checks = value if value is not None else []
    fitting = isinstance(checks, list) and all(isinstance(check, dict) for check in checks)
    if not fitting or len(checks) > MAX_CHECKS or len(json.dumps(checks)) > MAX_CHECKS_CHARS:
        raise UserError(
            f"checks: expected a list of at most {MAX_CHECKS} objects and {MAX_CHECKS_CHARS:,} characters", hint=_SUBMIT
        )
    return tuple(checks)


def _seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration_s(value)
    except ValueError as error:
        raise UserError(f"{name}: {error}", hint=_SUBMIT) from error


def _not_before(body: dict[str, Any], now: datetime.datetime) -> datetime.datetime | None:
    delay_s = _seconds("delay", body.get("delay"))
    if delay_s is not None and body.get("at") is not None:
        raise UserError("delay and at: give one of them", hint=_SUBMIT)
    if delay_s is not None:
        return now + datetime.timedelta(seconds=delay_s)
    if body.get("at") is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(str(body["at"]))
    except ValueError as error:
        raise UserError(
            f"at: '{body['at']}' is no time: expected one such as 2026-12-24T18:00:00+01:00", hint=_SUBMIT
        ) from error
    if moment.tzinfo is None:
        raise UserError("at: it has no time zone: add one, as in 2026-12-24T18:00:00+01:00 or …Z", hint=_SUBMIT)
    if (moment - now).total_seconds() > MAX_DURATION_S:
        raise UserError("at: it is more than ten years ahead", hint=_SUBMIT)
    return max(moment, now)
