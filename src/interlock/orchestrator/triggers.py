"""Tasks that requests of other programs start: each delivery once, however often it comes and however many at a time.

Whoever takes a delivery in has the row of its trigger, so equal deliveries come one after the other, in all processes.
What becomes a task, what is remembered of it and what is counted are one commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from interlock.audit import record
from interlock.config import Project, TriggerConfig, parse_rate
from interlock.model import AuditEntry, BacklogFull, NotFound, RateLimited, TaskRequest
from interlock.observability import count_trigger
from interlock.orchestrator.payloads import Event
from interlock.orchestrator.submit import admit, dedupe_key_of, limits_of
from interlock.store import Database, Transaction, rate_rows, task_rows, trigger_rows

GONE = "deleted"
AT_ONCE = 20


@dataclass(frozen=True)
class Started:
    """The task of one event, and whether this delivery started it; `state` is `deleted` when it is not kept any more."""

    task_id: str
    state: str
    created: bool


@dataclass(frozen=True)
class TakenIn:
    """What became of a delivery.

    Attributes:
        tasks: those of its events, in their order.
        refusal: why the rest of it was not taken in: it is to come again.
    """

    tasks: tuple[Started, ...]
    refusal: RateLimited | BacklogFull | None


async def take_delivery(database: Database, project: Project, name: str, events: Sequence[Event]) -> TakenIn:
    """Start the tasks of a delivery that was proven, as far as rate and backlog let it.

    What was started stays when the rest is refused, or is not reached in time: it is known again when the delivery comes
    again. So a large one may take several commits, and others need not wait for all of it.
    """
    tasks: list[Started] = []
    for first in range(0, len(events), AT_ONCE):
        async with database.transaction() as tx:
            await trigger_rows.lock(tx, name)
            turn = _Turn(tx, project, name, project.config.triggers[name])
            taken = await turn.take(events[first : first + AT_ONCE])
        tasks += taken.tasks
        if taken.refusal is not None:
            return TakenIn(tuple(tasks), taken.refusal)
    return TakenIn(tuple(tasks), None)


@dataclass(frozen=True)
class _Turn:
    """One look at a delivery, with the trigger's row."""

    tx: Transaction
    project: Project
    name: str
    config: TriggerConfig

    async def take(self, events: Sequence[Event]) -> TakenIn:
        names = [event.delivery for event in events if event.delivery is not None]
        known = await trigger_rows.known_deliveries(self.tx, self.name, names)
        tasks: list[Started] = []
        refusal: RateLimited | BacklogFull | None = None
        for event in events:
            try:
                tasks.append(await self._one(event, known))
            except (RateLimited, BacklogFull) as error:
                refusal = error
                break
        for outcome, number in (("fired", sum(task.created for task in tasks)), ("duplicate", _old(tasks))):
            if number:
                await count_trigger(self.tx, self.name, outcome, number)
        return TakenIn(tuple(tasks), refusal)

    async def _one(self, event: Event, known: dict[str, str]) -> Started:
        before = known.get(event.delivery) if event.delivery is not None else None
        if before is not None:
            return await self._again(before)
        request = TaskRequest(
            agent=self.config.agent,
            text=self.config.text,
            inputs=event.inputs,
            priority=self.config.priority,
            dedupe_key=f"trigger {self.name} {event.sameness}",
            tainted=True,
        )
        equal = await task_rows.find_by_dedupe_key(self.tx, dedupe_key_of(request))
        if equal is None:
            async with self.tx.part():  # with what it took of the rate
                started = await self._start(request, event)
        else:
            started = Started(equal.id, equal.state, created=False)
        if event.delivery is not None:
            await trigger_rows.remember(self.tx, self.name, event.delivery, started.task_id, self.config.remember)
            known[event.delivery] = started.task_id
        return started

    async def _again(self, task_id: str) -> Started:
        try:
            task = await task_rows.get(self.tx, task_id)
        except NotFound:
            return Started(task_id, GONE, created=False)
        return Started(task_id, task.state, created=False)

    async def _start(self, request: TaskRequest, event: Event) -> Started:
        wait_s = await rate_rows.take(self.tx, f"trigger:{self.name}", parse_rate(self.config.rate))
        if wait_s is not None:
            raise RateLimited(
                f"the trigger '{self.name}' has started as many tasks as its rate {self.config.rate} allows",
                hint="send it again later",
                retry_after_s=wait_s,
            )
        actor = f"trigger:{self.name}"
        limits = limits_of(self.project.config.agents[self.config.agent], self.config.max_duration)
        task = (await admit(self.tx, self.project, request, limits, actor)).task
        await trigger_rows.note_fired(self.tx, self.name, task.id)
        detail = {"trigger": self.name, "kind": self.config.kind, "delivery": event.delivery}
        await record(self.tx, AuditEntry("trigger.fired", actor, {"task": task.id}, detail))
        return Started(task.id, task.state, created=True)


def _old(tasks: Sequence[Started]) -> int:
    return sum(not task.created for task in tasks)
