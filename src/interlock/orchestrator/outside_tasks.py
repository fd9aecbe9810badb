"""The tasks behind calls from outside: found or made for a token, taken over from servers that died, ended."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

from interlock.config import AgentConfig, Project
from interlock.guardrails import Gate, Subject
from interlock.model import (
    FIRST_HOST,
    Answered,
    Blocked,
    Call,
    CallRequest,
    CallState,
    Claimed,
    Conflict,
    Fenced,
    InDoubt,
    Lease,
    RequestTurn,
    Stopped,
    Task,
    TaskKind,
    TaskLimits,
    TaskRequest,
    TaskState,
    Unauthorized,
    Unavailable,
)
from interlock.orchestrator.events import handle
from interlock.orchestrator.submit import admit
from interlock.store import AgentToken, Database, Row, Transaction, call_rows, executor_rows, task_rows

HOLDER_PATIENCE_S = 5.0
LOOK_EVERY_S = 0.5
MAX_UNTOLD = 1000
NEVER_TOO_OFTEN = 1_000_000  # servers may come and go as often as they like while an agent outside works


@dataclass(frozen=True)
class Opened:
    """A task that this process holds now.

    Attributes:
        untold: its calls whose outcome the agent has not heard.
        started: its calls that were under way when the server before died.
        last_no: the highest number of a call.
    """

    subject: Subject
    untold: list[Row]
    started: list[Call]
    last_no: int


@dataclass(frozen=True)
class OutsideTasks:
    """Takes and ends tasks of agents outside, under the name of this process."""

    database: Database
    project: Project
    gate: Gate
    executor_id: str
    host: str = ""

    async def open(self, token: AgentToken) -> Opened:
        """Hold the task of a token, which is made if it has none.

        Raises:
            Unauthorized: the agent is not configured any more.
            Conflict: the task is over, or a person must decide about it first.
            Unavailable: another server that lives has a call of it under way.
        """
        agent = self.project.config.agents.get(token.agent)
        if agent is None:
            raise Unauthorized(
                f"the agent '{token.agent}' of this token is not configured any more", hint="interlock tokens list"
            )
        deadline_s = time.monotonic() + HOLDER_PATIENCE_S
        while True:
            async with self.database.transaction() as tx:
                task = await self._task(tx, token, agent)
                started = await call_rows.in_state(tx, task.id, CallState.STARTED)
                if not started or not await self._held_elsewhere(tx, task):
                    return await self._take(tx, task, agent, started)
            if time.monotonic() >= deadline_s:
                raise Unavailable(
                    "a call of this agent is under way at another server", hint="try again in a few seconds"
                )
            await asyncio.sleep(LOOK_EVERY_S)

    async def settle(self, opened: Opened) -> InDoubt | None:
        """Find out about calls that were under way when their server died; the first that stays in doubt, if any."""
        doubtful = None
        for call in opened.started:
            outcome = await self.gate.act(opened.subject, CallRequest(call.call_no, call.tool, call.args, call.reason))
            if isinstance(outcome, InDoubt) and doubtful is None:
                doubtful = outcome
        return doubtful

    async def end(self, lease: Lease, event: Answered | Blocked | Stopped) -> None:
        """Let a task end, or be set aside, unless it moved on by itself."""
        with contextlib.suppress(Conflict, Fenced):
            async with self.database.transaction(lease) as tx:
                await handle(tx, lease.task_id, event, self._actor)
        await self.gate.release(lease)

    async def adopt(self, task_id: str, *, idle: bool) -> Opened | None:
        """Look after a task whose server is gone: find out about its calls, and end it if nobody needs it any more.

        Returns it if it is held here from now on.
        """
        async with self.database.transaction() as tx:
            task = await task_rows.get(tx, task_id, lock=True)
            agent = self.project.config.agents.get(task.agent)
            if task.state not in (TaskState.QUEUED, TaskState.RUNNING) or await self._held_elsewhere(tx, task):
                return None
            started = await call_rows.in_state(tx, task.id, CallState.STARTED)
            opened = await self._take(tx, task, agent or AgentConfig(), started)
        doubtful = await self.settle(opened)
        if doubtful is None and not idle:
            return opened
        await self.end(opened.subject.lease, Answered(0) if doubtful is None else blocked_by(doubtful))
        return None

    async def _take(self, tx: Transaction, task: Task, agent: AgentConfig, started: list[Call]) -> Opened:
        if task.state is TaskState.ESCALATED:
            raise Conflict(f"a person must decide first: {task.state_reason}", hint=f"interlock tasks show {task.id}")
        if not task.state.held:
            await handle(tx, task.id, Claimed(task.segment_no), self._actor)
        if task.host == FIRST_HOST and self.host:
            await task_rows.bind(tx, task.id, self.host)
        lease = await task_rows.take_lease(tx, task, self.executor_id)
        body = await task_rows.request_of(tx, task.id)
        task = await task_rows.get(tx, task.id)
        if task.state is not TaskState.RUNNING:
            raise Conflict(f"the task of this token is {task.state}", hint="try again")
        subject = Subject(lease, task, agent, RequestTurn(body["text"], body["inputs"]))
        untold = await call_rows.untold(tx, lease, MAX_UNTOLD)
        return Opened(subject, untold, started, await call_rows.last_number(tx, task.id))

    async def _task(self, tx: Transaction, token: AgentToken, agent: AgentConfig) -> Task:
        """The task that the token is for, or the one that its calls get; locked."""
        if token.task_id is not None:
            task = await task_rows.get(tx, token.task_id, lock=True)
            if task.state.final or task.kind is not TaskKind.OUTSIDE:
                raise Conflict(f"the task of this token is over: {task.state}", hint=f"interlock tasks show {task.id}")
            return task
        key = f"outside:{token.id}"
        known = await task_rows.find_by_dedupe_key(tx, f"given:{token.agent}:{key}")
        if known is None:
            text = f"Calls of an agent outside, with the token {token.id}."
            request = TaskRequest(token.agent, text, dedupe_key=key, kind=TaskKind.OUTSIDE)
            limits = TaskLimits(agent.limits.max_duration, max_crashes=NEVER_TOO_OFTEN)
            known = (await admit(tx, self.project, request, limits, f"token:{token.id}")).task
        task = await task_rows.get(tx, known.id, lock=True)
        if task.kind is not TaskKind.OUTSIDE or task.state.final:
            raise Conflict("the task of this token changed at this very moment", hint="try again")
        return task

    async def _held_elsewhere(self, tx: Transaction, task: Task) -> bool:
        """Whether another process that counts as alive holds it."""
        if not task.state.held or task.executor_id == self.executor_id:
            return False
        return any(row["executor_id"] == task.executor_id for row in await executor_rows.listing(tx))

    @property
    def _actor(self) -> str:
        return f"gateway:{self.executor_id}"


def blocked_by(doubtful: InDoubt) -> Blocked:
    """What a call in doubt does to its task."""
    why = f"{doubtful.reason}; a person finds out: interlock calls resolve {doubtful.call_id}"
    return Blocked(why, doubtful_call=doubtful.call_id)
