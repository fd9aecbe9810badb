"""The start of a call reserves all of its allowances, or none of them."""

import dataclasses
from pathlib import Path

import pytest

from interlock.app import keep_version
from interlock.audit import compose
from interlock.config import load_project, new_id
from interlock.model import (
    AuditEntry,
    Call,
    CallRequest,
    CallState,
    Fenced,
    Lease,
    TaskKind,
    TaskLimits,
    TaskRequest,
    ToolRef,
)
from interlock.orchestrator.submit import admit
from interlock.store import Beginning, Claim, Database, allowance_rows, call_rows, path_rows, task_rows

PROJECT = "agents:\n  a: {model: 'playbook:none', tools: []}\n"


async def proposed(database: Database, folder: Path) -> tuple[Lease, Call]:
    """A call that nothing was decided about."""
    (folder / "interlock.yaml").write_text(PROJECT)
    (folder / "playbooks").mkdir()
    (folder / "playbooks" / "none.yaml").write_text("version: 1\nsteps: [{result: nothing}]\n")
    project = load_project(folder, {})
    await keep_version(database, project)
    request = TaskRequest("a", "go", dedupe_key=new_id(), kind=TaskKind.OUTSIDE)
    async with database.transaction() as tx:
        task = (await admit(tx, project, request, TaskLimits(), "test")).task
        lease = await task_rows.take_lease(tx, task, "test")
    async with database.at_once() as tx:
        asked = CallRequest(1, "web.get", {"url": "x"}, "to see")
        call, facts = await path_rows.propose(tx, lease, new_id(), asked, ToolRef("web", "get"), planned=True)
        again, _ = await path_rows.propose(tx, lease, call.id, asked, ToolRef("web", "get"), planned=True)
        looked = await path_rows.look(tx, lease, 1, ToolRef("web", "get"), planned=True)
    assert looked is not None
    assert looked == (call, facts)
    assert dataclasses.replace(again, created_at=call.created_at) == call
    return lease, call


async def start(database: Database, lease: Lease, call: Call, claims: list[Claim], *, beyond: bool = False) -> str:
    now = database.clock.now()
    started = dataclasses.replace(call, state=CallState.STARTED, started_at=now)
    intent = compose(AuditEntry("call.intent", "agent:a", {"task": call.task_id}, {}), now)
    async with database.at_once() as tx:
        verdict = await path_rows.start(tx, lease, Beginning(started, None, ["all"], claims, beyond, intent, now))
    return str(verdict["verdict"])


async def reserved(database: Database, scope: str) -> dict[str, float]:
    async with database.transaction() as tx:
        return {row["resource"]: row["reserved"] for row in await allowance_rows.of_scope(tx, scope) if row["reserved"]}


@pytest.mark.parametrize("amount", [3, 30], ids=["with what is used already", "by itself"])
async def test_what_does_not_fit_leaves_nothing_reserved(
    interlock_database: Database, tmp_path: Path, amount: int
) -> None:
    lease, call = await proposed(interlock_database, tmp_path)
    scope = f"task:{call.task_id}"
    async with interlock_database.transaction() as tx:
        assert await allowance_rows.reserve(tx, [Claim(scope, "calls", 1, 10), Claim(scope, "files", 8, 10)]) is None
    claims = [Claim(scope, "zeal", 1, 10), Claim(scope, "files", amount, 10), Claim(scope, "calls", 2, 10)]
    assert await start(interlock_database, lease, call, claims) == "over"
    assert await reserved(interlock_database, scope) == {"calls": 1, "files": 8}
    async with interlock_database.transaction() as tx:
        assert (await call_rows.get(tx, call.id)).state is CallState.PROPOSED
    assert await start(interlock_database, lease, call, claims, beyond=True) == "ok"
    assert await reserved(interlock_database, scope) == {"calls": 3, "files": 8 + amount, "zeal": 1}


async def test_exactly_as_much_as_there_is_fits(interlock_database: Database, tmp_path: Path) -> None:
    lease, call = await proposed(interlock_database, tmp_path)
    scope = f"task:{call.task_id}"
    claims = [Claim(scope, "calls", 2, 2), Claim(scope, "files", 10, 10)]
    assert await start(interlock_database, lease, call, claims) == "ok"
    assert await reserved(interlock_database, scope) == {"calls": 2, "files": 10}
    assert await start(interlock_database, lease, call, claims) == "conflict"


async def test_who_lost_the_lease_proposes_nothing(interlock_database: Database, tmp_path: Path) -> None:
    lease, call = await proposed(interlock_database, tmp_path)
    old = dataclasses.replace(lease, epoch=lease.epoch - 1)
    async with interlock_database.at_once() as tx:
        with pytest.raises(Fenced):
            await path_rows.propose(tx, old, new_id(), CallRequest(2, "a.b", {}, ""), ToolRef("a", "b"), planned=False)
    async with interlock_database.transaction() as tx:
        assert [one.id for one in await call_rows.of_task(tx, call.task_id)] == [call.id]
