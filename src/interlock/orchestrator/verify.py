"""Checks of a finished run: deterministic, made through the gate by a principal that may only read."""

from dataclasses import replace

from interlock.config import CheckConfig, new_id
from interlock.guardrails import Gate, Subject, meets
from interlock.model import CallRequest, Denied, Done, ToolResult
from interlock.store import Database, call_rows


async def failed_check(database: Database, gate: Gate, subject: Subject) -> str | None:
    """Make the agent's checks in order; a sentence about the first that fails, or None."""
    verifier = replace(subject, read_only=True)
    for number, check in enumerate(subject.agent.verify, start=1):
        problem = await _check(database, gate, verifier, check)
        if problem is not None:
            return f"check {number} ({check.tool}): {problem}"
    return None


async def _check(database: Database, gate: Gate, verifier: Subject, check: CheckConfig) -> str | None:
    async with database.transaction(verifier.lease) as tx:
        number = await call_rows.last_number(tx, verifier.lease.task_id) + 1
        request = CallRequest(number, check.tool, dict(check.args), "check of the result")
        await call_rows.propose(tx, verifier.lease, new_id(), request)
    outcome = await gate.act(verifier, request)
    match outcome:
        case Done(observation):
            result = ToolResult(observation.ok, observation.text, observation.structured)
            if meets(result, check.expect):
                return None
            return f"expected {dict(check.expect)}, got: {observation.text[:200]}"
        case Denied(observation):
            return f"the check was refused: {observation.text[:200]}"
        case _:
            return "the check could not be made without a person"
