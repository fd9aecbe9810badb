"""Reads that are used again: for the same question only, not for long, and not after a change at the server."""

from dataclasses import replace

import pytest

from interlock.config import AgentConfig, SystemClock
from interlock.guardrails import Subject
from interlock.guardrails.cached import cache_key, find, forget, keep, may_be_kept
from interlock.model import (
    ActionClass,
    Lease,
    RequestTurn,
    Task,
    TaskKind,
    TaskLimits,
    TaskState,
    ToolDefinition,
    ToolRef,
    ToolResult,
)
from interlock.store import Database, cached_rows

DEFINITION = ToolDefinition(ToolRef("files", "read"), None, "Reads.", {"type": "object"})
RESULT = ToolResult(True, "content", {"n": 1})
KEY = "k"


def subject(agent: str = "tidy", config: str = "sha") -> Subject:
    now = SystemClock().now()
    task = Task(
        "t",
        agent,
        TaskKind.AGENT,
        TaskState.RUNNING,
        "x",
        5,
        1,
        0,
        1,
        0,
        0.0,
        False,
        TaskLimits(),
        config,
        "ann",
        now,
        now,
    )
    return Subject(Lease("t", 1, 0, 1, "w"), task, AgentConfig(), RequestTurn("x"))


async def kept(database: Database, key: str = KEY, ttl_s: float = 60.0, result: ToolResult = RESULT) -> bool:
    async with database.transaction() as tx:
        look = await find(tx, key)
    async with database.transaction() as tx:
        return await keep(tx, key, DEFINITION, result, ttl_s, look.at)


async def found(database: Database, key: str = KEY) -> ToolResult | None:
    async with database.transaction() as tx:
        return (await find(tx, key)).result


def test_the_key_is_about_all_that_matters() -> None:
    args = {"a": 1, "b": [2]}
    same = cache_key(subject(), DEFINITION, {"b": [2], "a": 1})
    assert same == cache_key(subject(), DEFINITION, args)
    others = {
        cache_key(subject("other"), DEFINITION, args),
        cache_key(subject(config="new"), DEFINITION, args),
        cache_key(subject(), replace(DEFINITION, description="Changed."), args),
        cache_key(subject(), replace(DEFINITION, ref=ToolRef("files", "list")), args),
        cache_key(subject(), replace(DEFINITION, ref=ToolRef("other", "read")), args),
        cache_key(subject(), DEFINITION, {"a": 1, "b": [3]}),
        cache_key(subject(), DEFINITION, args, run="t:1"),
        cache_key(subject(), DEFINITION, args, tenant="b"),
    }
    assert len(others | {same}) == 9


@pytest.mark.parametrize(
    ("action_class", "result", "allowed"),
    [
        (ActionClass.READ, RESULT, True),
        (ActionClass.WRITE, RESULT, False),
        (ActionClass.DESTRUCTIVE, RESULT, False),
        (ActionClass.READ, ToolResult(False, "no"), False),
        (ActionClass.READ, ToolResult(True, "long", truncated=True), False),
    ],
)
def test_only_good_and_whole_reads_are_kept(action_class: ActionClass, result: ToolResult, allowed: bool) -> None:
    assert may_be_kept(action_class, result) is allowed


async def test_it_is_found_until_its_time_is_over(interlock_database: Database) -> None:
    assert await found(interlock_database) is None
    assert await kept(interlock_database)
    assert await found(interlock_database) == RESULT
    assert await found(interlock_database, "other") is None
    async with interlock_database.transaction() as tx:
        await tx.run(
            "update cached_read set read_at = read_at - interval '20 s', expires_at = expires_at - interval '20 s'"
        )
        assert 20 <= (await find(tx, KEY)).age_s < 25
        await tx.run("update cached_read set expires_at = clock_timestamp()")
    assert await found(interlock_database) is None
    assert await kept(interlock_database)
    assert await found(interlock_database) == RESULT


async def test_a_change_at_the_server_ends_it_for_everybody(interlock_database: Database) -> None:
    await kept(interlock_database)
    async with interlock_database.transaction() as tx:
        await forget(tx, "other")
    assert await found(interlock_database) == RESULT
    async with interlock_database.transaction() as tx:
        await forget(tx, "files")
    assert await found(interlock_database) is None
    await kept(interlock_database)
    assert await found(interlock_database) == RESULT


async def test_what_was_read_before_a_change_and_comes_after_it_is_not_used(interlock_database: Database) -> None:
    async with interlock_database.transaction() as tx:
        begun = (await find(tx, KEY)).at
    async with interlock_database.transaction() as changing:
        await forget(changing, "files")
        async with interlock_database.transaction() as tx:  # the mark is not committed yet
            assert await keep(tx, KEY, DEFINITION, RESULT, 60.0, begun)
    assert await found(interlock_database) is None


async def test_an_older_result_does_not_replace_a_newer_one(interlock_database: Database) -> None:
    async with interlock_database.transaction() as tx:
        begun = (await find(tx, KEY)).at
    await kept(interlock_database, result=ToolResult(True, "new"))
    async with interlock_database.transaction() as tx:
        await keep(tx, KEY, DEFINITION, ToolResult(True, "old"), 60.0, begun)
    assert await found(interlock_database) == ToolResult(True, "new")


async def test_it_is_sealed_and_bound_to_its_key(interlock_database: Database) -> None:
    await kept(interlock_database)
    async with interlock_database.transaction() as tx:
        row = await tx.row("select result from cached_read")
        assert row is not None
        assert b"content" not in row["result"]


async def test_large_results_are_not_kept(interlock_database: Database) -> None:
    assert not await kept(interlock_database, result=ToolResult(True, "é" * 40_000))
    assert await kept(interlock_database, result=ToolResult(True, "x" * 60_000))


async def test_purge(interlock_database: Database) -> None:
    for key in ("a", "b", "c", "d"):
        await kept(interlock_database, key)
    async with interlock_database.transaction() as tx:
        await tx.run("update cached_read set expires_at = clock_timestamp() where key = 'a'")
        assert await cached_rows.purge(tx) == 1
        assert await cached_rows.purge(tx, keep=2) == 1
        assert {row["key"] for row in await tx.rows("select key from cached_read")} == {"c", "d"}
        await forget(tx, "files")
        assert await cached_rows.purge(tx) == 2
