"""What people and programs see of our nouns: plain JSON, the same for the API, the CLI and the console."""

import datetime
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from interlock.model import Approval, Call, Task
from interlock.store import Row


def when(moment: datetime.datetime | None) -> str | None:
    """A moment as RFC 3339 text in UTC."""
    return None if moment is None else moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds")


def whole_id(text: str) -> str:
    """A text that is a whole id, as ids are written; one that is none gives an id that nothing has."""
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError:
        return str(uuid.UUID(int=0))


def task_view(task: Task) -> dict[str, Any]:
    """A task as in lists."""
    return {
        "id": task.id,
        "agent": task.agent,
        "kind": task.kind,
        "state": task.state,
        "state_reason": task.state_reason,
        "parked": task.parked,
        "priority": task.priority,
        "run": task.run_no,
        "segment": task.segment_no,
        "max_runs": task.limits.max_runs,
        "max_duration_s": task.limits.max_duration_s,
        "worked_s": round(task.worked_s, 3),
        "crashes": task.crashes,
        "cancel_requested": task.cancel_requested,
        "tainted": task.tainted,
        "submitted_by": task.submitted_by,
        "worker": task.executor_id,
        "host": task.host,
        "retry_of": task.retry_of,
        "parent": task.parent_id,
        "config_sha256": task.config_sha256,
        "created_at": when(task.created_at),
        "changed_at": when(task.changed_at),
        "started_at": when(task.started_at),
        "finished_at": when(task.finished_at),
        "not_before": when(task.not_before),
    }


def child_view(task: Task) -> dict[str, Any]:
    """A task as the one that brought it about shows it."""
    return {"id": task.id, "agent": task.agent, "kind": task.kind, "state": task.state, "call": task.parent_call}


def undo_view(task_id: str, steps: Sequence[Call], impossible: Sequence[tuple[Call, str]]) -> dict[str, Any]:
    """What an undo would do; shape `{of, steps, impossible, task, created}`, without a task yet."""

    def which(call: Call) -> dict[str, Any]:
        return {"call": call.id, "task": call.task_id, "call_no": call.call_no, "tool": call.tool}

    return {
        "of": task_id,
        "steps": [{**which(call), "effect": call.effect} for call in steps],
        "impossible": [{**which(call), "why": why} for call, why in impossible],
        "task": None,
        "created": False,
    }


def call_view(call: Call) -> dict[str, Any]:
    """A call with its arguments, decision, result and effect; snapshots stay out."""
    return {
        "id": call.id,
        "task": call.task_id,
        "run": call.run_no,
        "call_no": call.call_no,
        "turn": call.turn_seq,
        "tool": call.tool,
        "args": call.args,
        "args_sha256": call.args_sha256,
        "agent_reason": call.reason,
        "state": call.state,
        "class": call.action_class,
        "egress": call.egress,
        "decision": call.decision,
        "rules": list(call.rules),
        "reasons": list(call.reasons),
        "plan_entry": call.plan_entry,
        "approval": call.approval_id,
        "result": call.result,
        "effect": call.effect,
        "is_effect": call.is_effect,
        "undo": call.undo,
        "undo_note": call.undo_note,
        "created_at": when(call.created_at),
        "started_at": when(call.started_at),
        "ended_at": when(call.ended_at),
    }


def approval_view(approval: Approval) -> dict[str, Any]:
    """An approval with all that a person has to see before deciding."""
    return {
        "id": approval.id,
        "task": approval.task_id,
        "call": approval.call_id,
        "state": approval.state,
        "binding": approval.binding,
        "binding_sha256": approval.binding_sha256,
        "shown": approval.shown,
        "requested_at": when(approval.requested_at),
        "expires_at": when(approval.expires_at),
        "decided_by": approval.decided_by,
        "decided_at": when(approval.decided_at),
        "reason": approval.reason,
    }


def run_view(row: Row, costs_usd: Mapping[int, float]) -> dict[str, Any]:
    """A run of a task, with what its models cost."""
    return {
        "run": row["run_no"],
        "clean": row["clean"],
        "note": row["note"],
        "outcome": row["outcome"],
        "started_at": when(row["started_at"]),
        "ended_at": when(row["ended_at"]),
        "cost_usd": round(costs_usd.get(row["run_no"], 0.0), 6),
    }
