"""Calls through the gate in this process, each proposed, judged, begun, made and recorded on a durable Postgres."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from interlock import orchestrator
from interlock.app.benchmarks.counting import Count, one_by_one, together
from interlock.app.benchmarks.rounds import TASKS, Sample
from interlock.app.benchmarks.stage import AGENT, ARGUMENT, CALL, SERVER, TOOL
from interlock.app.checking import check_project
from interlock.app.fleet import Fleet
from interlock.app.ground import foundation
from interlock.app.tool_host import hosted_tools, place_of, toolbox_of
from interlock.app.versions import keep_version
from interlock.config import Project, Settings, new_id
from interlock.guardrails import Checkpoint, Gate, Pulse, Subject
from interlock.model import CallRequest, Done, InterlockError, RequestTurn, TaskRequest, ToolRef
from interlock.store import Database, task_rows
from interlock.tools import Delivery, Snapshots, Tools

_REF = ToolRef(SERVER, TOOL)
_TIMEOUT_S = 60.0
_SHOWN_CHARS = 200


@dataclass
class Bare:
    """A lane: the client of ours that the gate sends its calls with, and nothing around it."""

    name: str
    tools: Tools

    async def latency(self, calls: int) -> Sample:
        """Make calls one after the other."""
        return await one_by_one(self._call, calls)

    async def load(self, tasks: int, seconds: float) -> Sample:
        """Make so many at any time."""
        return await together(self._call, tasks, seconds)

    async def _call(self, number: int, count: Count) -> None:
        began_s = time.perf_counter()
        try:
            result = await self.tools.call(_REF, {ARGUMENT: f"hello {number} {began_s}"}, Delivery(_TIMEOUT_S))
        except InterlockError as error:
            count.note(error.message)
            return
        if not result.ok:
            count.note(result.text[:_SHOWN_CHARS])
            return
        count.took_s.append(time.perf_counter() - began_s)


@dataclass
class Governed:
    """A lane: the gate, over tools that are reached in one way or another; one task for each of its callers."""

    name: str
    gate: Gate
    subjects: list[Subject]
    _last_no: list[int] = field(default_factory=lambda: [0] * TASKS)

    async def latency(self, calls: int) -> Sample:
        """Make calls one after the other, for one task."""
        return await one_by_one(self._call, calls)

    async def load(self, tasks: int, seconds: float) -> Sample:
        """Make so many at any time, each for a task of its own."""
        return await together(self._call, tasks, seconds)

    async def _call(self, number: int, count: Count) -> None:
        """One call with all that belongs to it, first of all its row in the ledger."""
        self._last_no[number] += 1
        subject, call_no = self.subjects[number], self._last_no[number]
        began_s = time.perf_counter()
        request = CallRequest(call_no, CALL, {ARGUMENT: f"hello {number} {call_no}"}, "measured")
        try:
            looked = await self.gate.propose(subject, request, new_id())
            outcome = await self.gate.act(subject, request, looked)
        except InterlockError as error:
            count.note(error.message)
            return
        if not isinstance(outcome, Done) or not outcome.observation.ok:
            count.note(repr(outcome)[:_SHOWN_CHARS])
            return
        count.took_s.append(time.perf_counter() - began_s)


@asynccontextmanager
async def governed(folder: Path, env: Mapping[str, str], state: Path) -> AsyncIterator[tuple[Bare, Governed, Governed]]:
    """Our client alone; the gate on a database, with tools behind the tool host, as workers have them, and in this process.

    Raises:
        InterlockError: the database or the server can't be used.
    """
    settings, project = Settings.from_env(env), check_project(folder, env)
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(foundation(settings, project, env))
        await keep_version(ground.database, project)
        hosted = hosted_tools(settings, project, env)
        stack.push_async_callback(hosted.stop)
        own = toolbox_of(settings, project, env, state)
        stack.push_async_callback(own.stop)
        await Fleet(ground.database, project, hosted).accept_first_seen("bench")
        host = place_of(settings, project).folder.name
        yield (
            Bare("our client, held open", own),
            await _lane("in-process, tools behind the tool host (as a worker)", ground.database, project, hosted, host),
            await _lane("in-process, tools in the same process", ground.database, project, own, host),
        )


async def _lane(name: str, database: Database, project: Project, tools: Tools, host: str) -> Governed:
    gate = Gate(database, project, tools, Checkpoint(database, Snapshots(tools)), Pulse(host=host))
    subjects = [await _subject(database, project, f"{name} {number}") for number in range(TASKS)]
    return Governed(name, gate, subjects)


async def _subject(database: Database, project: Project, text: str) -> Subject:
    """A task that this process holds, as a worker would."""
    submitted = await orchestrator.submit(database, project, TaskRequest(AGENT, text, {}), "bench")
    async with database.transaction() as tx:
        lease = await task_rows.take_lease(tx, await task_rows.get(tx, submitted.task.id), "bench")
        task = await task_rows.get(tx, submitted.task.id)
    return Subject(lease, task, project.config.agents[AGENT], RequestTurn(text, {}))
