"""The work between two waits: claim the run, let the agent go on, verify its result, commit how it ended."""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field

from interlock import agent
from interlock.config import AgentConfig, CheckConfig, Project, fault_point, new_id
from interlock.guardrails import Gate, Subject, Thinker, contract_of, doubt
from interlock.model import (
    ActionClass,
    Answered,
    Blocked,
    CallRequest,
    CallState,
    Claimed,
    Conflict,
    Event,
    Exhausted,
    Failure,
    Fenced,
    Halted,
    InterlockError,
    Lease,
    ModelAnswer,
    ModelTurn,
    NotFound,
    Observation,
    Parked,
    PutOff,
    RequestTurn,
    RunFailed,
    StopCause,
    Stopped,
    Task,
    TaskKind,
    Turn,
    Unavailable,
    UndoState,
    Verified,
)
from interlock.orchestrator.events import handle
from interlock.orchestrator.judge import SecondAgent
from interlock.orchestrator.parking import release_parked, room_of
from interlock.orchestrator.typed_result import told
from interlock.orchestrator.verify import Asked, Passed, Unmade, Verification, Wrong
from interlock.store import Database, Transaction, call_rows, catalog_rows, parking_rows, run_rows, task_rows

log = logging.getLogger("interlock.worker")
RELEASE_TRIES = 30
RELEASE_EVERY_S = 2.0


@dataclass
class Active:
    """A segment in hand: how to stop it, and why it was stopped."""

    lease: Lease
    work: "asyncio.Task[Event]"
    cause: StopCause | None = None
    why: str = ""
    fenced: bool = False


