"""Rates over several buckets, as the gate asks for them."""

import pytest

from interlock.config import parse_rate
from interlock.guardrails import rates
from interlock.model import RateLimited
from interlock.store import Bucket, Database


async def test_the_error_names_the_limit_and_when_to_come_back(interlock_database: Database) -> None:
    buckets = [Bucket("tool:mail.send", parse_rate("60/m burst 2")), Bucket("agent:tidy", parse_rate("100/h"))]
    for _ in range(2):
        async with interlock_database.transaction() as tx:
            await rates.take(tx, buckets)
    with pytest.raises(
        RateLimited, match=r"^mail\.send may be called 60 times a minute.*; try again in 1 s$"
    ) as caught:
        async with interlock_database.transaction() as tx:
            await rates.take(tx, buckets)
    assert 0 < caught.value.retry_after_s <= 1
    async with interlock_database.transaction() as tx:
        await rates.take(tx, buckets[1:])
        await rates.take(tx, [])


async def test_buckets_of_old_tasks_are_deleted(interlock_database: Database) -> None:
    async with interlock_database.transaction() as tx:
        await rates.take(tx, [Bucket("task:1", parse_rate("1/s")), Bucket("agent:a", parse_rate("1/s"))])
        assert await rates.forget_tasks(tx) == 0
        await tx.run("update rate_bucket set at = at - interval '2 days'")
        assert await rates.forget_tasks(tx) == 1
