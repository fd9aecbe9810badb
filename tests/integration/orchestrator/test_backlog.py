"""A bounded number of tasks waits for an agent; the count is exact, whatever becomes of them."""

import asyncio
from pathlib import Path

import pytest

from interlock.app import keep_version
from interlock.config import Project, load_project
from interlock.model import BacklogFull, TaskRequest, TaskState
from interlock.orchestrator import submit
from interlock.store import Database, backlog_rows, task_rows

pytestmark = pytest.mark.integration
CONFIG = """\
agents:
  small: {model: "playbook:none", backlog: 3}
  other: {model: "playbook:none", backlog: 1}
"""


@pytest.fixture
async def project(tmp_path: Path, interlock_database: Database) -> Project:
    (tmp_path / "interlock.yaml").write_text(CONFIG)
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "none.yaml").write_text("version: 1\nsteps: [{result: nothing}]\n")
    found = load_project(tmp_path, {})
    await keep_version(interlock_database, found)
    return found


async def waiting(database: Database, agent: str) -> int:
    async with database.transaction() as tx:
        return await backlog_rows.waiting(tx, agent)


async def move(database: Database, task_id: str, *states: str) -> None:
    """Put a task into states, one after the other."""
    for state in states:
        async with database.transaction() as tx:
            await tx.run("update task set state = %s where id = %s", [state, task_id])


async def test_what_is_too_much_is_refused_and_leaves_nothing(interlock_database: Database, project: Project) -> None:
    database = interlock_database
    first = (await submit(database, project, TaskRequest("small", "1"), "person:a")).task
    for text in ("2", "3"):
        assert (await submit(database, project, TaskRequest("small", text), "person:a")).created
    with pytest.raises(
        BacklogFull, match="3 tasks wait for the agent 'small', and its `backlog` is 3; this one was not"
    ):
        await submit(database, project, TaskRequest("small", "4"), "person:a")
    assert await waiting(database, "small") == 3
    again = await submit(database, project, TaskRequest("small", "1"), "person:a")
    assert (again.created, again.task.id) == (False, first.id)  # nothing is added, so nothing is refused
    assert (await submit(database, project, TaskRequest("other", "1"), "person:a")).created
    await move(database, first.id, TaskState.RUNNING)
    assert (await submit(database, project, TaskRequest("small", "4"), "person:a")).created


async def test_the_count_follows_the_states(interlock_database: Database, project: Project) -> None:
    database = interlock_database
    task = (await submit(database, project, TaskRequest("small", "1"), "person:a")).task
    for state, expected in (
        ("queued", 1),
        ("delayed", 1),
        ("running", 0),
        ("waiting_approval", 0),
        ("queued", 1),
        ("cancelled", 0),
        ("queued", 1),
    ):
        await move(database, task.id, state)
        assert await waiting(database, "small") == expected, state
    async with database.transaction() as tx:
        await tx.run("update task set cancel_requested = true where id = %s", [task.id])
    assert await waiting(database, "small") == 1


async def test_many_at_once_pass_the_bound_by_no_more_than_they_are(
    interlock_database: Database, project: Project
) -> None:
    database = interlock_database
    wanted = [submit(database, project, TaskRequest("small", f"at once {n}"), "person:a") for n in range(30)]
    found = await asyncio.gather(*wanted, return_exceptions=True)
    refused = [one for one in found if isinstance(one, BacklogFull)]
    taken = [one for one in found if not isinstance(one, BaseException)]
    assert len(taken) + len(refused) == 30
    assert 3 <= len(taken) <= 3 + 10  # as many as there are connections
    assert await waiting(database, "small") == len(taken)
    async with database.transaction() as tx:
        listed = [await task_rows.get(tx, one.task.id) for one in taken]
    assert all(one.state is TaskState.QUEUED for one in listed)
