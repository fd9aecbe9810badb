"""The kill storm: workers die at random while tasks make effects, and in the end every effect is counted."""

import asyncio
import contextlib
import datetime
import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from tests.torture.stage import AGENTS, Dice, Stage, Workers

from interlock.app import Control, check_project, control_of
from interlock.config import Settings, SystemClock
from interlock.store import Database, Row

PERSON = "person:storm"
LOOK_EVERY_S = 0.4
OPEN_AT_FIRST = 20
READY_S = 120.0
BUSY_WITHIN_S = 5.0


@dataclass(frozen=True)
class Plan:
    """How big a storm is."""

    seed: int
    kills: int
    tasks: int
    workers: int = 4
    concurrency: int = 8
    every_s: float = 0.4
    hosts_every: int = 5  # so often the process that owns the tool servers is killed as well
    finish_within_s: float = 240.0


@dataclass(frozen=True)
class Kill:
    """One SIGKILL: when, how many calls were between start and outcome, and which tasks the worker held."""

    at: datetime.datetime
    executor: str
    open_calls: int
    held: tuple[str, ...]


@dataclass
class Story:
    """What the driver saw and did."""

    tasks: dict[str, tuple[str, str]] = field(default_factory=dict)  # id: (agent, key)
    kills: list[Kill] = field(default_factory=list)
    doubts: dict[str, list[str]] = field(default_factory=dict)  # call: what the person found, each time
    unnamed: list[str] = field(default_factory=list)  # escalations whose reason does not name the call in doubt
    set_aside: int = 0
    approved: int = 0
    strange: list[str] = field(default_factory=list)
    late_workers: list[int] = field(default_factory=list)
    seconds: float = 0.0
    host_kills: int = 0

    @property
    def in_flight_kills(self) -> int:
        """Kills that hit at least one call between its start and its outcome."""
        return sum(kill.open_calls > 0 for kill in self.kills)


