"""Rows of circuit breakers; no row means closed and healthy. What a row turns into is decided above, in one place.

The time in them is the database's, so that hosts need not agree on it.
"""

import datetime
from dataclasses import dataclass

from interlock.model import Breaker
from interlock.store.database import Row, Transaction

REASON_CHARS = 500


@dataclass(frozen=True)
class BreakerRow:
    """One breaker as it stands, and the database's present moment."""

    key: str
    state: Breaker
    now: datetime.datetime


async def find(tx: Transaction, key: str) -> BreakerRow | None:
    """A breaker, not locked."""
    row = await tx.row("select *, clock_timestamp() as now from breaker where key = %s", [key])
    return None if row is None else _breaker(row)


async def find_all(tx: Transaction, keys: list[str]) -> dict[str, BreakerRow]:
    """Several at once, not locked; those that have no row are not in it."""
    rows = await tx.rows("select *, clock_timestamp() as now from breaker where key = any(%s)", [keys])
    return {row["key"]: _breaker(row) for row in rows}


async def listing(tx: Transaction, prefix: str = "") -> list[BreakerRow]:
    """All that remember something, by key."""
    rows = await tx.rows(
        "select *, clock_timestamp() as now from breaker where starts_with(key, %s) order by key", [prefix]
    )
    return [_breaker(row) for row in rows]


async def claim_probe(tx: Transaction, seen: BreakerRow, patience_s: float) -> bool:
    """Be the one that tries, for so long; False when somebody else is, or it is not as it was seen."""
    count = await tx.run(
        "update breaker set probe_until = clock_timestamp() + make_interval(secs => %s)"
        " where key = %s and opened_at = %s and (probe_until is null or probe_until <= clock_timestamp())",
        [patience_s, seen.key, seen.state.opened_at],
    )
    return count == 1


async def give_up_probe(tx: Transaction, key: str) -> None:
    """The probe was not sent: the next call may be it."""
    await tx.run("update breaker set probe_until = null where key = %s", [key])


async def locked(tx: Transaction, key: str) -> BreakerRow:
    """A breaker, made if need be and locked until the transaction ends."""
    row = await tx.row(
        "insert into breaker (key, failures) values (%s, 0) on conflict (key) do update set failures = breaker.failures"
        " returning *, clock_timestamp() as now",
        [key],
    )
    return _breaker(row or {})


async def keep(tx: Transaction, key: str, state: Breaker) -> None:
    """Store everything of a locked breaker."""
    await tx.run(
        "update breaker set failures = %s, opened_at = %s, opened_for_s = %s, probe_until = %s, reason = %s"
        " where key = %s",
        [state.failures, state.opened_at, state.opened_for_s, state.probe_until, state.reason[:REASON_CHARS], key],
    )


async def close(tx: Transaction, key: str, *, even_open: bool) -> bool:
    """Forget the failures; without `even_open` only of one that is closed. False when there was nothing to forget."""
    return (await tx.run("delete from breaker where key = %s and (%s or opened_at is null)", [key, even_open])) == 1


def _breaker(row: Row) -> BreakerRow:
    state = Breaker(
        failures=row["failures"],
        opened_at=row["opened_at"],
        opened_for_s=row["opened_for_s"],
        probe_until=row["probe_until"],
        reason=row["reason"],
    )
    return BreakerRow(row["key"], state, row["now"])
