"""What a segment does in one statement each is what the slower way does, or nothing at all if things are not as seen."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from interlock.app import keep_version
from interlock.audit import compose, listing, sequence, verify
from interlock.config import Project, load_project, new_id
from interlock.model import (
    Answered,
    AuditEntry,
    CallRequest,
    Claimed,
    Conflict,
    Fenced,
    Lease,
    ModelTurn,
    NotFound,
    RequestTurn,
    Task,
    TaskRequest,
    TaskState,
)
from interlock.orchestrator import admission_of, cancel, handle, limits_of, submit
from interlock.orchestrator.events import Along, move_on
from interlock.store import Database, admission_rows, call_rows, run_rows, segment_rows, task_rows

pytestmark = pytest.mark.integration
WORKER = "worker:w"


@pytest.fixture
async def project(tmp_path: Path, interlock_database: Database) -> Project:
    (tmp_path / "interlock.yaml").write_text("agents:\n  a: {model: 'playbook:none'}\n")
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "none.yaml").write_text("version: 1\nsteps: [{result: nothing}]\n")
    found = load_project(tmp_path, {})
    await keep_version(interlock_database, found)
    return found


async def submitted(database: Database, project: Project, text: str = "go") -> Task:
    return (await submit(database, project, TaskRequest("a", text, {"n": 1}), "person:ann")).task


async def claim(database: Database, seen: Task) -> Task | None:
    async with database.at_once() as tx:
        return await move_on(tx, seen, Claimed(seen.segment_no), WORKER, Along(taker="w"))


async def finish(database: Database, seen: Task) -> Task | None:
    async with database.at_once() as tx:
        return await move_on(tx, seen, Answered(0), WORKER, Along(worked_s=1.5, result={"text": "done"}))


async def story(database: Database, task_id: str) -> dict[str, Any]:
    """Everything of a task that does not differ from one to another."""
    async with database.transaction() as tx:
        task = await task_rows.get(tx, task_id)
        run = (await run_rows.runs(tx, task_id))[0]
        records = await listing(tx, task_id, 50)
        counters = await tx.rows("select name, sum(value)::float8 as n from metric_counter group by name order by name")
        return {
            "state": (task.state, task.state_reason, task.epoch, task.executor_id, task.worked_s, task.segment_no),
            "times": (task.started_at is not None, task.finished_at is not None, run["ended_at"] is not None),
            "run": (run["run_no"], run["clean"], run["outcome"]),
            "result": await task_rows.result_of(tx, task_id),
            "records": [(entry["event"], entry["actor"], entry["detail"]) for entry in reversed(records)],
            "counted": {row["name"]: row["n"] for row in counters if not row["name"].endswith("_sum")},
        }


async def test_one_statement_each_does_what_the_slower_way_does(interlock_database: Database, project: Project) -> None:
    database = interlock_database
    fast = await submitted(database, project, "one")
    running = await claim(database, fast)
    assert running is not None
    async with database.transaction() as tx:
        assert running == await task_rows.get(tx, fast.id)
    ended = await finish(database, running)
    assert ended is not None
    assert ended.state is TaskState.COMPLETED
    async with database.transaction() as tx:
        assert ended == await task_rows.get(tx, fast.id)
    one = await story(database, fast.id)
    slow = await submitted(database, project, "two")
    async with database.transaction() as tx:
        await handle(tx, slow.id, Claimed(0), WORKER)
        lease = await task_rows.take_lease(tx, await task_rows.get(tx, slow.id), "w")
    async with database.transaction(lease) as tx:
        await task_rows.add_worked(tx, slow.id, 1.5)
        await task_rows.keep_result(tx, slow.id, {"text": "done"})
        await handle(tx, slow.id, Answered(0), WORKER)
    other = await story(database, slow.id)
    assert {name: n * 2 for name, n in one.pop("counted").items()} == other.pop("counted")
    one["records"][0][2].pop("request_sha256")
    other["records"][0][2].pop("request_sha256")
    assert one == other
    while await sequence(database):
        pass
    assert (await verify(database)).ok


async def test_a_task_that_is_not_as_it_was_seen_stays_as_it_is(interlock_database: Database, project: Project) -> None:
    database = interlock_database
    seen = await submitted(database, project)
    claims = await asyncio.gather(*(claim(database, seen) for _ in range(5)))
    running = [task for task in claims if task is not None]
    assert len(running) == 1  # whoever comes second sees another epoch
    await cancel(database, seen.id, "person:ann")
    before = await story(database, seen.id)
    assert await finish(database, running[0]) is None  # it must end as cancelled
    assert await claim(database, running[0]) is None  # the event does not fit
    assert await story(database, seen.id) == before


async def test_a_task_with_an_open_call_is_not_over_in_one_statement(
    interlock_database: Database, project: Project
) -> None:
    database = interlock_database
    running = await claim(database, await submitted(database, project))
    assert running is not None
    lease = Lease(running.id, 1, 0, running.epoch, "w")
    async with database.transaction(lease) as tx:
        call_id = new_id()
        await call_rows.propose(tx, lease, call_id, CallRequest(1, "web.get", {}, "to see"))
        await tx.run("update call set state = 'started' where id = %s", [call_id])
    assert await finish(database, running) is None


async def test_what_a_segment_begins_with_is_found_in_one_look(interlock_database: Database, project: Project) -> None:
    database = interlock_database
    task = await submitted(database, project)
    running = await claim(database, task)
    assert running is not None
    lease = Lease(task.id, 1, 0, running.epoch, "w")
    turn, record = ModelTurn("hello", (), "playbook:none"), AuditEntry("model.outcome", "agent:a", {"task": task.id})
    async with database.at_once() as tx:
        await segment_rows.append_answer(tx, lease, turn, 2, compose(record, tx.clock.now()))
    async with database.at_once() as tx:
        known = await segment_rows.look(tx, task.id)
        assert known.turns == await run_rows.history(tx, task.id, 1) == (RequestTurn("go", {"n": 1}), turn)
        assert (known.task, known.last_seq) == (await task_rows.get(tx, task.id), 2)
        assert known.request == await task_rows.request_of(tx, task.id)
        assert "model.outcome" in [entry["event"] for entry in await listing(tx, task.id, 50)]
        with pytest.raises(NotFound):
            await segment_rows.look(tx, new_id())
    async with database.at_once() as tx:
        with pytest.raises(Conflict, match="at the same time"):
            await segment_rows.append_answer(tx, lease, turn, 2, None)


async def test_a_run_that_inherits_its_history_sees_all_of_it(interlock_database: Database, project: Project) -> None:
    database = interlock_database
    task = await submitted(database, project)
    async with database.transaction() as tx:
        await run_rows.open_run(tx, task.id, 2, clean=False)
        await run_rows.append(tx, task.id, 2, RequestTurn("again"))
        await tx.run("update task set run_no = 2 where id = %s", [task.id])
    async with database.at_once() as tx:
        known = await segment_rows.look(tx, task.id)
    assert known.turns == (RequestTurn("go", {"n": 1}), RequestTurn("again"))
    assert known.last_seq == 1


async def test_whoever_lost_the_lease_writes_nothing(interlock_database: Database, project: Project) -> None:
    database = interlock_database
    task = await submitted(database, project)
    running = await claim(database, task)
    assert running is not None
    lost = Lease(task.id, 1, 0, running.epoch - 1, "w")
    record = AuditEntry("model.intent", "agent:a", {"task": task.id})
    before = await story(database, task.id)
    async with database.at_once() as tx:
        assert not await segment_rows.record_held(tx, lost, compose(record, tx.clock.now()), [])
        with pytest.raises(Fenced):
            await segment_rows.append_answer(tx, lost, ModelTurn("x", (), "m"), 2, compose(record, tx.clock.now()))
    assert await story(database, task.id) == before


async def test_tasks_that_are_taken_in_together_are_like_those_that_come_alone(
    interlock_database: Database, project: Project
) -> None:
    database = interlock_database
    alone = await submitted(database, project)
    limits = limits_of(project.config.agents["a"], None)
    async with database.transaction() as tx:
        now = tx.clock.now()
        some = [
            admission_of(now, project, TaskRequest("a", text, {"n": 1}), limits, "person:ann") for text in ("b", "c")
        ]
        await admission_rows.admit_many(tx, some)
    first = await story(database, alone.id)
    for admission in some:
        other = await story(database, admission.new.id)
        other["records"][0][2]["request_sha256"] = first["records"][0][2]["request_sha256"]
        assert other == first
        async with database.transaction() as tx:
            task = await task_rows.get(tx, admission.new.id)
            shape = "select status, queue_name, priority, inputs::jsonb->'positionalArgs'->1 as no, workflow_timeout_ms"
            rows = [
                await tx.row(shape + " from dbos.workflow_status where workflow_uuid = %s", [f"{one}:0"])
                for one in (alone.id, task.id)
            ]
        assert rows[0] is not None
        assert rows[1] is not None
        assert {**rows[0], "priority": 0} == {**rows[1], "priority": 0}
        assert rows[1]["priority"] == task.virtual_deadline
        assert await claim(database, task) is not None