class Storm:
    """Runs one storm on a stage."""

    def __init__(self, plan: Plan, stage: Stage, control: Control) -> None:
        self.plan = plan
        self.stage = stage
        self.control = control
        self.workers = Workers(stage)
        self.story = Story()
        self._dice = Dice(plan.seed)
        self._clock = SystemClock()
        self._submitted = 0

    @property
    def _database(self) -> Database:
        return self.control.database

    async def run(self) -> Story:
        """Start, kill, let everything finish; what happened.

        Raises:
            TimeoutError: the tasks did not all end in time; the message says which.
        """
        started = time.monotonic()
        problems = await self.control.fleet.accept_first_seen(PERSON)
        assert not problems, problems
        try:
            await self.workers.open()
            for _ in range(self.plan.workers):
                await self.workers.spawn()
            await self._wait_for_workers()
            person = asyncio.create_task(self._person(), name="person")
            await self._storm(person)
            await self._calm(person)
            self.story.late_workers = await self.workers.stop(60.0)
        finally:
            await self.workers.close()
        self.story.seconds = time.monotonic() - started
        return self.story

    async def _wait_for_workers(self) -> None:
        async with asyncio.timeout(READY_S):
            while len((await self.control.status())["workers"]) < self.plan.workers:
                await asyncio.sleep(0.1)

    # ---- the storm -------------------------------------------------------------------------------

    async def _storm(self, person: "asyncio.Task[None]") -> None:
        """Kill and start again, while new tasks come in as fast as kills are made."""
        plan = self.plan
        await self._submit_until(min(plan.tasks, OPEN_AT_FIRST))
        for number in range(1, plan.kills + 1):
            await self._wait_for_work()
            await asyncio.sleep(self._dice.between(0.0, 2 * plan.every_s))
            if number % plan.hosts_every == 0:
                self._kill_tool_host()
            await self._kill_one()
            await self.workers.spawn()
            await self._submit_until(min(plan.tasks, OPEN_AT_FIRST + plan.tasks * number // plan.kills))
            if person.done():
                person.result()
        await self._submit_until(plan.tasks)

    async def _wait_for_work(self) -> None:
        """On a slow machine a worker takes a while to begin: wait until all but one have a call under way."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BUSY_WITHIN_S):
                while await self._busy() < self.plan.workers - 1:
                    await asyncio.sleep(0.05)

    async def _busy(self) -> int:
        async with self._database.transaction() as tx:
            rows = await tx.rows(
                "select distinct e.pid from executor e join task t using (executor_id) join call c on c.task_id = t.id"
                " where c.state = 'started' and t.state = 'running' and e.pid = any(%s)",
                [self.workers.pids],
            )
        return len(rows)

    async def _submit_until(self, number: int) -> None:
        names = tuple(AGENTS)
        mix = (names[0], names[1], names[0], names[2], names[0], names[1])
        while self._submitted < number:
            agent = mix[self._submitted % len(mix)]
            key = f"task-{self._submitted:04}"
            before_s, after_s = (round(self._dice.between(0.4, 1.25), 3) for _ in range(2))
            inputs = {"key": key, "delay_s": before_s, "linger_s": after_s}
            task, created = await self.control.submit({"agent": agent, "text": "go", "inputs": inputs}, PERSON)
            assert created
            self.story.tasks[task["id"]] = (agent, key)
            self._submitted += 1

    async def _kill_one(self) -> None:
        pid = self.workers.pids[self._dice.below(len(self.workers.pids))]
        executor = next((w["id"] for w in (await self.control.status())["workers"] if w["pid"] == pid), "")
        at = self._clock.now()
        await self.workers.kill(pid)
        held = await self._held_by(executor)
        open_calls = sum(row["open_calls"] for row in held)
        self.story.kills.append(Kill(at, executor, open_calls, tuple(str(row["id"]) for row in held)))

    def _kill_tool_host(self) -> None:
        """With it die the tool servers and what is known of the calls that they had."""
        pid = self.stage.tool_host_pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self.story.host_kills += 1

    async def _held_by(self, executor: str) -> list[Row]:
        async with self._database.transaction() as tx:
            return await tx.rows(
                "select t.id, (select count(*) from call c where c.task_id = t.id and c.state = 'started') as open_calls"
                " from task t where t.executor_id = %s and t.state in ('running', 'verifying')",
                [executor],
            )

    # ---- a person --------------------------------------------------------------------------------

    async def _person(self) -> None:
        """Approve what is asked; find out about calls in doubt in the server's log; let go on what was set aside."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for approval in await self.control.approvals(pending_only=True):
                await self._approve(approval)
            for task in (await self.control.tasks("escalated", None, None, 200))["items"]:
                await self._decide(task)

    async def _approve(self, approval: dict[str, Any]) -> None:
        verdict = {"decision": "approve", "binding_sha256": approval["binding_sha256"]}
        await self.control.decide(approval["id"], verdict, PERSON)
        self.story.approved += 1

    async def _decide(self, task: dict[str, Any]) -> None:
        calls = await self.control.calls(task["id"])
        doubtful = [call for call in calls if call["state"] == "in_doubt"]
        reason = task["state_reason"]
        if not doubtful:
            if "its workers died" not in reason:
                self.story.strange.append(f"{task['id']} was escalated: {reason}")
            self.story.set_aside += 1
            await self.control.resolve(task["id"], {"resolution": "continue", "reason": "the storm did it"}, PERSON)
        for call in doubtful:
            if "its workers died" not in reason and call["id"] not in reason:
                self.story.unnamed.append(f"{call['id']}: {reason}")
            await self._find_out(call)

    async def _find_out(self, call: dict[str, Any]) -> None:
        """Look into the server's log, as a person would."""
        times = self.stage.count(call["args"]["key"])
        if times > 1:
            self.story.strange.append(f"{call['args']['key']} happened {times} times before anybody decided")
        outcome = "done" if times else "not_done"
        self.story.doubts.setdefault(call["id"], []).append(outcome)
        await self.control.resolve_call(call["id"], {"outcome": outcome, "reason": "looked into the log"}, PERSON)

    # ---- afterwards ------------------------------------------------------------------------------

    async def _calm(self, person: "asyncio.Task[None]") -> None:
        """Wait until every task is final."""
        try:
            async with asyncio.timeout(self.plan.finish_within_s):
                while await self._open_tasks():
                    await asyncio.sleep(0.3)
                    if person.done():
                        person.result()
        except TimeoutError as error:
            raise TimeoutError(f"after the storm these did not end: {await self._open_tasks()}") from error
        finally:
            person.cancel()
            await asyncio.gather(person, return_exceptions=True)

    async def _open_tasks(self) -> list[tuple[str, str, str]]:
        async with self._database.transaction() as tx:
            rows = await tx.rows("select id from task where finished_at is null order by id limit 10")
        views = [await self.control.task(str(row["id"])) for row in rows]
        return [(view["id"], view["state"], view["state_reason"]) for view in views]


async def weather(plan: Plan, stage: Stage) -> dict[str, Any]:
    """One storm from an empty folder to its reckoning."""
    from tests.torture.reckoning import reckon

    stage.build(plan.concurrency)
    settings = Settings.from_env(stage.env)
    project = check_project(stage.project, stage.env)
    async with control_of(settings, project, stage.env) as control:
        story = await Storm(plan, stage, control).run()
        return await reckon(plan, stage, control, story)
