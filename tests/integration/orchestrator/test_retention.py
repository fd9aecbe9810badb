"""Tasks that ended long ago are forgotten with all that only they refer to; nothing else changes, whoever dies when."""

import asyncio
import dataclasses
import datetime
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from interlock import audit
from interlock.app import Control, Fleet, apply_version
from interlock.config import LimitsConfig, ManualClock, Project, load_project, new_id
from interlock.guardrails import keep_artifacts
from interlock.model import (
    ActionClass,
    Approval,
    ApprovalState,
    CallRequest,
    CallState,
    Exhausted,
    NotFound,
    Origin,
    Task,
    TaskKind,
    TaskLimits,
    TaskRequest,
    ToolResult,
    Unavailable,
)
from interlock.observability import count_call, count_task, exposition
from interlock.orchestrator import forget_old, submit, submit_again, submit_undo
from interlock.orchestrator.families import ancestor_of
from interlock.orchestrator.submit import admit
from interlock.store import (
    Claim,
    Database,
    allowance_rows,
    approval_rows,
    call_rows,
    catalog_rows,
    retention_rows,
    task_rows,
)
from interlock.testing.postgres import TestPostgres, open_database

pytestmark = pytest.mark.integration
PERSON = "person:ann"
START = datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.UTC)
DAY_S = 86_400.0
ALL_ROWS = """
select 'task' as name, to_jsonb(t)::text as row from task t
union all select 'run' as name, to_jsonb(t)::text as row from run t
union all select 'turn' as name, to_jsonb(t)::text as row from turn t
union all select 'call' as name, to_jsonb(t)::text as row from call t
union all select 'approval' as name, to_jsonb(t)::text as row from approval t
union all select 'allowance' as name, to_jsonb(t)::text as row from allowance t
union all select 'blob' as name, to_jsonb(t)::text as row from blob t
union all select 'blob_use' as name, to_jsonb(t)::text as row from blob_use t
union all select 'agent_token' as name, to_jsonb(t)::text as row from agent_token t
union all select 'schedule' as name, to_jsonb(t)::text as row from schedule t
union all select 'halt' as name, to_jsonb(t)::text as row from halt t
union all select 'metric_counter' as name, to_jsonb(t)::text as row from metric_counter t
union all select 'config_version' as name, to_jsonb(t)::text as row from config_version t
union all select 'tool_pin' as name, to_jsonb(t)::text as row from tool_pin t
union all select 'backlog' as name, to_jsonb(t)::text as row from backlog t
order by 1, 2
"""
CONFIG = {"agents": {"a": {"model": "playbook:none"}}, "server": {"retention": {"tasks": "1d"}}}


