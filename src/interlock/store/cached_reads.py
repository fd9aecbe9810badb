"""Results of reads that may be used again, sealed. The time in them is the database's.

A result counts from the moment its read was begun. Whoever changes something at a server moves a mark; what was read
before the mark is not used again, even if it is stored after it.
"""

import datetime
import json
from dataclasses import dataclass

from interlock.model import ToolResult
from interlock.store.database import Transaction

MAX_BYTES = 65_536
MAX_ENTRIES = 10_000


@dataclass(frozen=True)
class CachedLook:
    """What a look into the cache found.

    Attributes:
        result: None when there is nothing to use again.
        at: the database's moment of the look; a read that is made instead was begun then.
        age_s: how old the result is.
    """

    result: ToolResult | None
    at: datetime.datetime
    age_s: float = 0.0


async def get(tx: Transaction, key: str) -> CachedLook:
    """A result that is neither too old nor from before the last change at its server."""
    row = await tx.row(
        "select now.at, c.result, extract(epoch from now.at - c.read_at)::float8 as age_s"
        " from (select clock_timestamp() as at) now left join cached_read c on c.key = %s and c.expires_at > now.at"
        " and not exists (select 1 from server_changed s where s.server = c.server and s.at >= c.read_at)",
        [key],
    )
    if row is None or row["result"] is None:
        return CachedLook(None, (row or {})["at"])
    found = tx.sealer.open(row["result"], f"cached_read.result:{key}")
    return CachedLook(ToolResult.from_json(found), row["at"], row["age_s"])


async def put(
    tx: Transaction, key: str, server: str, result: ToolResult, ttl_s: float, read_at: datetime.datetime
) -> bool:
    """Keep a result for `ttl_s` from when its read was begun; False when it is too large to be kept.

    `read_at` is `CachedLook.at` of the look that found nothing: from before the read was sent.
    """
    body = result.to_json()
    if len(json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return False
    await tx.run(
        "insert into cached_read (key, server, result, read_at, expires_at)"
        " values (%(key)s, %(server)s, %(result)s, %(read_at)s, %(read_at)s + make_interval(secs => %(ttl_s)s))"
        " on conflict (key) do update set result = excluded.result, read_at = excluded.read_at,"
        " expires_at = excluded.expires_at where cached_read.read_at < excluded.read_at",
        {
            "key": key,
            "server": server,
            "result": tx.sealer.seal(body, f"cached_read.result:{key}"),
            "read_at": read_at,
            "ttl_s": ttl_s,
        },
    )
    return True


async def forget(tx: Transaction, server: str) -> None:
    """Something may have changed at a server: nothing that was read of it until now is used again.

    The mark of a server is one row, locked until the transaction ends: let this be one of its last statements.
    """
    await tx.run(
        "insert into server_changed as s (server, at) values (%s, clock_timestamp())"
        " on conflict (server) do update set at = greatest(s.at, clock_timestamp())",
        [server],
    )


async def purge(tx: Transaction, keep: int = MAX_ENTRIES) -> int:
    """Delete what is too old or overtaken by a change, and the oldest beyond `keep`; how many."""
    dead = await tx.run(
        "delete from cached_read c where c.expires_at <= clock_timestamp()"
        " or exists (select 1 from server_changed s where s.server = c.server and s.at >= c.read_at)"
    )
    beyond = await tx.run(
        "delete from cached_read where key in (select key from cached_read order by read_at desc offset %s)", [keep]
    )
    return dead + beyond
