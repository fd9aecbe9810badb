"""Calls of agents that run outside: each belongs to a task and a run, under a lease, and passes the same gate.

A token has one task at a time, which begins with its first call and ends when no call came for a while. The same call
made again before its agent has heard what became of it is that same call, and no second one: so a caller that waits
for a person, or whose connection broke, just calls again. What was heard is kept in the ledger, so this holds when the
server dies as well.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from interlock.config import AgentConfig, Project, new_id
from interlock.guardrails import Gate, Subject
from interlock.model import (
    ActionClass,
    ActOutcome,
    Answered,
    Approval,
    Blocked,
    CallRequest,
    Conflict,
    Exhausted,
    Fenced,
    InDoubt,
    StopCause,
    Stopped,
    ToolDefinition,
    ToolRef,
    Unauthorized,
    Unavailable,
    canonical_sha256,
)
from interlock.orchestrator.outside_tasks import OutsideTasks, blocked_by
from interlock.orchestrator.presence import Presence
from interlock.store import AgentToken, Database, approval_rows, call_rows, task_rows

log = logging.getLogger("interlock.gateway")
IDLE_S = 900.0
WATCH_EVERY_S = 1.0
ADOPT_EVERY = 15  # rounds of the watch
LOOK_EVERY_S = 0.25
MAX_SESSIONS = 1000
MAX_CALLS = 64  # under way in one session
MAX_ASKED = 4096  # calls of one session whose outcome was not heard
MAX_TOLD = 20_000
REASON = "called from outside"
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class OutsideAnswer:
    """What became of a call, as far as it goes."""

    call_id: str
    call_no: int
    outcome: ActOutcome


@dataclass(eq=False)
class _Asked:
    """A call whose outcome the agent has not heard."""

    call_id: str
    call_no: int
    proposed: bool = False
    work: "asyncio.Task[ActOutcome] | None" = None

    @property
    def under_way(self) -> bool:
        return self.work is not None and not self.work.done()


@dataclass(eq=False)
class _Session:
    """One task that this process holds; `asked` by tool and hash of the arguments."""

    subject: Subject
    last_no: int
    asked: dict[tuple[str, str], _Asked] = field(default_factory=dict)
    used_s: float = field(default_factory=time.monotonic)

    def works(self) -> list["asyncio.Task[ActOutcome]"]:
        return [one.work for one in self.asked.values() if one.work is not None and not one.work.done()]

    def add(self, key: tuple[str, str]) -> _Asked:
        """A new call; it has its number at once, so that two requests never make the same one."""
        if len(self.asked) >= MAX_ASKED:
            forgotten = next((known for known, one in self.asked.items() if not one.under_way), None)
            if forgotten is not None:
                del self.asked[forgotten]
        self.last_no += 1
        asked = self.asked[key] = _Asked(new_id(), self.last_no)
        return asked


@dataclass
class OutsideRuns:
    """The tasks of outside agents that this process holds.

    Attributes:
        presence: under whose name they are held.
        idle_s: without a call for so long a task is over.
    """

    database: Database
    project: Project
    gate: Gate
    presence: Presence
    idle_s: float = IDLE_S
    _sessions: dict[str, _Session] = field(default_factory=dict)
    _opening: dict[str, "asyncio.Task[_Session]"] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    # ---- what an agent outside asks --------------------

    async def tools(self, token: AgentToken) -> tuple[ToolDefinition, ...]:
        """The tools that it may call now; looking at them begins no task.

        Raises:
            Unauthorized: its agent is not configured any more.
            Unavailable: a required server is not ready.
        """
        return await self.gate.tools_of(self.agent_of(token))

    def agent_of(self, token: AgentToken) -> AgentConfig:
        """What is configured of the agent of a token.

        Raises:
            Unauthorized: nothing any more.
        """
        agent = self.project.config.agents.get(token.agent)
        if agent is None:
            raise Unauthorized(
                f"the agent '{token.agent}' of this token is not configured any more", hint="interlock tokens list"
            )
        return agent

    async def call(
        self, token: AgentToken, ref: ToolRef, args: dict[str, Any], call_id: str | None = None
    ) -> OutsideAnswer:
        """Make one call; one of the same tool and arguments whose outcome was not heard yet is that same call.

        Whoever stops waiting for it changes nothing: it goes on, and its outcome is in the ledger.

        Args:
            token: who calls.
            ref: the tool.
            args: its arguments.
            call_id: of an earlier answer, to hear what became of that very call.

        Raises:
            Unauthorized: the agent is not configured any more.
            Conflict: its task is over or set aside.
            Exhausted: too many calls are under way.
            Unavailable: the database does not answer, or another server has a call of this agent under way.
        """
        for last in (False, True):
            session = await self._session(token)
            try:
                return await self._call(session, (ref, args, call_id))
            except Fenced:
                self._drop(session)
                if last:
                    raise
        raise Conflict("the task of this token moved to another server", hint="try again")

    def told(self, token: AgentToken, call_id: str) -> None:
        """The agent has heard how this call ended, so that the same call made again is a new one."""
        if len(self._told) < MAX_TOLD:
            self._told.add(call_id)
        session = self._sessions.get(_key(token))
        for key, one in list(session.asked.items()) if session else ():
            if one.call_id == call_id and session is not None:
                del session.asked[key]

    async def question(self, approval_id: str) -> Approval:
        """The question that a call waits for."""
        async with self.database.transaction() as tx:
            return await approval_rows.get(tx, approval_id)

    async def decided(self, approval_id: str, patience_s: float) -> bool:
        """Wait until an approval is decided or expired; False when it still waits after `patience_s`."""
        deadline_s = time.monotonic() + patience_s
        while True:
            if not (await self.question(approval_id)).state.open:
                return True
            if time.monotonic() >= deadline_s:
                return False
            await asyncio.sleep(LOOK_EVERY_S)

    async def _call(self, session: _Session, wanted: tuple[ToolRef, dict[str, Any], str | None]) -> OutsideAnswer:
        session.used_s = time.monotonic()
        ref, args, call_id = wanted
        key = (str(ref), canonical_sha256(args))
        asked = session.asked.get(key)
        if call_id is not None and (asked is None or asked.call_id != call_id):
            asked = await self._known(session, key, call_id)
        if asked is None or not asked.under_way:
            if len(session.works()) >= MAX_CALLS:
                raise Exhausted(f"{MAX_CALLS} calls of this agent are under way already", hint="wait for one to end")
            asked = asked or session.add(key)
            request = CallRequest(asked.call_no, str(ref), args, REASON)
            asked.work = _observed(self._make(session, asked, request, exact=call_id is not None), request.tool)
        assert asked.work is not None
        outcome = await _result(asked.work)
        session.used_s = time.monotonic()
        return OutsideAnswer(asked.call_id, asked.call_no, outcome)

    async def _known(self, session: _Session, key: tuple[str, str], call_id: str) -> _Asked:
        async with self.database.transaction() as tx:
            call = await call_rows.get(tx, call_id)
        if call.task_id != session.subject.lease.task_id or (call.tool, call.args_sha256) != key:
            raise Conflict("the task of that call is over", hint=f"interlock tasks show {call.task_id}")
        return session.asked.setdefault(key, _Asked(call_id, call.call_no, proposed=True))

    async def _make(self, session: _Session, asked: _Asked, request: CallRequest, *, exact: bool) -> ActOutcome:
        """Carry a call as far as it goes; a read whose answer nobody heard is made anew, for its answer is old."""
        lease = session.subject.lease
        if asked.proposed and not exact:
            async with self.database.transaction() as tx:
                call = await call_rows.by_number(tx, lease.task_id, asked.call_no)
            if call is not None and call.action_class is ActionClass.READ and call.result is not None:
                session.last_no += 1
                asked.call_id, asked.call_no, asked.proposed = new_id(), session.last_no, False
        request = CallRequest(asked.call_no, request.tool, request.args, request.reason)
        looked = None
        if not asked.proposed:
            looked = await self.gate.propose(session.subject, request, asked.call_id)
            asked.proposed = True
        outcome = await self.gate.act(session.subject, request, looked)
        if isinstance(outcome, InDoubt):
            await self._end(session, blocked_by(outcome))
        return outcome

    # ---- sessions --------------------

    async def _session(self, token: AgentToken) -> _Session:
        key = _key(token)
        session = self._sessions.get(key)
        if session is not None:
            return session
        opening = self._opening.get(key)
        if opening is None:
            if len(self._sessions) + len(self._opening) >= MAX_SESSIONS:
                raise Exhausted(f"{MAX_SESSIONS} agents use the gateway already", hint="interlock status")
            opening = self._opening[key] = _observed(self._open(token), f"open {token.id}")
            opening.add_done_callback(lambda _: self._opening.pop(key, None))
        return await _result(opening)

    async def _open(self, token: AgentToken) -> _Session:
        await self.presence.ensure()
        opened = await self._tasks.open(token)
        doubtful = await self._tasks.settle(opened)
        if doubtful is not None:
            await self._tasks.end(opened.subject.lease, blocked_by(doubtful))
            raise Conflict(
                f"a person must decide first: {doubtful.reason}", hint=f"interlock calls resolve {doubtful.call_id}"
            )
        session = _Session(opened.subject, opened.last_no)
        for row in opened.untold:
            if str(row["id"]) not in self._told:
                known = _Asked(str(row["id"]), row["call_no"], proposed=True)
                session.asked[row["tool"], row["args_sha256"]] = known
        self._sessions[_key(token)] = session
        return session

    async def _end(self, session: _Session, event: Answered | Blocked | Stopped) -> None:
        """Let a session's task end, or be set aside; calls that are under way go on when it is only set aside."""
        self._forget(session)
        if isinstance(event, Blocked):
            self.gate.abandon(session.subject.lease)
        works = [work for work in session.works() if work is not asyncio.current_task()]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        await self._tasks.end(session.subject.lease, event)

    def _drop(self, session: _Session) -> None:
        """Somebody else has its task: what is under way goes on, and they hear what becomes of it."""
        self._forget(session)
        works = session.works()
        if works:
            self.gate.abandon(session.subject.lease)
        for work in works:
            work.cancel()

    def _forget(self, session: _Session) -> None:
        for key, known in list(self._sessions.items()):
            if known is session:
                del self._sessions[key]

    # ---- what goes on beside --------------------

    async def watch(self) -> None:
        """Beat, end tasks that were cancelled or whose agents went away, adopt those of dead servers; until cancelled."""
        rounds = 0
        while True:
            try:
                if not await self.presence.beat():
                    for session in list(self._sessions.values()):
                        self._drop(session)
                await self._note_told()
                await self._look_after()
                if rounds % ADOPT_EVERY == 0:
                    await self._adopt()
            except Unavailable as error:
                log.warning("gateway.delayed error=%s", error.message)
            rounds += 1
            await asyncio.sleep(WATCH_EVERY_S)

    async def _note_told(self) -> None:
        told = list(self._told)
        if told:
            async with self.database.at_once() as tx:
                await call_rows.mark_told(tx, told)
            self._told.difference_update(told)

    async def _look_after(self) -> None:
        in_hand = list(self._sessions.values())  # those that begin during the query are not in its answer
        if not in_hand:
            return
        async with self.database.transaction() as tx:
            signals = await task_rows.stop_signals(tx, self.presence.executor_id)
        for session in in_hand:
            lease = session.subject.lease
            signal = signals.get(lease.task_id)
            if signal is None or signal.epoch != lease.epoch:  # it is somebody else's, or over
                self._drop(session)
            elif signal.cancelled:
                await self._end(session, Stopped(StopCause.CANCELLED, "cancelled"))
            elif await self._gone(session):
                await self._end(session, Answered(0))

    async def _gone(self, session: _Session) -> bool:
        if session.works() or time.monotonic() - session.used_s < self.idle_s:
            return False
        async with self.database.transaction() as tx:
            return await call_rows.open_approvals(tx, session.subject.lease.task_id) == 0

    async def _adopt(self) -> None:
        async with self.database.transaction() as tx:
            left = await task_rows.left_outside(tx, self.idle_s)
        for task_id, idle in left:
            await self.presence.ensure()
            log.warning("gateway.adopted task=%s idle=%s", task_id, idle)
            with contextlib.suppress(Conflict, Fenced):
                opened = await self._tasks.adopt(task_id, idle=idle)
                if opened is not None:  # until its agent calls, which then opens it under a name of its own
                    self._sessions[f"adopted:{task_id}"] = _Session(opened.subject, opened.last_no)

    async def leave(self) -> None:
        """Let go of every task: whoever holds it next hears what became of its calls."""
        works = [work for session in self._sessions.values() for work in session.works()]
        for session in list(self._sessions.values()):
            self._drop(session)
        await asyncio.gather(*works, return_exceptions=True)
        with contextlib.suppress(Unavailable):
            await self._note_told()
        await self.presence.leave()

    @property
    def _tasks(self) -> OutsideTasks:
        return OutsideTasks(self.database, self.project, self.gate, self.presence.executor_id, self.presence.host.name)


def _key(token: AgentToken) -> str:
    """Whose session it is: two tokens for one task share one."""
    return token.task_id or token.id


def _observed(work: Coroutine[Any, Any, Answer], name: str) -> "asyncio.Task[Answer]":
    """A task whose failure is known even when nobody waits for it any more."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
    return task


async def _result(work: "asyncio.Task[Answer]") -> Answer:
    """Wait for a task without ending it when the one who waits is cancelled."""
    await asyncio.wait({work})
    if work.cancelled():
        raise Conflict("the task of this agent ended while the call was under way", hint="interlock tasks list")
    return work.result()
