"""Tasks that other tasks bring about: those that agents give away, and the undo before another try.

Who gave a task away waits without a worker. Whoever ends a task looks whether somebody waited for it; the housekeeping
does the same once a second, so that a crash in between only costs that second.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from interlock.config import LimitsConfig, Project
from interlock.guardrails import DELEGATE, plan_undo
from interlock.model import (
    Ancestor,
    Call,
    CallState,
    CancelAsked,
    ChildrenEnded,
    Conflict,
    Lease,
    NotFound,
    Origin,
    Task,
    TaskRequest,
    Unavailable,
    UndoState,
)
from interlock.orchestrator.events import handle
from interlock.orchestrator.submit import admit, admit_undo, limits_of
from interlock.store import Database, Transaction, call_rows, family_rows, task_rows

SHORTEST_S = 1.0


async def hand_over(tx: Transaction, project: Project, lease: Lease, limits: LimitsConfig) -> int:
    """Make a task of each call that gives work away and has none yet; how many such tasks of the run are not done.

    The parent's row is locked, so each call gives one task, however often this is done. `limits` are the parent's.
    """
    parent = await task_rows.get(tx, lease.task_id)
    origin = Origin(parent_id=parent.id, lineage=(ancestor_of(parent, limits), *parent.lineage))
    for call in await call_rows.in_state(tx, parent.id, CallState.STARTED):
        mine = call.tool == str(DELEGATE) and call.run_no == lease.run_no
        if mine and await family_rows.child_of_call(tx, call.id) is None:
            await _make(tx, project, parent, replace(origin, call_id=call.id), call.args)
    return await family_rows.open_children(tx, parent.id, lease.run_no)


async def _make(tx: Transaction, project: Project, parent: Task, origin: Origin, args: dict[str, Any]) -> None:
    request = TaskRequest(
        agent=str(args["agent"]),
        text=str(args["text"]),
        inputs=dict(args.get("inputs") or {}),
        priority=parent.priority,
        dedupe_key=f"call:{origin.call_id}",
        tainted=parent.tainted,
    )
    left_s = max(SHORTEST_S, parent.limits.max_duration_s - parent.worked_s)
    limits = limits_of(project.config.agents[request.agent], left_s)
    await admit(tx, project, request, limits, f"agent:{parent.agent}", origin)


def ancestor_of(task: Task, limits: LimitsConfig) -> Ancestor:
    """A task as the ones below it see it: with what they may use together."""
    return Ancestor(
        task.id,
        task.agent,
        calls_per_minute=limits.calls_per_minute,
        files=limits.files,
        services=limits.services,
        cost_usd=limits.cost_usd,
        cost_usd_per_minute=limits.cost_usd_per_minute,
        depth=limits.depth,
    )


async def take_back(tx: Transaction, project: Project, task: Task) -> bool:
    """Begin to take back what a task did, before it is tried again; False when that can't be done whole, and verified.

    A part of it would leave neither the old state nor the one that the agent knows of. What has a declared inverse only
    is in no state that could be compared with the one before.
    """
    try:
        plan = await plan_undo(tx, project.config.tools, task.id, None)
    except Conflict:
        return False
    if plan.impossible or any(call.before is None for call in plan.steps):
        return False
    begun = await admit_undo(tx, project, plan, (task.id, None), f"agent:{task.agent}", Origin(parent_id=task.id))
    return begun.created


async def no_effect_left(tx: Transaction, task_id: str) -> bool:
    """Whether a task, and those that it gave away, left nothing behind."""
    return none_left(await family_rows.calls_of_family(tx, task_id))


def none_left(calls: Iterable[Call]) -> bool:
    """Whether none of these calls has left an effect behind."""
    return not any(call.is_effect and call.undo is not UndoState.RESTORED for call in calls)


async def go_on(database: Database, parent_id: str | None = None) -> int:
    """Let those go on that waited for tasks which are over, all of them or one; how many."""
    async with database.transaction() as tx:
        found = await family_rows.waiting_for_nothing(tx, parent_id)
    woken = 0
    for family in found:
        with contextlib.suppress(Conflict, NotFound):  # somebody else was here before
            async with database.transaction() as tx:
                await task_rows.get(tx, family.task_id, lock=True)
                clean = await no_effect_left(tx, family.task_id) if family.undoing else False
                restored = "all of them are" if clean else "not all of them are"
                what = f"{restored} as before" if family.undoing else "the tasks that it gave to others are over"
                await handle(tx, family.task_id, ChildrenEnded(what, clean))
                woken += 1
    return woken


async def cancel_left_over(database: Database) -> int:
    """Cancel tasks that nobody waits for any more, and those that they gave away; how many."""
    cancelled = 0
    while True:
        async with database.transaction() as tx:
            found = await family_rows.left_over(tx)
        before = cancelled
        for task_id, why in found:
            with contextlib.suppress(Conflict, NotFound):
                async with database.transaction() as tx:
                    await handle(tx, task_id, CancelAsked(f"the task that gave it away, which {why}"))
                    cancelled += 1
        if cancelled == before:  # what is left now is somebody else's to cancel
            return cancelled


async def tend(database: Database) -> None:
    """Both, for all."""
    await go_on(database)
    await cancel_left_over(database)


async def tell_parent(database: Database, task: Task) -> None:
    """A task has ended: look at once at what that means for others."""
    with contextlib.suppress(Unavailable):  # else the next round of the housekeeping does it
        if task.parent_id is not None:
            await go_on(database, task.parent_id)
        await cancel_left_over(database)
