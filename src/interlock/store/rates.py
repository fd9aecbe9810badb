"""Token buckets that hold over all workers; the time in them is the database's, so hosts need not agree on it.

A bucket that is not there is full. `at` is when `tokens` were counted; what has come since is added when it is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from interlock.config import Rate
from interlock.model import Bug
from interlock.store.database import Transaction

_ULP = 1e-9  # what floats lose, so that a wait of exactly what was said is long enough


@dataclass(frozen=True)
class Bucket:
    """One limit: whose (`tool:server.name`, `agent:name`) and how much."""

    key: str
    rate: Rate


@dataclass(frozen=True)
class Shortage:
    """The bucket that is empty for the longest, and the seconds until it has enough."""

    bucket: Bucket
    wait_s: float


async def take(tx: Transaction, key: str, rate: Rate, n: float = 1.0) -> float | None:
    """Take `n` tokens: None when they were there, else the seconds until they are, and nothing is taken.

    The row stays locked until the transaction ends, so it should be a short one.

    Raises:
        Bug: the bucket never holds so many.
    """
    _check(rate, n)
    taken = await tx.row(
        "insert into rate_bucket as b (key, tokens, at) values (%(key)s, %(burst)s - %(n)s, clock_timestamp())"
        " on conflict (key) do update set"
        " tokens = least(%(burst)s, b.tokens + %(rate)s * greatest(0, extract(epoch from excluded.at - b.at))) - %(n)s,"
        # what was stamped while another waited for the lock is not counted twice; a clock set back is followed
        " at = case when b.at > excluded.at + interval '2 minutes' then excluded.at else greatest(b.at, excluded.at) end"
        " where least(%(burst)s, b.tokens + %(rate)s * greatest(0, extract(epoch from excluded.at - b.at)))"
        " >= %(n)s - %(ulp)s returning tokens",
        {"key": key, "burst": rate.burst, "rate": rate.per_second, "n": n, "ulp": _ULP},
    )
    if taken is not None:
        return None
    there = await tx.row(
        "select least(%(burst)s, tokens + %(rate)s * greatest(0, extract(epoch from clock_timestamp() - at))) as tokens"
        " from rate_bucket where key = %(key)s",
        {"key": key, "burst": rate.burst, "rate": rate.per_second},
    )
    return _wait_s(rate, n, 0.0 if there is None else float(there["tokens"]))


async def take_all(tx: Transaction, buckets: Sequence[Bucket], n: float = 1.0) -> Shortage | None:
    """Take `n` tokens of each bucket, or of none; locked in the order of their keys, so that nobody waits in a ring.

    Raises:
        Bug: one never holds so many, or a key is there twice.
    """
    if len(buckets) == 1:
        wait_s = await take(tx, buckets[0].key, buckets[0].rate, n)
        return None if wait_s is None else Shortage(buckets[0], wait_s)
    ordered = sorted(buckets, key=lambda bucket: bucket.key)
    for bucket in ordered:
        _check(bucket.rate, n)
    keys = [bucket.key for bucket in ordered]
    if len(set(keys)) < len(keys):
        raise Bug("a bucket was named twice")
    if not keys:
        return None
    tokens = await _refill(tx, ordered)
    waits = [Shortage(b, _wait_s(b.rate, n, tokens[b.key])) for b in ordered if tokens[b.key] < n - _ULP]
    if waits:
        return max(waits, key=lambda shortage: shortage.wait_s)
    await tx.run("update rate_bucket set tokens = tokens - %s where key = any(%s)", [n, keys])
    return None


async def forget_idle(tx: Transaction, prefix: str, idle_s: float) -> int:
    """Delete buckets that nobody asked for so long, which makes them full; how many."""
    return await tx.run(
        "delete from rate_bucket where starts_with(key, %s) and at < clock_timestamp() - make_interval(secs => %s)",
        [prefix, idle_s],
    )


async def _refill(tx: Transaction, ordered: Sequence[Bucket]) -> dict[str, float]:
    """Lock the buckets and count what is in them now."""
    rows = await tx.rows(
        "insert into rate_bucket as b (key, tokens, at)"
        " select w.key, w.burst, clock_timestamp()"
        ' from unnest(%(keys)s::text[], %(bursts)s::float8[]) as w (key, burst) order by w.key collate "C"'
        " on conflict (key) do update set tokens = (select least(w.burst,"
        " b.tokens + w.rate * greatest(0, extract(epoch from excluded.at - b.at)))"
        " from unnest(%(keys)s::text[], %(bursts)s::float8[], %(rates)s::float8[]) as w (key, burst, rate)"
        " where w.key = b.key),"
        " at = case when b.at > excluded.at + interval '2 minutes' then excluded.at else greatest(b.at, excluded.at) end"
        " returning key, tokens",
        {
            "keys": [bucket.key for bucket in ordered],
            "bursts": [bucket.rate.burst for bucket in ordered],
            "rates": [bucket.rate.per_second for bucket in ordered],
        },
    )
    return {row["key"]: float(row["tokens"]) for row in rows}


def _check(rate: Rate, n: float) -> None:
    if not 0 < n <= rate.burst:
        raise Bug(f"{n:g} tokens of a bucket that holds {rate.burst:g}")


def _wait_s(rate: Rate, n: float, tokens: float) -> float:
    return max(0.0, (n - tokens) / rate.per_second)
