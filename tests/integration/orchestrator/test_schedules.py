"""Tasks that come by themselves: each tick once, whoever looks; and what becomes of those that can't be carried out."""

import asyncio
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from interlock import audit
from interlock.app import apply_version, keep_version
from interlock.config import ManualClock, Project, load_project
from interlock.model import Conflict, NotFound, Task, TaskRequest, TaskState
from interlock.orchestrator import fire_due, set_pause, submit, trigger
from interlock.store import Database, Page, ScheduleRow, schedule_rows, task_rows

pytestmark = pytest.mark.integration
PERSON = "person:ann"
NOON = datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.UTC)


@dataclass
class Stage:
    """A project with one schedule, a database, and a clock of ours."""

    database: Database
    folder: Path
    clock: ManualClock

    async def project(self, schedule: str, agent: str = "") -> Project:
        """Apply a configuration; look once, so that its schedules begin."""
        config = (
            f"agents:\n  a: {{model: 'playbook:none'{agent}}}\nschedules:\n  s: {{agent: a, text: go, {schedule}}}\n"
        )
        (self.folder / "interlock.yaml").write_text(config)
        project = load_project(self.folder, {})
        self.clock.advance(0.001)
        await apply_version(self.database, project, PERSON)
        await fire_due(self.database, project)
        return project

    async def later(self, project: Project, seconds: float) -> int:
        """Let time pass, and look."""
        self.clock.advance(seconds)
        return await fire_due(self.database, project)

    async def tasks(self) -> Sequence[Task]:
        async with self.database.transaction() as tx:
            return (await task_rows.listing(tx, Page(None, None, None, 1000)))[::-1]

    async def states(self) -> list[str]:
        return [task.state for task in await self.tasks()]

    async def finish(self, task: Task) -> None:
        async with self.database.transaction() as tx:
            await tx.run("update task set state = 'completed', finished_at = now() where id = %s", [task.id])

    async def row(self) -> ScheduleRow:
        async with self.database.transaction() as tx:
            return (await schedule_rows.listing(tx))["s"]

    async def ticks(self) -> list[str]:
        """The ticks that became tasks, from what the tasks were given."""
        async with self.database.transaction() as tx:
            bodies = [await task_rows.request_of(tx, task.id) for task in await self.tasks()]
        return [body["inputs"]["tick"] for body in bodies]

    async def events(self, name: str) -> list[dict[str, object]]:
        async with self.database.transaction() as tx:
            found = await audit.listing(tx, None, 1000)
        return [entry["detail"] for entry in reversed(found) if entry["event"] == name]


@pytest.fixture
def stage(interlock_database: Database, tmp_path: Path) -> Stage:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "none.yaml").write_text("version: 1\nsteps: [{result: nothing}]\n")
    clock = ManualClock(NOON)
    interlock_database.clock = clock
    return Stage(interlock_database, tmp_path, clock)


async def test_a_tick_becomes_a_task_of_its_own(stage: Stage) -> None:
    project = await stage.project("every: 1h, priority: 2, max_duration: 5m, inputs: {who: all}, overlap: cancel_old")
    assert await stage.later(project, 3500) == 0
    assert await stage.later(project, 100) == 1
    assert await stage.later(project, 1) == 0
    (task,) = await stage.tasks()
    assert (task.agent, task.priority, task.limits.max_duration_s) == ("a", 2, 300)
    assert (task.submitted_by, task.state) == ("schedule:s", TaskState.QUEUED)
    async with stage.database.transaction() as tx:
        body = await task_rows.request_of(tx, task.id)
    assert (body["text"], body["inputs"]) == ("go", {"who": "all", "tick": "2026-01-01T13:00:00+00:00"})
    assert await stage.events("schedule.fired") == [{"schedule": "s", "tick": "2026-01-01T13:00:00+00:00"}]
    row = await stage.row()
    assert (row.fired, row.skipped, row.last_task) == (1, 0, task.id)


async def test_a_year_of_ticks_by_three_at_once_is_each_tick_once(stage: Stage) -> None:
    zone = ZoneInfo("Europe/Berlin")
    project = await stage.project("cron: '30 2 * * *', timezone: Europe/Berlin, misfire: catch_up, overlap: cancel_old")
    fired = 0
    for _ in range(366):
        stage.clock.advance(86_400)
        fired += sum(await asyncio.gather(*(fire_due(stage.database, project) for _ in range(3))))
    ticks = [datetime.datetime.fromisoformat(tick) for tick in await stage.ticks()]
    days = [tick.astimezone(zone).date() for tick in ticks]
    assert len(ticks) == fired == 366
    assert days == sorted(set(days))
    assert days[-1] - days[0] == datetime.timedelta(days=365)
    odd = [tick for tick in ticks if tick.astimezone(zone).strftime("%H:%M") != "02:30"]
    assert [tick.astimezone(zone).isoformat() for tick in odd] == ["2026-03-29T03:00:00+02:00"]


