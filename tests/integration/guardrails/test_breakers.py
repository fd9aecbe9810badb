"""The breaker of a tool over many connections: the same as the pure machine, and exactly one probe."""

import asyncio
import hashlib

from interlock.config import BreakerConfig
from interlock.guardrails import breakers
from interlock.guardrails.breakers import admit, breaker_key, failed, given_up, listing, look, reset, succeeded
from interlock.model import (
    Breaker,
    BreakerPhase,
    DatabaseUnavailable,
    ToolLost,
    ToolRef,
    ToolRefused,
    ToolTimeout,
    ToolUnavailable,
)
from interlock.resilience import Admission, BreakerRule, breaking
from interlock.store import Database, breaker_rows

KEY = breaker_key(ToolRef("log", "append"))
CONFIG = BreakerConfig(failures=3, cooldown=30.0)


async def fail(database: Database, *, probe: bool = False, reason: str = "no answer") -> Admission:
    async with database.transaction() as tx:
        return await failed(tx, KEY, CONFIG, reason, probe=probe)


async def ask(database: Database) -> Admission:
    async with database.transaction() as tx:
        return await admit(tx, KEY)


async def succeed(database: Database, *, probe: bool = False) -> bool:
    async with database.transaction() as tx:
        return await succeeded(tx, KEY, probe=probe)


async def pass_time(database: Database, seconds: float) -> None:
    async with database.transaction() as tx:
        await tx.run(
            "update breaker set opened_at = opened_at - make_interval(secs => %(s)s),"
            " probe_until = probe_until - make_interval(secs => %(s)s)",
            {"s": seconds},
        )


async def rows(database: Database) -> int:
    async with database.transaction() as tx:
        return len(await breaker_rows.listing(tx))


async def opened(database: Database) -> None:
    for _ in range(CONFIG.failures):
        await fail(database)


async def test_what_speaks_against_a_tool() -> None:
    errors = (ToolLost("x"), ToolTimeout("x"), ToolUnavailable("x"), ToolRefused("x"), DatabaseUnavailable("x"))
    assert [breakers.counts(error) for error in errors] == [True, True, True, False, False]


async def test_a_healthy_tool_leaves_no_row(interlock_database: Database) -> None:
    assert await ask(interlock_database) == Admission(True)
    assert not await succeed(interlock_database)
    assert await rows(interlock_database) == 0


async def test_failures_in_a_row_open_it_and_a_success_between_them_does_not(interlock_database: Database) -> None:
    await fail(interlock_database)
    assert (await fail(interlock_database)).allowed
    assert (await ask(interlock_database)).noted
    assert await succeed(interlock_database)
    assert await rows(interlock_database) == 0
    await opened(interlock_database)
    told = await ask(interlock_database)
    assert not told.allowed
    assert 29 < told.retry_after_s <= 30
    assert told.reason == "no answer"
    assert not await succeed(interlock_database), "a call that was under way does not close it"


async def test_one_of_many_gets_to_try(interlock_database: Database) -> None:
    await opened(interlock_database)
    await pass_time(interlock_database, 31)

    async def racer() -> Admission:
        async with interlock_database.transaction() as tx:
            told = await admit(tx, KEY)
            await asyncio.sleep(0.05)
            return told

    told = await asyncio.gather(*(racer() for _ in range(8)))
    assert sum(one.allowed for one in told) == sum(one.probe for one in told) == 1
    assert all(one.retry_after_s > 100 for one in told if not one.allowed)
    assert await succeed(interlock_database, probe=True)
    assert await ask(interlock_database) == Admission(True)


async def test_a_claim_that_is_rolled_back_leaves_the_probe_to_the_other(interlock_database: Database) -> None:
    await opened(interlock_database)
    await pass_time(interlock_database, 31)
    waiting: asyncio.Task[Admission] | None = None
    try:
        async with interlock_database.transaction() as tx:
            assert (await admit(tx, KEY)).probe
            waiting = asyncio.create_task(ask(interlock_database))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            raise RuntimeError("the call was not made")
    except RuntimeError:
        assert waiting is not None
        assert (await waiting).probe


