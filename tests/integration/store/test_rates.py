"""Token buckets: never more than burst and rate allow, over any schedule and any number of connections."""

import asyncio
import time
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.config import Rate, parse_rate
from interlock.model import Bug
from interlock.store import Bucket, Database, rate_rows


async def take(database: Database, key: str, rate: Rate, n: float = 1.0) -> float | None:
    async with database.transaction() as tx:
        return await rate_rows.take(tx, key, rate, n)


async def tokens(database: Database, key: str) -> float:
    async with database.transaction() as tx:
        row = await tx.row("select tokens from rate_bucket where key = %s", [key])
    assert row is not None
    return float(row["tokens"])


async def pass_time(database: Database, seconds: float) -> None:
    """As if so much time had passed since the buckets were counted."""
    async with database.transaction() as tx:
        await tx.run("update rate_bucket set at = at - make_interval(secs => %s)", [seconds])


async def test_a_burst_at_once_and_then_as_it_refills(interlock_database: Database) -> None:
    rate = parse_rate("60/m burst 3")
    assert [await take(interlock_database, "tool:a.b", rate) for _ in range(3)] == [None] * 3
    wait_s = await take(interlock_database, "tool:a.b", rate)
    assert wait_s is not None
    assert 0.5 < wait_s <= 1.0
    await pass_time(interlock_database, wait_s)
    assert await take(interlock_database, "tool:a.b", rate) is None
    assert await take(interlock_database, "tool:a.b", rate) is not None
    await pass_time(interlock_database, 3600)
    assert [await take(interlock_database, "tool:a.b", rate) is None for _ in range(4)] == [True, True, True, False]


async def test_what_is_refused_takes_nothing_and_buckets_are_apart(interlock_database: Database) -> None:
    rate = parse_rate("1/h burst 2")
    assert await take(interlock_database, "a", rate, 1.5) is None
    before = await tokens(interlock_database, "a")
    assert await take(interlock_database, "a", rate) is not None
    assert await tokens(interlock_database, "a") == before
    assert await take(interlock_database, "b", rate, 2) is None


async def test_more_than_a_bucket_ever_holds_is_a_bug(interlock_database: Database) -> None:
    with pytest.raises(Bug):
        await take(interlock_database, "a", parse_rate("60/m burst 3"), 4)
    async with interlock_database.transaction() as tx:
        with pytest.raises(Bug):
            await rate_rows.take_all(tx, [Bucket("a", parse_rate("1/s")), Bucket("a", parse_rate("1/s"))])


async def test_several_buckets_all_or_nothing(interlock_database: Database) -> None:
    few, many = Bucket("tool:x", parse_rate("1/h burst 2")), Bucket("agent:y", parse_rate("60/h burst 10"))

    async def both() -> Any:
        async with interlock_database.transaction() as tx:
            return await rate_rows.take_all(tx, [few, many])

    assert [await both(), await both()] == [None, None]
    for _ in range(3):
        short = await both()
        assert short.bucket == few
        assert 3500 < short.wait_s <= 3600
    assert 8 <= await tokens(interlock_database, "agent:y") < 8.1
    async with interlock_database.transaction() as tx:
        assert await rate_rows.take_all(tx, []) is None


async def test_what_is_rolled_back_was_not_taken(interlock_database: Database) -> None:
    rate = parse_rate("1/h")
    with pytest.raises(RuntimeError):
        async with interlock_database.transaction() as tx:
            assert await rate_rows.take(tx, "a", rate) is None
            raise RuntimeError("the call was not made")
    assert await take(interlock_database, "a", rate) is None


async def test_a_clock_that_was_set_back_does_not_stop_the_refill(interlock_database: Database) -> None:
    rate = parse_rate("10/s burst 1")
    assert await take(interlock_database, "a", rate) is None
    await pass_time(interlock_database, -7200)
    async with interlock_database.transaction() as tx:  # refused, and followed
        await rate_rows.take_all(tx, [Bucket("a", rate), Bucket("b", rate)])
    await asyncio.sleep(0.15)
    assert await take(interlock_database, "a", rate) is None


async def test_idle_buckets_are_forgotten(interlock_database: Database) -> None:
    for key in ("task:1", "tool:a.b"):
        await take(interlock_database, key, parse_rate("1/s"))
    await pass_time(interlock_database, 100)
    await take(interlock_database, "task:2", parse_rate("1/s"))
    async with interlock_database.transaction() as tx:
        assert await rate_rows.forget_idle(tx, "task:", 60.0) == 1


async def test_eight_connections_get_no_more_than_there_is(interlock_database: Database) -> None:
    rate = parse_rate("50/s burst 20")
    given_out = 0

    async def worker(number: int) -> None:
        nonlocal given_out
        buckets = [Bucket("tool:a", rate), Bucket(f"agent:{number % 2}", parse_rate("100/s"))]
        for _ in range(40):
            async with interlock_database.transaction() as tx:
                order = buckets if number % 4 < 2 else buckets[::-1]
                taken = await rate_rows.take_all(tx, order) if number % 3 else await rate_rows.take(tx, "tool:a", rate)
            given_out += taken is None
            await asyncio.sleep(0)

    began = time.monotonic()
    await asyncio.gather(*(worker(number) for number in range(8)))
    most = rate.burst + rate.per_second * (time.monotonic() - began)
    assert rate.burst <= given_out <= most


STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.01, 0.3, 1.0, 5.0, 120.0]), st.sampled_from([1.0, 0.5, 2.0])),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, amount=st.integers(1, 20), burst=st.integers(2, 6))
def test_over_any_schedule_no_more_than_burst_and_rate_times_time(
    shared_conninfo: str, steps: list[tuple[float, float]], amount: int, burst: int
) -> None:
    """Plain connections, each statement for itself; time is moved in the row and counted here."""
    asyncio.run(_any_schedule(shared_conninfo, steps, Rate(float(amount), 1.0, float(burst))))


async def _any_schedule(conninfo: str, steps: list[tuple[float, float]], rate: Rate) -> None:
    from interlock.testing.postgres import open_database

    async with open_database(conninfo) as database:
        async with database.transaction() as tx:
            await tx.run("delete from rate_bucket")
        began, passed_s, taken = time.monotonic(), 0.0, 0.0
        for seconds, n in steps:
            await pass_time(database, seconds)
            passed_s += seconds
            waits = await asyncio.gather(*(take(database, "k", rate, n) for _ in range(3)))
            taken += n * waits.count(None)
            elapsed_s = passed_s + time.monotonic() - began
            assert taken <= rate.burst + rate.per_second * elapsed_s + 1e-6
            for wait_s in waits:
                assert wait_s is None or 0 <= wait_s <= n / rate.per_second + 1e-6


@pytest.fixture
def shared_conninfo(interlock_postgres: Any) -> str:
    conninfo, _ = interlock_postgres.fresh()
    with psycopg.connect(conninfo):
        return str(conninfo)