def sha256_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@dataclass
class Stage:
    """A database of its own, its project, and a clock of ours."""

    database: Database
    project: Project
    clock: ManualClock
    conninfo: str
    folder: Path

    async def task(self, **given: Any) -> Task:
        """A task with all that a task can have: a call with snapshot and artifact, an approval, an allowance."""
        request = TaskRequest("a", f"go {new_id()}", **given)
        task = (await submit(self.database, self.project, request, PERSON)).task
        await self.call(task)
        return task

    async def call(self, task: Task, state: CallState = CallState.DONE, body: bytes | None = None) -> str:
        """Give a task a call that had an effect; the hash of the state that was kept before it."""
        call_id, kept = new_id(), body or new_id().encode()
        async with self.database.transaction() as tx:
            lease = await task_rows.take_lease(tx, task, "w")
            number = await call_rows.last_number(tx, task.id) + 1
            await call_rows.propose(tx, lease, call_id, CallRequest(number, "files.write", {"path": "x"}, "why"))
            await catalog_rows.keep_blob(tx, sha256_of(kept), kept, task.id)
            result = await keep_artifacts(tx, ToolResult(True, "ok", overflow=b"all of " + kept), task.id, call_id)
            before = {
                "server": "files", "paths": ["x"], "state_sha256": "0" * 64,
                "entries": [{"path": "x", "content": f"blob://{sha256_of(kept)}"}],
            }  # fmt: skip
            call = dataclasses.replace(
                await call_rows.get(tx, call_id), state=state, action_class=ActionClass.WRITE, before=before,
                result=result.to_json(), effect={"files_changed": 1}, started_at=tx.clock.now(),
            )  # fmt: skip
            await call_rows.keep(tx, call)
            now = tx.clock.now()
            approval = Approval(
                new_id(), task.id, call_id, ApprovalState.PENDING, {"a": 1}, "0" * 64, {"b": 2}, now, now
            )
            await approval_rows.insert(tx, approval)
            await approval_rows.close_of_task(tx, task.id, ApprovalState.CONSUMED)
            await allowance_rows.reserve(tx, [Claim(f"task:{task.id}", "files", 1, 20)])
        return sha256_of(kept)

    async def end(self, task: Task, state: str = "completed") -> None:
        async with self.database.transaction() as tx:
            await tx.run(
                "update task set state = %s, finished_at = %s, changed_at = %s where id = %s",
                [state, tx.clock.now(), tx.clock.now(), task.id],
            )

    async def ended(self, **given: Any) -> Task:
        task = await self.task(**given)
        await self.end(task)
        return task

    async def later(self, seconds: float = DAY_S + 60) -> int:
        """Let time pass, and forget until nothing is due; how many were."""
        self.clock.advance(seconds)
        total = 0
        while found := await forget_old(self.database, self.project):
            total += found
        return total

    async def kept(self) -> set[str]:
        async with self.database.transaction() as tx:
            return {str(row["id"]) for row in await tx.rows("select id from task")}

    async def blobs(self) -> set[str]:
        async with self.database.transaction() as tx:
            return {row["sha256"] for row in await tx.rows("select sha256 from blob")}

    async def everything(self) -> dict[str, list[str]]:
        """All rows of all tables that have to do with tasks, as text."""
        found: dict[str, list[str]] = {}
        async with self.database.transaction() as tx:
            for row in await tx.rows(ALL_ROWS):
                found.setdefault(row["name"], []).append(row["row"])
        return found

    async def told(self) -> list[dict[str, Any]]:
        """What the record says was forgotten, in order."""
        async with self.database.transaction() as tx:
            found = await audit.listing(tx, None, 1000)
        return [entry["detail"] for entry in reversed(found) if entry["event"] == "retention.deleted"]


async def applied(database: Database, folder: Path, config: dict[str, Any]) -> Project:
    (folder / "interlock.yaml").write_text(json.dumps(config))
    project = load_project(folder, {})
    await apply_version(database, project, PERSON)
    return project


@pytest.fixture
async def stage(interlock_postgres: TestPostgres, tmp_path: Path) -> AsyncIterator[Stage]:
    clock = ManualClock(START)
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "none.yaml").write_text("version: 1\nsteps: [{result: nothing}]\n")
    conninfo, _ = interlock_postgres.fresh()
    async with open_database(conninfo, clock) as database:
        yield Stage(database, await applied(database, tmp_path, CONFIG), clock, conninfo, tmp_path)


# ---- what goes, and what stays -----------------------------------------------------------------------------------


async def test_what_is_long_over_goes_with_all_it_has_and_nothing_else_changes(stage: Stage) -> None:
    bystanders = [await stage.task() for _ in range(3)]
    await stage.end(bystanders[0], "escalated")
    before = await stage.everything()
    async with stage.database.transaction() as tx:
        await count_task(tx, "completed", "a", 3.0)
        await count_call(tx, "files", "write", "ok")
    old = [await stage.ended() for _ in range(2)]
    stage.clock.advance(DAY_S - 10)
    await stage.end(bystanders[1], "failed")
    before_late = await stage.everything()
    metrics = await exposition(stage.database, "1")
    assert await stage.later(20) == 2
    after = await stage.everything()
    gone = {task.id for task in old}
    for table in before_late:
        expected = [row for row in before_late[table] if not any(task_id in row for task_id in gone)]
        if table == "blob":  # whose rows do not say whose they are
            expected = before["blob"]
        assert after.get(table, []) == expected, table
    assert (len(after["blob"]), len(after["task"]), len(after["call"])) == (6, 3, 3)
    (told,) = await stage.told()
    assert {told[name] for name in ("tasks", "runs", "turns", "calls", "approvals")} == {2}
    assert (told["blobs"], sorted(told["ids"])) == (4, sorted(gone))
    assert told["blob_bytes"] > 0
    assert await exposition(stage.database, "1") == metrics, "what was counted stays counted"