async def test_a_probe_that_fails_doubles_the_wait_and_one_that_died_blocks_nobody(
    interlock_database: Database,
) -> None:
    await opened(interlock_database)
    await pass_time(interlock_database, 31)
    assert (await ask(interlock_database)).probe
    after = await fail(interlock_database, probe=True)
    assert (after.allowed, round(after.retry_after_s)) == (False, 60)
    await pass_time(interlock_database, 61)
    assert (await ask(interlock_database)).probe
    assert not (await ask(interlock_database)).allowed
    await pass_time(interlock_database, breakers.PROBE_PATIENCE_S + breakers.MARGIN_S)
    assert (await ask(interlock_database)).probe


async def test_a_probe_that_was_not_sent_is_given_up(interlock_database: Database) -> None:
    await opened(interlock_database)
    await pass_time(interlock_database, 31)
    assert (await ask(interlock_database)).probe
    async with interlock_database.transaction() as tx:
        await given_up(tx, KEY)
    assert (await ask(interlock_database)).probe


async def test_looking_claims_nothing(interlock_database: Database) -> None:
    await opened(interlock_database)
    await pass_time(interlock_database, 31)
    for _ in range(2):
        async with interlock_database.transaction() as tx:
            told = await look(tx, [KEY, "tool:other.x"])
        assert (told[KEY].probe, told["tool:other.x"]) == (True, Admission(True))


async def test_people_see_it_and_close_it(interlock_database: Database) -> None:
    await opened(interlock_database)
    await fail(interlock_database, reason="late, and of no interest")
    async with interlock_database.transaction() as tx:
        (view,) = await listing(tx)
        assert (view.key, view.phase, view.failures, view.reason) == (KEY, BreakerPhase.OPEN, 3, "no answer")
        assert await reset(tx, KEY)
        assert not await reset(tx, KEY)
    assert await ask(interlock_database) == Admission(True)


async def test_secrets_in_reasons_are_not_kept(interlock_database: Database) -> None:
    await fail(interlock_database, reason="refused: password=hunter2hunter2")
    async with interlock_database.transaction() as tx:
        (view,) = await listing(tx)
    assert view.reason == "refused: password=***"


async def test_many_failures_at_once_count_each_and_open_once(interlock_database: Database) -> None:
    await asyncio.gather(*(fail(interlock_database) for _ in range(8)))
    async with interlock_database.transaction() as tx:
        (view,) = await listing(tx)
    assert view.failures == CONFIG.failures
    assert 25 < view.retry_after_s <= 30


async def test_rows_and_machine_agree_over_random_histories(interlock_database: Database) -> None:
    rule = BreakerRule(CONFIG.failures, CONFIG.cooldown)
    for history in range(12):
        state = Breaker()
        async with interlock_database.transaction() as tx:
            await reset(tx, KEY)
        for chance in hashlib.sha256(b"%d" % history).digest()[:15]:
            step, probe = ("ask", "ask", "fail", "fail", "succeed", "wait")[chance % 6], chance >= 128
            async with interlock_database.transaction() as tx:
                row = await tx.row("select clock_timestamp() as now")
            assert row is not None
            now = row["now"]
            if step == "ask":
                told, expected = await ask(interlock_database), breaking.look(state, now)
                assert (told.allowed, told.probe, told.noted) == (expected.allowed, expected.probe, expected.noted)
                if told.probe:
                    state = breaking.claimed(state, now, breakers.PROBE_PATIENCE_S + breakers.MARGIN_S)
            elif step == "fail":
                await fail(interlock_database, probe=probe)
                state = breaking.failed(state, rule, now, "no answer", probe=probe)
            elif step == "succeed":
                await succeed(interlock_database, probe=probe)
                state = breaking.succeeded(state, probe=probe)
            else:
                seconds = (5.0, 31.0, 61.0, 700.0)[chance % 4]
                await pass_time(interlock_database, seconds)
                state = _earlier(state, seconds)
            async with interlock_database.transaction() as tx:
                kept = await breaker_rows.find(tx, KEY)
            if kept is None:
                assert state == Breaker()
            else:
                assert (kept.state.failures, kept.state.opened_for_s) == (state.failures, state.opened_for_s)
                assert (kept.state.opened_at is None, kept.state.probe_until is None) == (
                    state.opened_at is None,
                    state.probe_until is None,
                )


def _earlier(state: Breaker, seconds: float) -> Breaker:
    from dataclasses import replace
    from datetime import timedelta

    gone = timedelta(seconds=seconds)
    return replace(
        state,
        opened_at=state.opened_at and state.opened_at - gone,
        probe_until=state.probe_until and state.probe_until - gone,
    )
