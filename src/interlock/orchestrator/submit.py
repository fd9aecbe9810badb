"""Admission: a request becomes a task and its first segment in one commit, or is the task that runs already."""

import datetime
from dataclasses import dataclass, replace
from typing import Any

from interlock.audit import compose
from interlock.config import AgentConfig, Project, host_of, new_id, read_checks
from interlock.guardrails import UndoPlan, blobs_of, mark_impossible, plan_undo, proposal_of
from interlock.model import (
    AuditEntry,
    BacklogFull,
    Conflict,
    Origin,
    Task,
    TaskKind,
    TaskLimits,
    TaskRequest,
    UnknownAgent,
    UserError,
    canonical_sha256,
)
from interlock.orchestrator.events import BACKSTOP_S, first_state
from interlock.store import (
    Admission,
    Database,
    NewTask,
    Transaction,
    admission_rows,
    backlog_rows,
    catalog_rows,
    family_rows,
    task_rows,
)

MAX_TEXT_CHARS = 100_000
UNDO_AGENT = "undo"
HINT = "interlock submit --help"
_ASKED = Origin()


@dataclass(frozen=True)
class Submitted:
    """The task, and whether it was made by this request."""

    task: Task
    created: bool


def limits_of(agent: AgentConfig, asked_duration_s: float | None) -> TaskLimits:
    """A task's bounds: the agent's; a request may shorten the duration."""
    limits = agent.limits
    duration = limits.max_duration
    if asked_duration_s is not None:
        duration = min(duration, asked_duration_s)
    return TaskLimits(duration, limits.max_runs, limits.max_turns, retry_delay_s=limits.retry_delay)


def dedupe_key_of(request: TaskRequest) -> str:
    """The given key, else a hash over agent, text with its white space folded, inputs, and checks if it has its own."""
    if request.dedupe_key is not None:
        return f"given:{request.agent}:{request.dedupe_key}"
    text = " ".join(request.text.split())
    what: list[Any] = [request.agent, request.kind, text, request.inputs, request.undo_of]
    return "content:" + canonical_sha256([*what, list(request.checks)] if request.checks else what)


async def submit(database: Database, project: Project, request: TaskRequest, by: str) -> Submitted:
    """Take a request in; a request that equals one that is not final gives that task back.

    Raises:
        UnknownAgent: no such agent is configured.
        UserError: a field is out of bounds; the message names it.
    """
    agent = project.config.agents.get(request.agent)
    if agent is None:
        known = ", ".join(sorted(project.config.agents)) or "none"
        raise UnknownAgent(f"there is no agent '{request.agent}'; configured are: {known}")
    _check(request)
    read_checks(list(request.checks), agent, project.config)
    async with database.at_once() as tx:
        return await admit(tx, project, request, limits_of(agent, request.max_duration_s), by)


def _check(request: TaskRequest) -> None:
    if not request.text.strip():
        raise UserError("text: it is empty; say what the agent shall do", hint='interlock submit "TEXT" --agent A')
    if len(request.text) > MAX_TEXT_CHARS:
        raise UserError(
            f"text: {len(request.text)} characters, more than {MAX_TEXT_CHARS}; put data into a file", hint=HINT
        )
    if not 0 <= request.priority <= 9:
        raise UserError(f"priority: {request.priority} is not between 0 (first) and 9 (last)", hint=HINT)
    if request.max_duration_s is not None and request.max_duration_s <= 0:
        raise UserError("max_duration: it must be more than zero", hint=HINT)
    if request.dedupe_key is not None and not 0 < len(request.dedupe_key) <= 200:
        raise UserError("dedupe_key: expected 1 to 200 characters", hint=HINT)


async def admit(
    tx: Transaction,
    project: Project,
    request: TaskRequest,
    limits: TaskLimits,
    by: str,
    origin: Origin = _ASKED,
) -> Submitted:
    """Make a task of a checked request in an open transaction, or give the equal one that is not final.

    It is one statement, so it needs no transaction but the one that a statement is. Submits of the same moment do not
    see each other in the backlog. `origin` is what brought it about, if nobody asked for it.

    Raises:
        BacklogFull: too many tasks of the agent wait.
    """
    admission = admission_of(tx.clock.now(), project, request, limits, by, origin)
    task = await admission_rows.admit(tx, admission)
    if task is not None:
        return Submitted(task, created=True)
    existing = await task_rows.find_by_dedupe_key(tx, admission.new.dedupe_key)
    if existing is not None:
        return Submitted(existing, created=False)
    waiting = await backlog_rows.waiting(tx, request.agent)
    if admission.backlog is None or waiting < admission.backlog:
        raise Conflict("an equal task ended, or another one began, at this very moment", hint="submit it again")
    raise BacklogFull(
        f"{waiting} tasks wait for the agent '{request.agent}', and its `backlog` is "
        f"{admission.backlog}; this one was not taken in",
        hint=f"interlock tasks list --agent {request.agent}; try again when some have begun",
    )


