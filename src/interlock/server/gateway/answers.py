"""What became of a call, in the words of the protocol: results, open questions, doubts."""

import datetime
import json
from typing import Any

import mcp_types as types

from interlock.app import MadeCall, OfferedTool
from interlock.model import ActionClass, Approval, InDoubt, Observation
from interlock.server.mcp_words import failed, text_of

CUT = "[the result does not have the declared shape: something of it is left out]"


def tool_of(offered: OfferedTool) -> types.Tool:
    """A tool as it is listed. Its hints are what the gate takes it for, not what its server says of itself."""
    definition = offered.definition
    reads = offered.action_class is ActionClass.READ
    hints = types.ToolAnnotations(
        title=definition.title,
        read_only_hint=reads,
        destructive_hint=not reads,
        idempotent_hint=offered.idempotent,
        open_world_hint=offered.egress,
    )
    return types.Tool(
        name=offered.name,
        title=definition.title,
        description=definition.description,
        input_schema=definition.input_schema,
        output_schema=_promised(offered),
        annotations=hints,
    )


def _promised(offered: OfferedTool) -> dict[str, Any] | None:
    """The output schema, where no harm is done if a result does not keep it.

    A client that finds a result wanting reports a failure, although the call took effect; and it makes it again.
    """
    return offered.definition.output_schema if offered.checked_output else None


def result_of(offered: OfferedTool, seen: Observation) -> types.CallToolResult:
    """The result of a call that was made, or refused."""
    text, is_error = seen.text, not seen.ok
    if seen.ok and seen.structured is None and _promised(offered) is not None:
        text, is_error = f"{text}\n{CUT}", True
    return types.CallToolResult(content=[text_of(text)], structured_content=seen.structured, is_error=is_error)


def pending_of(made: MadeCall, question: Approval) -> types.CallToolResult:
    """A call that waits for a person, for clients that can't carry a question on."""
    facts = {
        "status": "approval_pending",
        "approval": question.id,
        "call": made.number,
        "expires_at": _when(question.expires_at),
        "retry": "call again with the same arguments",
    }
    words = (
        f"Not done yet: call {made.number} waits for a person's approval ({question.id}), until "
        f"{facts['expires_at']}. Make exactly the same call again to hear the decision; once approved, that runs it, "
        "and only once. Do not look for a way around it."
    )
    return failed(words, facts)


def doubt_of(made: MadeCall, outcome: InDoubt) -> types.CallToolResult:
    """A call of which nobody knows whether it took effect."""
    facts = {
        "status": "in_doubt",
        "call": made.number,
        "call_id": outcome.call_id,
        "retry": "call again with the same arguments, when a person has found out",
    }
    words = (
        f"Nobody knows whether call {made.number} took effect: {outcome.reason}. A person finds out (interlock calls "
        f"resolve {outcome.call_id}); until then no further calls are made. It is never repeated by itself. Make exactly "
        "the same call again later to hear what was found."
    )
    return failed(words, facts)


def _when(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="seconds")


def carried(call_id: str, approval_id: str) -> str:
    """What a client carries from one round of a call to the next; sealed before it leaves."""
    return json.dumps({"call": call_id, "approval": approval_id})


def read_carried(text: str) -> tuple[str, str]:
    """Call and approval of what `carried` wrote."""
    facts = json.loads(text)
    return str(facts["call"]), str(facts["approval"])