async def test_what_is_not_done_lets_the_next_one_be_skipped(stage: Stage) -> None:
    project = await stage.project("every: 1h")
    assert [await stage.later(project, 3600) for _ in range(3)] == [1, 0, 0]
    row = await stage.row()
    (task,) = await stage.tasks()
    assert (row.fired, row.skipped) == (1, 2)
    assert row.note.endswith(f"UTC: task {task.id[-8:]}, the one before, is queued")
    await stage.finish(task)
    assert await stage.later(project, 3600) == 1
    assert (await stage.row()).note == ""
    assert len(await stage.events("schedule.skipped")) == 2


async def test_what_is_not_done_lets_the_next_ones_wait_in_order(stage: Stage) -> None:
    project = await stage.project("every: 1h, overlap: queue")
    assert [await stage.later(project, 3600) for _ in range(3)] == [1, 0, 0]
    assert len((await stage.row()).waiting) == 2
    await stage.finish((await stage.tasks())[0])
    assert await stage.later(project, 1) == 1
    assert await stage.later(project, 1) == 0
    await stage.finish((await stage.tasks())[1])
    assert await stage.later(project, 1) == 1
    assert [tick[11:16] for tick in await stage.ticks()] == ["13:00", "14:00", "15:00"]
    assert (await stage.row()).skipped == 0


async def test_what_is_not_done_is_cancelled_for_the_next_one(stage: Stage) -> None:
    project = await stage.project("every: 1h, overlap: cancel_old")
    assert [await stage.later(project, 3600) for _ in range(3)] == [1, 1, 1]
    assert await stage.states() == ["cancelled", "cancelled", "queued"]


@pytest.mark.parametrize(("misfire", "fired", "skipped"), [("skip", 0, 5), ("once", 1, 4), ("catch_up", 5, 0)])
async def test_what_nobody_was_there_for(stage: Stage, misfire: str, fired: int, skipped: int) -> None:
    project = await stage.project(f"every: 1h, misfire: {misfire}, overlap: cancel_old")
    assert await stage.later(project, 5.5 * 3600) == fired
    row = await stage.row()
    assert (row.fired, row.skipped) == (fired, skipped)
    assert ("were missed: nobody was there" in row.note) == (fired == 0)
    assert await stage.later(project, 1) == 0


async def test_a_full_backlog_is_noted_and_the_next_tick_is_tried(stage: Stage) -> None:
    project = await stage.project("every: 1h, overlap: cancel_old, misfire: catch_up", ", backlog: 1")
    assert await stage.later(project, 3600) == 1
    async with stage.database.transaction() as tx:  # it is begun, and something else waits
        await tx.run("update task set state = 'running'")
    taken = await something_else(stage)
    assert await stage.later(project, 3600) == 0
    assert await stage.states() == ["running", "queued"]  # what runs goes on
    async with stage.database.transaction() as tx:
        assert await tx.row("select 1 from task where cancel_requested") is None
    assert "its `backlog` is 1; this one was not taken in" in (await stage.row()).note
    await stage.finish(taken)
    assert await stage.later(project, 3600) == 1


async def something_else(stage: Stage) -> Task:
    project = load_project(stage.folder, {})
    return (await submit(stage.database, project, TaskRequest("a", "else"), PERSON)).task


async def test_a_paused_one_goes_on_from_where_it_is_resumed(stage: Stage) -> None:
    project = await stage.project("every: 1h, misfire: catch_up, overlap: cancel_old")
    assert await set_pause(stage.database, project, "s", PERSON, paused=True)
    assert not await set_pause(stage.database, project, "s", PERSON, paused=True)
    assert await stage.later(project, 3 * 3600) == 0
    assert await set_pause(stage.database, project, "s", PERSON, paused=False)
    assert await stage.later(project, 1) == 0
    assert await stage.later(project, 3600) == 1
    assert [tick[11:16] for tick in await stage.ticks()] == ["16:00"]


async def test_one_is_triggered_by_hand(stage: Stage) -> None:
    project = await stage.project("every: 1h")
    task = await trigger(stage.database, project, "s", PERSON)
    assert (task.submitted_by, task.state) == (PERSON, TaskState.QUEUED)
    with pytest.raises(Conflict, match=f"task {task.id[-8:]} of the schedule 's' is queued, and two must not run"):
        await trigger(stage.database, project, "s", PERSON)
    assert len(await stage.tasks()) == 1
    await stage.finish(task)
    assert (await trigger(stage.database, project, "s", PERSON)).id != task.id
    with pytest.raises(NotFound, match="there is no schedule 't'; configured are: s"):
        await trigger(stage.database, project, "t", PERSON)
    with pytest.raises(NotFound):
        await set_pause(stage.database, project, "t", PERSON, paused=True)


async def test_another_timing_begins_anew_and_an_older_configuration_is_silent(stage: Stage) -> None:
    old = await stage.project("every: 1h, misfire: catch_up, overlap: cancel_old")
    stage.clock.advance(3 * 3600)
    new = await stage.project("every: 30m, misfire: catch_up, overlap: cancel_old")
    await keep_version(stage.database, old)  # as `tools test` does: stored, not applied
    assert await stage.later(old, 1800) == 0
    assert await stage.later(new, 1) == 1
    assert [tick[11:16] for tick in await stage.ticks()] == ["15:30"]
