"""A database of an older release in the middle of its work goes on under this one: nothing is lost, nothing is done twice.

The rows were written by that release's own code: see `tests/fixtures/upgrade/record.py`.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo
from tests.fixtures.upgrade.recorded import DATA, EFFECTS, LAST_MIGRATION, PLAYBOOKS, RECORDED, write_project

from interlock.app import Control, Fleet, Foundation, check_project, keep_version, prepare, worker_of
from interlock.config import Settings
from interlock.model import VERSION
from interlock.orchestrator import prepare_dispatcher
from interlock.store import migrating
from interlock.store.migrating import migrate, migrations
from interlock.testing.postgres import TestPostgres, open_database

from .conftest import FINAL, PERSON, House

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
NAME = "recorded"


def restore(server: TestPostgres) -> tuple[str, ...]:
    """A database with the schema and the rows of that release, brought up to date; which migrations that took."""
    superuser = server.attached.superuser_conninfo
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(f"create database {NAME} owner interlock_owner")
    owner = server.attached.conninfo("interlock_owner", NAME)
    owner_url = server.attached.sqlalchemy_url("interlock_owner").replace("@/interlock?", f"@/{NAME}?")
    old = tuple(one for one in migrations() if one[0] <= LAST_MIGRATION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda: old)
        assert len(migrate(owner)) == LAST_MIGRATION
    prepare_dispatcher(owner, owner_url, "interlock_app")
    with psycopg.connect(make_conninfo(superuser, dbname=NAME)) as connection:
        connection.execute("set session_replication_role = replica")  # rows come in any order
        connection.execute("delete from interlock.schema_migration")  # theirs has the same hashes, or this fails
        for line in DATA.read_text().splitlines():
            connection.execute(line.encode())
        # An hour later, whatever the clock of this machine says.
        connection.execute("update interlock.executor set heartbeat_at = now() - interval '1 hour'")
        connection.execute(
            "update dbos.workflow_status set delay_until_epoch_ms = extract(epoch from now()) * 1000 - 1"
            " where delay_until_epoch_ms is not null"
        )
    applied = migrate(owner)
    prepare(owner, owner_url)
    return applied


@asynccontextmanager
async def working(server: TestPostgres, folder: Path) -> AsyncIterator[House]:
    """A worker of this release on that database."""
    log = write_project(folder)
    shutil.copy(EFFECTS, log)
    env = {**os.environ, "INTERLOCK_HOME": str(folder / "home")}
    settings, project = Settings.from_env(env), check_project(folder, env)
    conninfo = server.attached.conninfo("interlock_app", NAME)
    url = server.attached.sqlalchemy_url("interlock_app").replace("@/interlock?", f"@/{NAME}?")
    async with open_database(conninfo) as database:
        worker, toolbox = worker_of(Foundation(database, conninfo, url, "test"), settings, project, env)
        await keep_version(database, project)
        control = Control(database, project, Fleet(database, project, toolbox), VERSION)
        found = {key: (await control.tasks(None, key, None, 1))["items"][0]["state"] for key in RECORDED}
        assert found == {key: state for key, (state, _) in RECORDED.items()}
        stop = asyncio.Event()
        work = asyncio.create_task(worker.run(stop))
        try:
            yield House(control, server.attached.conninfo("interlock_owner", NAME), log)
        finally:
            stop.set()
            await asyncio.wait_for(work, 60.0)
            await toolbox.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(interlock_postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    applied = await asyncio.to_thread(restore, interlock_postgres)
    assert applied == tuple(name for number, name, _ in migrations() if number > LAST_MIGRATION)
    async with working(interlock_postgres, tmp_path_factory.mktemp("upgraded")) as built:
        yield built


async def task_of(house: House, key: str) -> str:
    return str((await house.control.tasks(None, key, None, 1))["items"][0]["id"])


async def decided(house: House, key: str) -> str:
    """Let a person do what the recorded task waits for; its id."""
    task_id, control = await task_of(house, key), house.control
    if key in ("approved", "denied"):
        asked = next(a for a in await control.approvals(pending_only=True) if a["task"] == task_id)
        await house.answer(asked, "approve" if key == "approved" else "deny", "because")
    elif key == "escalated":
        house.log.with_name("broken").unlink(missing_ok=True)
        await control.resolve(task_id, {"resolution": "retry", "reason": "it is mended"}, PERSON)
    elif key == "writing":  # its worker is not heard of any more, so nobody knows what became of the call
        view = await house.rest(task_id, "escalated")
        doubtful = next(call for call in view["calls"] if call["state"] == "in_doubt")
        await control.resolve_call(doubtful["id"], {"outcome": "done", "reason": "it is in the log"}, PERSON)
    return task_id


@pytest.mark.parametrize("key", RECORDED)
async def test_a_task_of_the_older_release_is_finished_and_each_effect_is_there_once(house: House, key: str) -> None:
    task_id, denied = await decided(house, key), key == "denied"
    if denied:  # it was refused what it needs
        await house.rest(task_id, "escalated")
        await house.control.resolve(task_id, {"resolution": "fail", "reason": "then not"}, PERSON)
    view = await house.rest(task_id, *FINAL)
    assert view["state"] == ("failed" if denied else "completed"), view["state_reason"]
    wanted = [step["id"] for step in PLAYBOOKS[key] if step["call"].startswith("log.append")]
    assert house.effects(key) == (["a"] if denied else wanted)


async def test_what_the_older_release_did_can_be_undone(house: House) -> None:
    undo = await house.control.undo(await task_of(house, "completed"), PERSON, kind="task", dry_run=False)
    view = await house.rest(undo["task"]["id"])
    assert "the declared inverse was made; there is no state to compare" in view["state_reason"]
    text = house.log.read_text()
    assert 0 < text.index("undo-completed/b") < text.index("undo-completed/a")


async def test_the_record_is_one_chain_over_both_releases(house: House) -> None:
    async with asyncio.timeout(30.0):
        while (proof := await house.control.verify_audit())["waiting"]:
            await asyncio.sleep(0.2)
    assert (proof["ok"], proof["problems"]) == (True, [])
    recorded = DATA.read_text().count('insert into "interlock"."audit_link"')
    assert proof["records"] > recorded > 50