async def test_the_record_stays_whole(stage: Stage) -> None:
    task = await stage.ended()
    await stage.later()
    await audit.sequence(stage.database)
    verdict = await audit.verify(stage.database)
    assert (verdict.ok, verdict.waiting) == (True, 0)
    control = Control(stage.database, stage.project, cast(Fleet, None), "1")
    with pytest.raises(NotFound):
        await control.task(task.id)
    assert [entry["event"] for entry in await control.audit(task.id, 10)] == ["task.submitted"]
    for unknown in (new_id(), task.id[:8], "nonsense"):
        with pytest.raises(NotFound):
            await control.audit(unknown, 10)


async def test_many_go_in_batches_the_oldest_first(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.orchestrator.retention.BATCH", 2)
    tasks = []
    for _ in range(5):
        tasks.append(await stage.ended())
        stage.clock.advance(1)
    assert await stage.later() == 5
    assert [told["ids"] for told in await stage.told()] == [
        [task.id for task in tasks[start : start + 2]] for start in (0, 2, 4)
    ]
    assert await stage.later() == 0
    assert len(await stage.told()) == 3, "nothing to do leaves no record"


async def test_forever_and_another_configuration(stage: Stage) -> None:
    task = await stage.ended()
    stage.clock.advance(1000 * DAY_S)
    forever = {**CONFIG, "server": {"retention": {"tasks": "forever"}}}
    kept = await applied(stage.database, stage.folder, forever)
    assert await forget_old(stage.database, stage.project) == 0, "a server of an older configuration leaves it alone"
    assert await forget_old(stage.database, kept) == 0
    assert task.id in await stage.kept()


# ---- what holds a task back --------------------------------------------------------------------------------------


async def test_a_call_in_doubt_is_not_forgotten_before_somebody_says(stage: Stage) -> None:
    task = await stage.task()
    await stage.call(task, CallState.IN_DOUBT)
    await stage.end(task, "cancelled")
    assert await stage.later() == 0
    async with stage.database.transaction() as tx:
        await tx.run("update call set state = 'done' where state = 'in_doubt'")
    assert await stage.later() == 1


async def test_a_task_that_is_tried_again_stays_until_that_is_over(stage: Stage) -> None:
    task = await stage.ended()
    again = (await submit_again(stage.database, stage.project, task.id, PERSON)).task
    assert await stage.later() == 0
    await stage.end(again)
    assert await stage.later(60) == 1
    async with stage.database.transaction() as tx:
        assert (await task_rows.get(tx, again.id)).retry_of == task.id, "of what it is a retry stays a fact"
    assert await stage.later() == 1
    with pytest.raises(NotFound):
        await submit_again(stage.database, stage.project, task.id, PERSON)


async def test_an_undo_keeps_its_task_and_then_the_bytes_that_it_names(stage: Stage) -> None:
    task = await stage.task()
    kept = await stage.call(task, body=b"the state before")
    await stage.end(task)
    undo = (await submit_undo(stage.database, stage.project, (task.id, None), PERSON)).task
    assert await stage.later() == 0
    await stage.end(undo)
    assert await stage.later(60) == 1
    assert await stage.kept() == {undo.id}
    assert kept in await stage.blobs(), "the undo's own request still names it"
    assert await stage.later() == 1
    assert await stage.blobs() == set()
    with pytest.raises(NotFound):
        await submit_undo(stage.database, stage.project, (task.id, None), PERSON)


async def given_away(stage: Stage, parent: Task) -> Task:
    """A task that a call of another one gave away."""
    request = TaskRequest("quick", "a part", dedupe_key=new_id())
    origin = Origin(parent_id=parent.id, call_id=new_id(), lineage=(ancestor_of(parent, LimitsConfig()),))
    async with stage.database.transaction() as tx:
        return (await admit(tx, stage.project, request, TaskLimits(), PERSON, origin)).task


async def test_a_task_and_what_it_gave_away_wait_for_each_other(stage: Stage) -> None:
    parent = await stage.task()
    child = await given_away(stage, parent)
    await stage.end(child)
    assert await stage.later() == 0, "the one above may still want to read its result"
    await stage.end(parent)
    other = await given_away(stage, parent)
    assert await stage.later() == 1
    assert await stage.kept() == {parent.id, other.id}
    await stage.end(other)
    assert await stage.later() == 2


async def test_an_undo_keeps_what_its_task_gave_away(stage: Stage) -> None:
    parent = await stage.task()
    child = await given_away(stage, parent)
    await stage.call(child)
    await stage.end(child)
    await stage.end(parent)
    undo = (await submit_undo(stage.database, stage.project, (parent.id, None), PERSON)).task
    assert await stage.later() == 0
    await stage.end(undo)
    assert await stage.later(60) == 2
    assert await stage.kept() == {undo.id}


async def test_with_too_many_undos_under_way_nothing_is_forgotten(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await stage.ended()
    await submit_undo(stage.database, stage.project, (task.id, None), PERSON)
    monkeypatch.setattr("interlock.store.retention.OPEN_UNDOS", 1)
    stage.clock.advance(2 * DAY_S)
    with pytest.raises(Exhausted, match="nothing is forgotten"):
        await forget_old(stage.database, stage.project)


# ---- bytes that several refer to ---------------------------------------------------------------------------------


async def test_shared_bytes_go_with_the_last_who_uses_them(stage: Stage) -> None:
    first, second = await stage.task(), await stage.task()
    kept = await stage.call(first, body=b"shared")
    assert await stage.call(second, body=b"shared") == kept
    await stage.end(first)
    assert await stage.later() == 1
    async with stage.database.transaction() as tx:
        assert await catalog_rows.blob(tx, kept) == b"shared"
    await stage.end(second)
    assert await stage.later() == 1
    assert await stage.blobs() == set()


async def test_bytes_of_before_stay_because_nobody_knows_who_uses_them(stage: Stage) -> None:
    task = await stage.ended()
    async with stage.database.transaction() as tx:
        await tx.run("update blob set counted = false")
    found = await stage.blobs()
    assert await stage.later() == 1
    assert await stage.blobs() == found
    assert task.id not in await stage.kept()


async def test_bytes_that_are_kept_anew_at_this_very_moment_stay(stage: Stage) -> None:
    old, young = await stage.task(), await stage.task()
    kept = await stage.call(old, body=b"same")
    await stage.end(old)
    stage.clock.advance(2 * DAY_S)
    async with stage.database.transaction() as tx:  # has the row, and has not said so yet
        await catalog_rows.keep_blob(tx, kept, b"same", young.id)
        forgetting = asyncio.create_task(forget_old(stage.database, stage.project))
        await asyncio.sleep(0.3)
        assert not forgetting.done()
    assert await forgetting == 1
    async with stage.database.transaction() as tx:
        assert await catalog_rows.blob(tx, kept) == b"same"


async def test_bytes_that_are_being_deleted_are_written_anew_for_who_needs_them(stage: Stage) -> None:
    old, young = await stage.task(), await stage.task()
    kept = await stage.call(old, body=b"same")
    await stage.end(old)

    async def keep() -> None:
        async with stage.database.at_once() as tx:
            await catalog_rows.keep_blob(tx, kept, b"same", young.id)

    async with stage.database.transaction() as tx:
        await retention_rows.forget(tx, [old.id])
        keeping = asyncio.create_task(keep())
        await asyncio.sleep(0.3)
        assert not keeping.done()
    await keeping
    async with stage.database.transaction() as tx:
        assert await catalog_rows.blob(tx, kept) == b"same"


# ---- several at once, and those that die -------------------------------------------------------------------------


async def test_two_houses_forget_each_task_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.orchestrator.retention.BATCH", 3)
    tasks = {(await stage.ended()).id for _ in range(20)}
    stage.clock.advance(2 * DAY_S)

    async def house() -> int:
        total, idle = 0, 0
        async with open_database(stage.conninfo, stage.clock) as database:
            while idle < 5:
                found = await forget_old(database, stage.project)
                total, idle = total + found, 0 if found else idle + 1
                await asyncio.sleep(0)
        return total

    totals = await asyncio.gather(house(), house())
    told = [task_id for one in await stage.told() for task_id in one["ids"]]
    assert sum(totals) == len(told) == len(tasks)
    assert set(told) == tasks
    assert await stage.kept() == set()
    assert await stage.blobs() == set()


async def test_a_task_that_somebody_holds_is_left_for_later(stage: Stage) -> None:
    held, free = await stage.ended(), await stage.ended()
    stage.clock.advance(2 * DAY_S)
    async with stage.database.transaction() as tx:
        await task_rows.get(tx, held.id, lock=True)
        assert await forget_old(stage.database, stage.project) == 1
    assert await stage.kept() == {held.id}
    assert free.id not in await stage.kept()


async def test_a_reference_that_comes_between_the_look_and_the_lock_is_seen(stage: Stage) -> None:
    """The first statement sees the task as it was; what refers to it since is found once it is locked."""
    task = await stage.ended()
    stage.clock.advance(2 * DAY_S)
    async with stage.database.transaction() as tx:
        ids = await retention_rows.take_due(tx, stage.clock.now() - datetime.timedelta(days=1), 10)
        assert ids == [task.id]
        undoing = asyncio.create_task(submit_undo(stage.database, stage.project, (task.id, None), PERSON))
        again = asyncio.create_task(submit_again(stage.database, stage.project, task.id, PERSON))
        await asyncio.sleep(0.3)
        assert [undoing.done(), again.done()] == [False, False], "who wants to refer to it waits"
        await retention_rows.forget(tx, ids)
    for waiting in (undoing, again):
        with pytest.raises(NotFound):
            await waiting


async def test_a_row_that_stays_locked_delays_it_and_nothing_is_half_done(stage: Stage) -> None:
    task = await stage.ended()
    before = await stage.everything()
    stage.clock.advance(2 * DAY_S)
    async with stage.database.transaction() as tx:
        await tx.rows("select 1 from call where task_id = %s for update", [task.id])
        with pytest.raises(Unavailable):
            await forget_old(stage.database, stage.project)
    assert await stage.everything() == before
    assert await forget_old(stage.database, stage.project) == 1


PROGRAM = """
import asyncio, datetime, sys
from pathlib import Path
from interlock.config import LimitsConfig, ManualClock, load_project
from interlock.orchestrator import forget_old
from interlock.testing.postgres import open_database

async def main():
    clock = ManualClock(datetime.datetime.fromisoformat(sys.argv[2]))
    async with open_database(sys.argv[1], clock) as database:
        print(await forget_old(database, load_project(Path(sys.argv[3]), {})))

asyncio.run(main())
"""


@pytest.mark.parametrize(("fault", "left"), [("retention.deleted", 3), ("retention.committed", 0)])
async def test_a_kill_in_the_middle_forgets_all_or_nothing(stage: Stage, fault: str, left: int) -> None:
    for _ in range(3):
        await stage.ended()
    before = await stage.everything()
    stage.clock.advance(2 * DAY_S)
    argv = [sys.executable, "-c", PROGRAM, stage.conninfo, stage.clock.now().isoformat(), str(stage.folder)]

    def run(**env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False)

    killed = await asyncio.to_thread(run, INTERLOCK_FAULT=fault)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(await stage.kept()) == left
    assert len(await stage.told()) == (0 if left else 1)
    if left:
        assert await stage.everything() == before
    ended = await asyncio.to_thread(run)
    assert (ended.returncode, ended.stdout.strip()) == (0, str(left)), ended.stderr
    assert await stage.kept() == set()
    assert await stage.blobs() == set()
    assert sum(told["tasks"] for told in await stage.told()) == 3
    await audit.sequence(stage.database)
    assert (await audit.verify(stage.database)).ok


async def test_tokens_and_schedules_do_not_hold_a_task(stage: Stage) -> None:
    async with stage.database.transaction() as tx:
        request = TaskRequest("a", "outside", dedupe_key=new_id(), kind=TaskKind.OUTSIDE)
        task = (await admit(tx, stage.project, request, TaskLimits(), PERSON)).task
        await tx.run(
            "insert into schedule (name, timing, seen_at, last_task, changed_at) values ('s', 'x', now(), %s, now())",
            [task.id],
        )
    await stage.end(task)
    assert await stage.later() == 1
    async with stage.database.transaction() as tx:
        row = await tx.row("select last_task from schedule")
    assert row == {"last_task": None}
