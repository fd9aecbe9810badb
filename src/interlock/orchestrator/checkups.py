"""One harmless call of each tool server, to see whether it works: a task of its own that may only read.

Its calls pass the same gate as any other, are in the ledger and in the audit, and nothing that is not a read is made.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from interlock.config import AgentConfig, LimitsConfig, Project, new_id
from interlock.guardrails import Gate, Subject
from interlock.model import (
    ActOutcome,
    Answered,
    CallRequest,
    Claimed,
    RequestTurn,
    TaskKind,
    TaskLimits,
    TaskRequest,
    ToolRef,
    Unavailable,
)
from interlock.orchestrator.events import handle
from interlock.orchestrator.outside_tasks import OutsideTasks
from interlock.orchestrator.presence import Presence
from interlock.orchestrator.submit import admit
from interlock.store import Database, task_rows

AGENT = "tools-test"
TEXT = "Try every tool server with one harmless call."
REASON = "one safe call, to see whether the server works"
LONGEST_S = 3600.0
BEAT_EVERY_S = 1.0
_LIMITS = LimitsConfig(calls_per_minute=100_000)


@dataclass
class Checkup:
    """A task that is under way; made by `checkup`."""

    gate: Gate
    subject: Subject
    last_no: int = 0

    async def call(self, ref: ToolRef, args: dict[str, Any]) -> ActOutcome:
        """Make one call through the gate, which refuses it unless it is a read of an accepted tool.

        Raises:
            Unavailable: the database does not answer.
            Fenced: somebody else ended the task.
        """
        self.last_no += 1
        request = CallRequest(self.last_no, str(ref), args, REASON)
        looked = await self.gate.propose(self.subject, request, new_id())
        return await self.gate.act(self.subject, request, looked)


@asynccontextmanager
async def checkup(
    database: Database, project: Project, gate: Gate, presence: Presence, by: str
) -> AsyncIterator[Checkup]:
    """A task for such calls, which ends with the block; questions that they would put to people end with it.

    Raises:
        DatabaseUnavailable: Postgres does not answer.
    """
    await presence.ensure()
    beating = asyncio.create_task(_beat(presence), name="presence")
    try:
        found = Checkup(gate, await _take(database, project, presence, by))
        try:
            yield found
        finally:
            await OutsideTasks(database, project, gate, presence.executor_id).end(found.subject.lease, Answered(0))
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await presence.leave()


async def _take(database: Database, project: Project, presence: Presence, by: str) -> Subject:
    request = TaskRequest(AGENT, TEXT, dedupe_key=new_id(), kind=TaskKind.OUTSIDE)
    actor = f"{AGENT}:{presence.executor_id}"
    async with database.transaction() as tx:
        task = (await admit(tx, project, request, TaskLimits(LONGEST_S), by)).task
        await handle(tx, task.id, Claimed(task.segment_no), actor)
        lease = await task_rows.take_lease(tx, await task_rows.get(tx, task.id, lock=True), presence.executor_id)
        task = await task_rows.get(tx, task.id)
    return Subject(lease, task, AgentConfig(limits=_LIMITS), RequestTurn(TEXT, {}), read_only=True)


async def _beat(presence: Presence) -> None:
    while True:
        with contextlib.suppress(Unavailable):
            await presence.beat()
        await asyncio.sleep(BEAT_EVERY_S)