@dataclass
class Segments:
    """Runs segments in this process, many at a time."""

    database: Database
    project: Project
    gate: Gate
    thinker: Thinker
    executor_id: str
    active: dict[str, Active] = field(default_factory=dict)

    async def run(self, task_id: str, segment_no: int) -> dict[str, str]:
        """Work on one segment; never raises. Shape of the answer `{status}`."""
        try:
            claimed = await self._claim(task_id, segment_no)
        except (Conflict, NotFound) as error:
            return {"status": f"stale: {error.message}"}
        except Unavailable as error:
            return {"status": f"not claimed: {error.message}"}
        if claimed is None:
            return {"status": "not begun: cancelled, or set aside"}
        lease, task = claimed
        started = time.monotonic()
        active = Active(lease, asyncio.create_task(self._work(lease, task), name=f"segment {task_id}"))
        self.active[task_id] = active
        try:
            event = await self._watch(active, task)
        finally:
            if self.active.get(task_id) is active:  # a later segment of the same task may be here by now
                del self.active[task_id]
        if event is None:
            return {"status": "fenced"}
        fault_point("segment.ending")
        ended = await self._end(lease, event, time.monotonic() - started)
        if self._room(task) != parking_rows.Room():  # somebody may wait for the place
            await self._let_others_in()
        if not isinstance(event, Parked | Stopped):  # the run goes on elsewhere or later, with what it has there
            await self.gate.release(lease)
        return ended

    async def _claim(self, task_id: str, segment_no: int) -> tuple[Lease, Task] | None:
        async with self.database.transaction() as tx:
            task = await task_rows.get(tx, task_id, lock=True)
            obstacle = await parking_rows.obstacle(tx, task, self._room(task))
            event = Claimed(segment_no) if obstacle is None else PutOff(segment_no, obstacle.kind, obstacle.reason)
            life = await handle(tx, task_id, event, f"worker:{self.executor_id}")
            if not life.state.held:
                return None
            task = await task_rows.get(tx, task_id)
            lease = await task_rows.take_lease(tx, task, self.executor_id)
        return lease, task

    async def _let_others_in(self) -> None:
        with contextlib.suppress(Unavailable):  # else the next round of the housekeeping does it
            await release_parked(self.database, self.project.config)

    def _room(self, task: Task) -> parking_rows.Room:
        """How many may run beside a task; going back is never kept waiting by that."""
        return room_of(self.project.config, task.agent) if task.kind is TaskKind.AGENT else parking_rows.Room()

    async def _watch(self, active: Active, task: Task) -> Event | None:
        """Wait for the work under the task's remaining time; None when the lease was lost."""
        remaining_s = max(0.1, task.limits.max_duration_s - task.worked_s)
        await asyncio.wait({active.work}, timeout=remaining_s)
        if not active.work.done():
            active.cause = StopCause.TIMED_OUT
            active.work.cancel("timed out")
            await asyncio.wait({active.work}, timeout=10.0)
        if active.fenced:
            return None
        if active.cause is not None:
            limit = f"its working time of {task.limits.max_duration_s:g} s is used up"
            reason = limit if active.cause is StopCause.TIMED_OUT else task.state_reason
            return Stopped(active.cause, active.why or reason)
        if active.work.cancelled() or not active.work.done():
            return Stopped(StopCause.DRAINED, "the worker was shut down")
        error = active.work.exception()
        if isinstance(error, Fenced):
            return None
        return active.work.result() if error is None else await self._failure(active.lease, task, error)

    async def _failure(self, lease: Lease, task: Task, error: BaseException) -> Event:
        if isinstance(error, Exhausted):
            return Blocked(error.message)
        if isinstance(error, Halted):
            return Stopped(StopCause.HALTED, error.message)
        if isinstance(error, Unavailable) and error.code == "database_unavailable":
            return Stopped(StopCause.DRAINED, error.message)
        clean, refused = await self._traces(lease)
        if isinstance(error, InterlockError):
            if task.kind is TaskKind.UNDO and not error.retryable:
                return Blocked(error.message)
            return RunFailed(error.message, failure_of(error, refused=refused), clean)
        log.error("segment.broke task=%s", lease.task_id, exc_info=error)
        return RunFailed(f"internal error: {type(error).__name__}: {error}"[:300], Failure.TRANSIENT, clean)

    async def _traces(self, lease: Lease) -> tuple[bool, bool]:
        """Whether the run left no effect behind, and whether it was refused a call: then a repeat would only ask again.

        When that can't be found out now, it counts as not clean.
        """
        try:
            async with self.database.transaction() as tx:
                calls = await call_rows.of_task(tx, lease.task_id)
        except Unavailable:
            return False, False
        clean = not any(call.is_effect and call.undo is not UndoState.RESTORED for call in calls)
        refused = any(c.run_no == lease.run_no and c.state in (CallState.DENIED, CallState.EXPIRED) for c in calls)
        return clean, refused

    async def _end(self, lease: Lease, event: Event, worked_s: float) -> dict[str, str]:
        """Commit how the segment ended; while the database is away, keep trying for a minute."""
        for _ in range(RELEASE_TRIES):
            try:
                async with self.database.transaction(lease) as tx:
                    await task_rows.add_worked(tx, lease.task_id, worked_s)
                    present = await self._as_of_now(tx, lease, event)
                    life = await handle(tx, lease.task_id, present, f"worker:{self.executor_id}")
                return {"status": str(life.state)}
            except (Fenced, Conflict) as error:
                return {"status": f"fenced: {error.message}"}
            except Unavailable as error:
                log.warning("segment.end_delayed task=%s error=%s", lease.task_id, error.message)
                await asyncio.sleep(RELEASE_EVERY_S)
        return {"status": "lost: the database stayed away; another worker takes over"}

    async def _as_of_now(self, tx: Transaction, lease: Lease, event: Event) -> Event:
        """What the segment waits for, looked up under the task's lock: a person may have answered while it ended.

        Decisions lock the task first as well, so none can fall between this look and the new state.
        """
        if isinstance(event, Parked):
            return Parked(await call_rows.open_approvals(tx, lease.task_id))
        if isinstance(event, Stopped) and event.cause in (StopCause.DRAINED, StopCause.HALTED):
            await self._doubt_cut_off(tx, lease)
        if isinstance(event, Blocked) and event.doubtful_call is not None:
            call = await call_rows.get(tx, event.doubtful_call)
            return event if call.state is CallState.IN_DOUBT else Parked(0)
        return event

    async def _doubt_cut_off(self, tx: Transaction, lease: Lease) -> None:
        """A call that was cut off may still take effect until this worker's tool servers are gone, which is later.

        Where they outlive the worker, whoever takes the run over asks them what became of it.
        """
        if self.gate.lasting:
            return
        for call in await call_rows.in_state(tx, lease.task_id, CallState.STARTED):
            if call.action_class is not ActionClass.READ:
                name, _, tool = call.tool.partition(".")
                server = self.project.config.tools.get(name)
                if server is None or not contract_of(server, tool).idempotent:
                    await doubt(tx, call, f"worker:{self.executor_id}", "its worker was shut down during the call")

    # ---- the work itself -----------------------------------------------------------------------

    async def _work(self, lease: Lease, task: Task) -> Event:
        subject = await self._subject(lease, task)
        checks = await self._checks(subject)
        form = told([check.json_schema for check in checks if check.json_schema is not None])
        history = _History(self.database, lease)
        ending = await agent.run(
            await history.load(),
            lambda turns: self.thinker.think(subject, turns, form),
            lambda call: self.gate.act(subject, call),
            agent.Save(history.add_answer, history.add_observation),
            self._bounds(subject),
        )
        match ending:
            case agent.Finished(text):
                return await self._finish(subject, text, checks)
            case agent.Waiting():
                async with self.database.transaction() as tx:
                    return Parked(await call_rows.open_approvals(tx, task.id))
            case agent.Doubtful(call):
                why = f"{call.reason}; a person finds out: interlock calls resolve {call.call_id}"
                return Blocked(why, doubtful_call=call.call_id)
            case agent.TurnsUsedUp(max_turns):
                return Blocked(f"the run used up its {max_turns} turns without a result")
            case agent.Circling(how):
                return Blocked(f"the run went round in circles: {how}")

    def _bounds(self, subject: Subject) -> agent.Bounds:
        """A playbook that repeats a call was told to."""
        model = subject.agent.model or self.thinker.default_model or ""
        if subject.task.kind is TaskKind.UNDO or model.startswith("playbook:"):
            return agent.Bounds(subject.task.limits.max_turns)
        limits = subject.agent.limits
        return agent.Bounds(subject.task.limits.max_turns, agent.Patience(limits.same_call, limits.stuck_turns))

    async def _checks(self, subject: Subject) -> list[CheckConfig]:
        """What the result must pass: the checks of the agent, then those of the task."""
        if subject.task.kind is TaskKind.UNDO:
            return []
        async with self.database.transaction() as tx:
            body = await task_rows.request_of(tx, subject.task.id)
        return [*subject.agent.verify, *(CheckConfig.model_validate(check) for check in body.get("checks") or ())]

    async def _finish(self, subject: Subject, text: str, checks: list[CheckConfig]) -> Event:
        """Keep the result, then check it."""
        lease = subject.lease
        judge = SecondAgent(self.database, self.gate, self.thinker, self.project.config)
        verification = Verification(self.database, self.gate, self.project.config, subject, judge, text)
        if subject.task.kind is TaskKind.UNDO or not checks:
            async with self.database.transaction(lease) as tx:
                await task_rows.keep_result(tx, lease.task_id, {"text": text, "run": lease.run_no})
            return await self._undo_verdict(subject) if subject.task.kind is TaskKind.UNDO else Answered(0)
        async with self.database.transaction(lease) as tx:
            await handle(tx, lease.task_id, Answered(len(checks)), f"worker:{self.executor_id}")
        match await verification.run(checks):
            case Passed():
                return Verified()
            case Asked():
                return Parked(1)
            case Unmade(reason):
                return Blocked(reason)
            case Wrong(reason):
                clean, _ = await self._traces(lease)
                return RunFailed(f"the result was not accepted: {reason}", Failure.WRONG, clean)

    async def _undo_verdict(self, subject: Subject) -> Event:
        """An undo has succeeded only if every effect is what it was before, compared by hash."""
        async with self.database.transaction() as tx:
            calls = [await call_rows.get(tx, str(step["call"])) for step in subject.request.inputs["steps"]]
        open_ones = [call for call in calls if call.undo is not UndoState.RESTORED]
        if not open_ones:
            return Answered(0)
        first = open_ones[0]
        return Blocked(
            f"{len(open_ones)} of {len(calls)} effects were not restored; call {first.call_no}: {first.undo_note}"
        )

    async def _subject(self, lease: Lease, task: Task) -> Subject:
        """The agent as it was configured when the task was submitted."""
        async with self.database.transaction() as tx:
            body = await task_rows.request_of(tx, task.id)
            stored = None
            if task.config_sha256 != self.project.sha256 and task.kind is TaskKind.AGENT:
                stored = await catalog_rows.config(tx, task.config_sha256)
        request = RequestTurn(body["text"], body["inputs"])
        if task.kind is TaskKind.UNDO:
            return Subject(lease, task, AgentConfig(), request)
        if stored is not None:
            return Subject(lease, task, AgentConfig.model_validate(stored["agents"][task.agent]), request)
        return Subject(lease, task, self.project.config.agents[task.agent], request)


