"""The one door for events: lock the task, ask the lifecycle, carry its commands out, all in one transaction."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from interlock.audit import compose, record
from interlock.guardrails import DELEGATE, doubt
from interlock.memory import note_of_failure
from interlock.model import (
    ApprovalState,
    AuditEntry,
    CallState,
    CloseRun,
    Command,
    Conflict,
    CountState,
    EnqueueSegment,
    Event,
    Life,
    NoteTurn,
    ReopenRun,
    RequestTurn,
    StartRun,
    StopSegment,
    Task,
    TaskKind,
    TaskState,
    ToolResult,
    advance,
)
from interlock.observability import count_task, redact, task_counts
from interlock.store import (
    Move,
    Segment,
    Transaction,
    approval_rows,
    call_rows,
    dispatch_rows,
    run_rows,
    segment_rows,
    task_rows,
)

BACKSTOP_S = 30.0
JITTER = 0.25  # of a delay, so that tasks which failed together do not come back together


@dataclass(frozen=True)
class Along:
    """What is written along with an event.

    Attributes:
        taker: the executor that takes the lease.
        worked_s: working time.
        result: what came out; shape `{text}`.
        unless: a halt of one of these scopes is in the way.
        config_sha256: so is that another version of the configuration is active.
    """

    taker: str | None = None
    worked_s: float = 0.0
    result: dict[str, Any] | None = None
    unless: tuple[str, ...] = ()
    config_sha256: str | None = None


_NOTHING = Along()


async def handle(tx: Transaction, task_id: str, event: Event, actor: str = "system:orchestrator") -> Life:
    """Let an event happen to a task; the life it has now.

    Raises:
        Conflict: the event does not fit the task's state; nothing changes.
        NotFound: there is no such task.
    """
    task = await task_rows.get(tx, task_id, lock=True)
    before = task_rows.life_of(task)
    life, commands = advance(before, event)
    if life == before:
        return life
    life = replace(life, reason=redact(life.reason))
    await task_rows.keep_life(tx, task_id, life)
    for command in commands:
        await _carry_out(tx, task, command)
    if life.state is not before.state:
        await record(tx, _state_entry(task, life, event, actor))
    if life.state.final:
        await _settle_leftovers(tx, task)
    return life


async def move_on(tx: Transaction, seen: Task, event: Event, actor: str, along: Along = _NOTHING) -> Task | None:
    """Let an event happen to a task that was just seen, in one statement; the task as it is then.

    None when that can't be: the task is not as it was seen any more, or there is more to carry out. Then `handle` finds
    out. It does what `handle` does, for a task that goes on to another state and needs no other segment or run.
    """
    try:
        life, commands = advance(task_rows.life_of(seen), event)
    except Conflict:
        return None
    if life.state is seen.state or not all(isinstance(command, CloseRun | CountState) for command in commands):
        return None
    if (life.parked, life.rung) != (seen.parked, seen.rung):
        return None
    now, life = tx.clock.now(), replace(life, reason=redact(life.reason))
    outcome, counts = None, []
    for command in commands:
        if isinstance(command, CloseRun):
            outcome = command.outcome
        elif isinstance(command, CountState):
            seconds = (now - seen.created_at).total_seconds() if command.state.final else None
            counts = task_counts(command.state, seen.agent, seconds)
    move = Move(
        now,
        life,
        compose(_state_entry(seen, life, event, actor), now),
        along.taker,
        along.unless,
        along.worked_s,
        along.result,
        outcome,
        counts,
        along.config_sha256,
    )
    epoch = await segment_rows.move(tx, seen, move)
    if epoch is None:
        return None
    started_at = seen.started_at or (now if along.taker else None)
    executor_id = (along.taker or seen.executor_id) if life.state.held else None
    return replace(
        seen,
        state=life.state,
        state_reason=life.reason,
        epoch=epoch,
        executor_id=executor_id,
        started_at=started_at,
        changed_at=now,
        finished_at=now if life.state.final else seen.finished_at,
        worked_s=seen.worked_s + along.worked_s,
    )


def _state_entry(task: Task, life: Life, event: Event, actor: str) -> AuditEntry:
    detail = {"from": task.state, "to": life.state, "event": type(event).__name__, "crashes": life.crashes}
    ids = {"task": task.id, "run": life.run_no, "segment": life.segment_no}
    return AuditEntry("task.state", actor, ids, detail)


async def _carry_out(tx: Transaction, task: Task, command: Command) -> None:
    match command:
        case EnqueueSegment(segment_no, delay_s):
            await enqueue(tx, task, segment_no, delay_s * (1 + JITTER * _spread(task.id, segment_no)))
        case StartRun():
            await _start_run(tx, task, command)
        case ReopenRun(run_no):
            await run_rows.reopen_run(tx, task.id, run_no)
        case CloseRun(run_no, outcome):
            await run_rows.close_run(tx, task.id, run_no, outcome)
        case CountState(state):
            seconds = (tx.clock.now() - task.created_at).total_seconds() if state.final else None
            await count_task(tx, state, task.agent, seconds)
        case StopSegment():
            pass  # the worker that holds the task reads the flag within a second


def _spread(task_id: str, segment_no: int) -> float:
    """0 to 1, another one for each task and segment, the same each time."""
    return hashlib.sha256(f"{task_id}:{segment_no}".encode()).digest()[0] / 255


async def enqueue(tx: Transaction, task: Task, segment_no: int, delay_s: float = 0.0) -> None:
    """Put a segment of a task into the queue, with a backstop for a process that hangs.

    An agent outside is no worker's to run: its task waits for its next call.
    """
    if task.kind is TaskKind.OUTSIDE:
        return
    remaining_s = max(0.0, task.limits.max_duration_s - task.worked_s)
    await dispatch_rows.enqueue(
        tx,
        Segment(
            task.id, segment_no, task.virtual_deadline, delay_s, timeout_s=remaining_s + BACKSTOP_S, host=task.host
        ),
    )


async def _start_run(tx: Transaction, task: Task, command: StartRun) -> None:
    calls = await call_rows.of_task(tx, task.id)
    note = NoteTurn(note_of_failure(command.run_no - 1, command.note, calls))
    await run_rows.open_run(tx, task.id, command.run_no, clean=command.clean, note=command.note)
    if command.clean:
        request = await task_rows.request_of(tx, task.id)
        await run_rows.append(tx, task.id, command.run_no, RequestTurn(request["text"], request["inputs"]))
    await run_rows.append(tx, task.id, command.run_no, note)


async def _settle_leftovers(tx: Transaction, task: Task) -> None:
    """A task that is over leaves no question open, and no call of which nobody says whether it took effect."""
    await approval_rows.close_of_task(tx, task.id, ApprovalState.SUPERSEDED)
    for call in await call_rows.in_state(tx, task.id, CallState.STARTED):
        if call.tool == str(DELEGATE):  # it changed nothing itself, and its task is cancelled
            told = ToolResult(False, "Nobody waits for this task any more.").to_json()
            await call_rows.keep(tx, replace(call, state=CallState.FAILED, ended_at=tx.clock.now(), result=told))
            continue
        await doubt(tx, call, "system:orchestrator", "the task was stopped while the call was under way")


def first_state(delay_s: float) -> TaskState:
    """The state of a task that was just submitted."""
    return TaskState.DELAYED if delay_s > 0 else TaskState.QUEUED