def admission_of(
    now: datetime.datetime,
    project: Project,
    request: TaskRequest,
    limits: TaskLimits,
    by: str,
    origin: Origin = _ASKED,
) -> Admission:
    """All that a task begins with."""
    delay_s = max(0.0, (request.not_before - now).total_seconds()) if request.not_before else 0.0
    reason = (
        f"waits until {request.not_before:%Y-%m-%d %H:%M:%S %Z}" if delay_s and request.not_before else "in the queue"
    )
    key = dedupe_key_of(request)
    agent = None if request.kind is TaskKind.UNDO else project.config.agents.get(request.agent)
    host = request.host if agent is None else host_of(agent, project.config)
    new = NewTask(new_id(), request, key, limits, project.sha256, by, first_state(delay_s), reason, origin, host)
    detail = {
        "agent": request.agent,
        "kind": request.kind,
        "priority": request.priority,
        "request_sha256": canonical_sha256({"text": request.text, "inputs": request.inputs}),
        "config_sha256": project.sha256,
        **({"parent": origin.parent_id, "parent_call": origin.call_id} if origin.parent_id else {}),
    }
    # A queue without a bound only hides that nobody keeps up.
    return Admission(
        new,
        compose(AuditEntry("task.submitted", by, {"task": new.id}, detail), now),
        backlog=agent.backlog
        if agent is not None and request.kind is TaskKind.AGENT and origin.parent_id is None
        else None,
        timeout_s=None if request.kind is TaskKind.OUTSIDE else limits.max_duration_s + BACKSTOP_S,
        delay_s=delay_s,
    )


async def look_at_undo(tx: Transaction, project: Project, task_id: str, call_id: str | None) -> UndoPlan:
    """What an undo of a task, or of one of its calls, would do."""
    task = await task_rows.get(tx, task_id)
    if task.state.held:
        raise Conflict(
            "the task is running; cancel it or wait before undoing it", hint=f"interlock tasks cancel {task_id}"
        )
    below = await family_rows.at_work(tx, task_id)
    if below is not None:
        raise Conflict(
            f"task {below[:8]}, which it gave away, is running; cancel it or wait before undoing this one",
            hint=f"interlock tasks cancel {below}",
        )
    return await plan_undo(tx, project.config.tools, task_id, call_id)


async def submit_undo(database: Database, project: Project, target: tuple[str, str | None], by: str) -> Submitted:
    """Submit the reversal of a task, or of one call of it; `target` is `(task_id, call_id or None)`.

    Raises:
        Conflict: nothing can be taken back, or the task is running.
    """
    task_id, call_id = target
    async with database.transaction() as tx:
        await task_rows.get(tx, task_id, lock=True)  # so that it can't be forgotten meanwhile
        plan = await look_at_undo(tx, project, task_id, call_id)
        await mark_impossible(tx, plan)
        if plan.steps:
            return await admit_undo(tx, project, plan, target, by)
    call, why = plan.impossible[0]
    raise Conflict(f"call {call.call_no} ({call.tool}) can't be undone: {why}", hint=f"interlock tasks show {task_id}")


async def admit_undo(
    tx: Transaction,
    project: Project,
    plan: UndoPlan,
    target: tuple[str, str | None],
    by: str,
    origin: Origin = _ASKED,
) -> Submitted:
    """Take in the reversal of what a plan can take back."""
    host = (await task_rows.get(tx, target[0])).host
    request = replace(_undo_request(project, plan, target), host=host)
    submitted = await admit(tx, project, request, TaskLimits(max_runs=3, max_turns=len(plan.steps) + 2), by, origin)
    blobs = [sha256 for call in plan.steps for sha256 in blobs_of(call.before)]
    await catalog_rows.use_blobs(tx, submitted.task.id, blobs)
    return submitted


def _undo_request(project: Project, plan: UndoPlan, target: tuple[str, str | None]) -> TaskRequest:
    task_id, call_id = target
    steps: list[dict[str, Any]] = [{"call": call.id, **proposal_of(call, project.config.tools)} for call in plan.steps]
    what = f"call {call_id}" if call_id else f"task {task_id}"
    return TaskRequest(
        agent=UNDO_AGENT,
        text=f"Take back the effects of {what}: {len(steps)} calls, last one first.",
        inputs={"steps": steps},
        priority=1,
        dedupe_key=call_id or task_id,
        kind=TaskKind.UNDO,
        undo_of={"task": task_id, **({"call": call_id} if call_id else {})},
    )


async def submit_again(database: Database, project: Project, task_id: str, by: str) -> Submitted:
    """A new task with the request of one that is final."""
    async with database.transaction() as tx:
        task = await task_rows.get(tx, task_id, lock=True)  # so that it can't be forgotten meanwhile
        if task.kind is TaskKind.UNDO:
            raise Conflict("an undo is not retried as a task; undo the task again", hint="interlock undo TASK")
        if task.kind is TaskKind.OUTSIDE:
            raise Conflict("an agent outside makes its calls itself; let it call again", hint="interlock tokens list")
        body = await task_rows.request_of(tx, task_id)
        agent = project.config.agents.get(task.agent)
        if agent is None:
            raise UnknownAgent(f"the agent '{task.agent}' of that task is not configured any more")
        outside, checks = bool(body.get("tainted")), tuple(body.get("checks") or ())
        request = TaskRequest(task.agent, body["text"], body["inputs"], task.priority, tainted=outside, checks=checks)
        return await admit(
            tx, project, request, limits_of(agent, task.limits.max_duration_s), by, Origin(retry_of=task.id)
        )
