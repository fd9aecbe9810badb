"""The work between two waits: claim the run, let the agent go on, verify its result, commit how it ended."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from interlock import agent
from interlock.config import AgentConfig, CheckConfig, LimitsConfig, Project, fault_point
from interlock.guardrails import Gate, Subject, Thinker, contract_of, doubt
from interlock.model import (
    FINAL_STATES,
    FIRST_HOST,
    ActionClass,
    Answered,
    Blocked,
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
    NotFound,
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
from interlock.orchestrator.events import Along, handle, move_on
from interlock.orchestrator.families import hand_over, none_left, take_back, tell_parent
from interlock.orchestrator.history import History
from interlock.orchestrator.in_hand import HAND_OVER_S, LET_GO_S, Active, Ended, look_at, overdue
from interlock.orchestrator.judge import SecondAgent
from interlock.orchestrator.parking import elsewhere, release_parked, room_of
from interlock.orchestrator.typed_result import told
from interlock.orchestrator.verify import Asked, Passed, Unmade, Verdict, Verification, Wrong
from interlock.store import (
    Database,
    Known,
    Transaction,
    call_rows,
    family_rows,
    parking_rows,
    segment_rows,
    task_rows,
    version_rows,
)

log = logging.getLogger("interlock.worker")
RELEASE_TRIES = 30
RELEASE_EVERY_S = 2.0


@dataclass
class Segments:
    """Runs segments in this process, many at a time."""

    database: Database
    project: Project
    gate: Gate
    thinker: Thinker
    executor_id: str
    host: str = ""
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
        lease, known = claimed
        began_s = time.monotonic()
        left_s = known.task.limits.max_duration_s - known.task.worked_s
        ended = await self._worked(lease, known, began_s + left_s) if left_s > 0 else Ended(overdue(known.task))
        if ended is None:
            return {"status": "fenced"}
        fault_point("segment.ending")
        status = await self._end(lease, known.task, ended, time.monotonic() - began_s)
        if self._room(known.task) != parking_rows.Room():  # somebody may wait for the place
            await self._let_others_in()
        if status in FINAL_STATES or not isinstance(ended.event, Parked | Stopped):
            await self.gate.release(lease)  # else the run goes on elsewhere or later, with what it has there
        if known.task.parent_id is not None and status in FINAL_STATES:
            await tell_parent(self.database, known.task)
        return {"status": status}

    async def stop_left_behind(self) -> None:
        """Stop calls whose worker died, and whose task is over, or halted, before another one came to hear of them."""
        left = await self.gate.left_behind()
        if left:
            async with self.database.transaction() as tx:
                over = await task_rows.over_among(tx, sorted(set(left.values())))
            await self.gate.cut_off([run for run, task_id in left.items() if task_id in over])

    @property
    def _actor(self) -> str:
        return f"worker:{self.executor_id}"

    async def _claim(self, task_id: str, segment_no: int) -> tuple[Lease, Known] | None:
        async with self.database.at_once() as tx:
            known = await segment_rows.look(tx, task_id)
            task = None
            # else where it is bound is written first, and places are counted, one who asks after the other
            if known.task.host in (None, self.host) and self._room(known.task) == parking_rows.Room():
                stops = parking_rows.stops_of(known.task)
                along = Along(taker=self.executor_id, unless=stops, config_sha256=self.project.sha256)
                task = await move_on(tx, known.task, Claimed(segment_no), self._actor, along)
        if task is not None:
            lease = Lease(task.id, task.run_no, task.segment_no, task.epoch, self.executor_id)
            return lease, replace(known, task=task)
        async with self.database.transaction() as tx:
            task = await task_rows.get(tx, task_id, lock=True)
            obstacle = await elsewhere(tx, task, self.project.sha256, self.host)
            obstacle = obstacle or await parking_rows.obstacle(tx, task, self._room(task))
            if obstacle is None and task.host == FIRST_HOST:
                await task_rows.bind(tx, task_id, self.host)
            event = Claimed(segment_no) if obstacle is None else PutOff(segment_no, obstacle.kind, obstacle.reason)
            life = await handle(tx, task_id, event, self._actor)
            if not life.state.held:
                return None
            lease = await task_rows.take_lease(tx, await task_rows.get(tx, task_id), self.executor_id)
            return lease, await segment_rows.look(tx, task_id)

    async def _let_others_in(self) -> None:
        with contextlib.suppress(Unavailable):  # else the next round of the housekeeping does it
            await release_parked(self.database, self.project.config)

    def _room(self, task: Task) -> parking_rows.Room:
        """How many may run beside a task; going back is never kept waiting by that."""
        return room_of(self.project.config, task.agent) if task.kind is TaskKind.AGENT else parking_rows.Room()

    async def _worked(self, lease: Lease, known: Known, until_s: float) -> Ended | None:
        """Do the work, until a moment of the monotonic clock at most; None when the lease was lost."""
        active = Active(lease, asyncio.create_task(self._work(lease, known), name=f"segment {lease.task_id}"))
        self.active[lease.task_id] = active
        try:
            return await self._watch(active, known.task, until_s)
        finally:
            if self.active.get(lease.task_id) is active:  # a later segment of the same task may be here by now
                del self.active[lease.task_id]

    async def _watch(self, active: Active, task: Task, until_s: float) -> Ended | None:
        """Wait for the work, or that it is stopped; it has a moment for that, then it is not waited for any longer."""
        both: set[asyncio.Future[Any]] = {active.work, active.told}
        await asyncio.wait(both, timeout=max(0.0, until_s - time.monotonic()), return_when=asyncio.FIRST_COMPLETED)
        if not active.work.done():
            if not active.told.done():
                active.stop(StopCause.TIMED_OUT)
            patience_s = HAND_OVER_S if active.cause is StopCause.DRAINED else LET_GO_S
            await asyncio.wait({active.work}, timeout=patience_s)
        if not active.work.done():
            log.warning("segment.lingers task=%s", task.id)
            active.work.add_done_callback(look_at)
        if active.fenced:
            return None
        if active.cause is StopCause.TIMED_OUT:
            return Ended(overdue(task))
        if active.cause is not None:
            return Ended(Stopped(active.cause, active.why or task.state_reason))
        if active.work.cancelled() or not active.work.done():
            return Ended(Stopped(StopCause.DRAINED, "the worker was shut down"))
        error = active.work.exception()
        if isinstance(error, Fenced):
            return None
        return active.work.result() if error is None else Ended(await self._failure(active.lease, task, error))

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
                calls = await family_rows.calls_of_family(tx, lease.task_id)
        except Unavailable:
            return False, False
        own = [call for call in calls if (call.task_id, call.run_no) == (lease.task_id, lease.run_no)]
        return none_left(calls), any(call.state in (CallState.DENIED, CallState.EXPIRED) for call in own)

    async def _end(self, lease: Lease, task: Task, ended: Ended, worked_s: float) -> str:
        """Commit how the segment ended; while the database is away, keep trying for a minute."""
        for _ in range(RELEASE_TRIES):
            try:
                if ended.result is not None:
                    async with self.database.at_once() as tx:
                        along = Along(worked_s=worked_s, result=ended.result)
                        moved = await move_on(tx, task, ended.event, self._actor, along)
                    if moved is not None:
                        return str(moved.state)
                async with self.database.transaction(lease) as tx:
                    await task_rows.add_worked(tx, lease.task_id, worked_s)
                    if ended.result is not None:
                        await task_rows.keep_result(tx, lease.task_id, ended.result)
                    present = await self._as_of_now(tx, lease, ended.event)
                    life = await handle(tx, lease.task_id, present, self._actor)
                return str(life.state)
            except (Fenced, Conflict) as error:
                return f"fenced: {error.message}"
            except Unavailable as error:
                log.warning("segment.end_delayed task=%s error=%s", lease.task_id, error.message)
                await asyncio.sleep(RELEASE_EVERY_S)
        return "lost: the database stayed away; another worker takes over"

    async def _as_of_now(self, tx: Transaction, lease: Lease, event: Event) -> Event:
        """What the segment waits for, looked up under the task's lock: a person may have answered while it ended.

        Decisions lock the task first as well, so none can fall between this look and the new state.
        """
        if isinstance(event, Parked):
            children = await hand_over(tx, self.project, lease, await self._limits(tx, lease))
            return Parked(await call_rows.open_approvals(tx, lease.task_id), children)
        if isinstance(event, RunFailed) and event.failure is Failure.WRONG and not event.clean:
            task = await task_rows.get(tx, lease.task_id)
            last = task.run_no >= task.limits.max_runs or task.cancel_requested
            return event if last else replace(event, undoing=await take_back(tx, self.project, task))
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

    async def _work(self, lease: Lease, known: Known) -> Ended:
        task = known.task
        agents = await self._agents(task)
        request = RequestTurn(known.request["text"], known.request["inputs"])
        own = AgentConfig() if task.kind is TaskKind.UNDO else agents[task.agent]
        subject = Subject(lease, task, own, request)
        checks = _checks(subject, known)
        form = told([check.json_schema for check in checks if check.json_schema is not None])
        history = History(self.database, lease, known.last_seq)

        async def think(turns: tuple[Turn, ...]) -> ModelAnswer:
            thought = await self.thinker.think(subject, turns, form)
            history.untold = thought.untold
            return thought.answer

        ending = await agent.run(
            known.turns,
            think,
            lambda call: self.gate.act(subject, call),
            agent.Save(history.add_answer, history.add_observation),
            self._bounds(subject),
        )
        match ending:
            case agent.Finished(text):
                return await self._finish(subject, text, checks, agents)
            case agent.Waiting():
                async with self.database.transaction() as tx:
                    return Ended(Parked(await call_rows.open_approvals(tx, task.id)))
            case agent.Doubtful(call):
                why = f"{call.reason}; a person finds out: interlock calls resolve {call.call_id}"
                return Ended(Blocked(why, doubtful_call=call.call_id))
            case agent.TurnsUsedUp(max_turns):
                return Ended(Blocked(f"the run used up its {max_turns} turns without a result"))
            case agent.Circling(how):
                return Ended(Blocked(f"the run went round in circles: {how}"))

    def _bounds(self, subject: Subject) -> agent.Bounds:
        """A playbook that repeats a call was told to."""
        model = subject.agent.model or self.thinker.default_model or ""
        if subject.task.kind is TaskKind.UNDO or model.startswith("playbook:"):
            return agent.Bounds(subject.task.limits.max_turns)
        limits = subject.agent.limits
        return agent.Bounds(subject.task.limits.max_turns, agent.Patience(limits.same_call, limits.stuck_turns))

    async def _finish(
        self, subject: Subject, text: str, checks: list[CheckConfig], agents: Mapping[str, AgentConfig]
    ) -> Ended:
        """Keep the result, then check it; without checks it is kept with the end of the task."""
        lease = subject.lease
        result = {"text": text, "run": lease.run_no}
        if subject.task.kind is TaskKind.UNDO:
            async with self.database.transaction(lease) as tx:
                await task_rows.keep_result(tx, lease.task_id, result)
            return Ended(await self._undo_verdict(subject))
        if not checks:
            return Ended(Answered(0), result)
        judge = SecondAgent(self.database, self.gate, self.thinker, agents)
        verification = Verification(self.database, self.gate, self.project.config, subject, judge, text)
        async with self.database.transaction(lease) as tx:
            await handle(tx, lease.task_id, Answered(len(checks)), self._actor)
        return Ended(await self._verified(lease, await verification.run(checks)))

    async def _verified(self, lease: Lease, verdict: Verdict) -> Event:
        match verdict:
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

    async def _agents(self, task: Task) -> Mapping[str, AgentConfig]:
        """The agents as they were configured when the task was submitted."""
        async with self.database.transaction() as tx:
            return await self._agents_of(tx, task)

    async def _limits(self, tx: Transaction, lease: Lease) -> LimitsConfig:
        """Those of the agent of a task."""
        task = await task_rows.get(tx, lease.task_id)
        return (await self._agents_of(tx, task))[task.agent].limits if task.kind is TaskKind.AGENT else LimitsConfig()

    async def _agents_of(self, tx: Transaction, task: Task) -> Mapping[str, AgentConfig]:
        if task.config_sha256 == self.project.sha256 or task.kind is TaskKind.UNDO:
            return self.project.config.agents
        stored = await version_rows.content(tx, task.config_sha256)
        if stored is None:
            return self.project.config.agents
        return {name: AgentConfig.model_validate(body) for name, body in stored["agents"].items()}


def _checks(subject: Subject, known: Known) -> list[CheckConfig]:
    """What the result must pass: the checks of the agent, then those of the task."""
    if subject.task.kind is TaskKind.UNDO:
        return []
    own = known.request.get("checks") or ()
    return [*subject.agent.verify, *(CheckConfig.model_validate(check) for check in own)]


def failure_of(error: InterlockError, *, refused: bool) -> Failure:
    """A run that was refused a call, and then gave up, would only ask again; an outage has nothing to do with that."""
    if refused and not isinstance(error, Unavailable):
        return Failure.REFUSED
    return Failure.TRANSIENT if error.retryable else Failure.BROKEN