def failure_of(error: InterlockError, *, refused: bool) -> Failure:
    """A run that was refused a call, and then gave up, would only ask again; an outage has nothing to do with that."""
    if refused and not isinstance(error, Unavailable):
        return Failure.REFUSED
    return Failure.TRANSIENT if error.retryable else Failure.BROKEN


@dataclass(frozen=True)
class _History:
    """Reads and appends the turns of one run under its lease."""

    database: Database
    lease: Lease

    async def load(self) -> tuple[Turn, ...]:
        async with self.database.transaction(self.lease) as tx:
            return await run_rows.history(tx, self.lease.task_id, self.lease.run_no)

    async def add_answer(self, answer: ModelAnswer) -> ModelTurn:
        """Number the calls and write the turn and their ledger rows in one commit, before any of them runs."""
        async with self.database.transaction(self.lease) as tx:
            last = await call_rows.last_number(tx, self.lease.task_id)
            calls = tuple(
                CallRequest(last + offset, call.tool, call.args, call.reason, call.provider_call_id)
                for offset, call in enumerate(answer.calls, start=1)
            )
            turn = ModelTurn(answer.text, calls, answer.model, answer.usage, answer.provider)
            seq = await run_rows.append(tx, self.lease.task_id, self.lease.run_no, turn)
            for call in calls:
                await call_rows.propose(tx, self.lease, new_id(), call, seq)
        fault_point("turn.saved")
        return turn

    async def add_observation(self, observation: Observation) -> None:
        async with self.database.transaction(self.lease) as tx:
            await run_rows.append(tx, self.lease.task_id, self.lease.run_no, observation)
        fault_point("observation.saved")
