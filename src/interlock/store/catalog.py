"""What holds for all tasks: accepted tool definitions, halts, counters, blobs."""

import asyncio
from collections.abc import Iterable
from typing import TypeAlias

from psycopg.types.json import Jsonb

from interlock.model import ToolDefinition, ToolRef
from interlock.store.database import Row, Transaction
from interlock.store.sightings import definition_body, storable_text

Count: TypeAlias = tuple[str, dict[str, str], float]  # name and labels of a counter, and how much it grows
_LARGE_BYTES = 256 * 1024


async def pins(tx: Transaction, server: str) -> dict[str, str]:
    """Accepted definitions of a server; shape `{tool name: sha256}`."""
    rows = await tx.rows("select name, sha256 from tool_pin where server = %s", [server])
    return {row["name"]: row["sha256"] for row in rows}


async def accepted_tools(tx: Transaction) -> list[ToolRef]:
    """The accepted tools of all servers."""
    rows = await tx.rows("select server, name from tool_pin order by server, name")
    return [ToolRef(row["server"], row["name"]) for row in rows]


async def accepted_definitions(tx: Transaction, servers: list[str]) -> list[Row]:
    """The accepted tools of some servers with their definitions; shape `{server, name, definition}`."""
    return await tx.rows(
        "select server, name, definition from tool_pin where server = any(%s) order by server, name", [servers]
    )


async def accept_pin(tx: Transaction, definition: ToolDefinition, by: str, *, replace: bool) -> bool:
    """Accept a definition; without `replace` an accepted one stays as it is, and the answer is False.

    The hash is of the whole definition; what is kept to compare it with later is `definition_body`.
    """
    params = {
        "server": definition.ref.server,
        "name": storable_text(definition.ref.name),
        "sha": definition.pin_sha256,
        "definition": Jsonb(definition_body(definition)),
        "at": tx.clock.now(),
        "by": by,
        "replace": replace,
    }
    count = await tx.run(
        "insert into tool_pin (server, name, sha256, definition, accepted_at, accepted_by)"
        " values (%(server)s, %(name)s, %(sha)s, %(definition)s, %(at)s, %(by)s) on conflict (server, name) do update"
        " set sha256 = excluded.sha256, definition = excluded.definition, accepted_at = excluded.accepted_at,"
        " accepted_by = excluded.accepted_by where %(replace)s",
        params,
    )
    return count == 1


async def drop_pins(tx: Transaction, server: str, names: Iterable[str]) -> int:
    """Forget that tools were accepted, because they are gone; how many."""
    wanted = [storable_text(name) for name in names]
    return await tx.run("delete from tool_pin where server = %s and name = any(%s)", [server, wanted])


async def halts(tx: Transaction) -> list[Row]:
    """Everything that is halted or paused; shape `{scope, by, reason, at, stops}`."""
    return await tx.rows("select scope, by, reason, at, stops from halt order by scope")


async def halt(tx: Transaction, scope: str, by: str, reason: str, *, stops: bool) -> None:
    """Halt a scope; `stops`: what is under way as well."""
    await tx.run(
        "insert into halt (scope, by, reason, at, stops) values (%s, %s, %s, %s, %s) on conflict (scope) do update"
        " set by = excluded.by, reason = excluded.reason, at = excluded.at, stops = excluded.stops",
        [scope, by, reason[:2000], tx.clock.now(), stops],
    )


async def resume(tx: Transaction, scope: str) -> bool:
    """End a halt; False when there was none."""
    return await tx.run("delete from halt where scope = %s", [scope]) == 1


async def count(tx: Transaction, *counts: Count) -> None:
    """Add to counters in the transaction of the fact they count; always in one order, so that nobody waits in a circle."""
    await tx.run(
        "insert into metric_counter as m (name, labels, shard, value)"
        " select c.name, c.labels, pg_backend_pid() %% 8, c.value"
        " from jsonb_to_recordset(%s) as c(name text, labels jsonb, value double precision) order by c.name, c.labels"
        " on conflict (name, labels, shard) do update set value = m.value + excluded.value",
        [Jsonb([{"name": name, "labels": labels, "value": by} for name, labels, by in counts])],
    )


async def counters(tx: Transaction, name: str | None = None) -> list[Row]:
    """All counters, or those of one name; shape `{name, labels, value}`."""
    return await tx.rows(
        "select name, labels, sum(value) as value from metric_counter where (%(name)s::text is null or name = %(name)s)"
        " group by name, labels order by name, labels",
        {"name": name},
    )


async def keep_blob(tx: Transaction, sha256: str, body: bytes, task_id: str) -> None:
    """Store bytes under their hash for as long as the task is kept; one statement."""
    place = f"blob.body:{sha256}"
    if len(body) < _LARGE_BYTES:
        sealed = tx.sealer.seal_bytes(body, place)
    else:  # others need not wait for it
        sealed = await asyncio.to_thread(tx.sealer.seal_bytes, body, place)
    # The update changes nothing, but locks what is there, so that nobody can be deleting it.
    await tx.run(
        "with kept as (insert into blob as b (sha256, size, body, at, counted) values (%s, %s, %s, %s, true)"
        " on conflict (sha256) do update set size = b.size returning sha256)"
        " insert into blob_use (sha256, task_id) select sha256, %s from kept on conflict do nothing",
        [sha256, len(body), sealed, tx.clock.now(), task_id],
    )


async def use_blobs(tx: Transaction, task_id: str, sha256s: Iterable[str]) -> None:
    """Another task refers to these as well; those that are gone stay gone."""
    wanted = sorted(set(sha256s))
    if wanted:
        await tx.run(
            "insert into blob_use (sha256, task_id) select sha256, %s from blob where sha256 = any(%s) order by sha256"
            " on conflict do nothing",
            [task_id, wanted],
        )


async def blob(tx: Transaction, sha256: str) -> bytes | None:
    """Bytes by their hash."""
    row = await tx.row("select body from blob where sha256 = %s", [sha256])
    return None if row is None else tx.sealer.open_bytes(row["body"], f"blob.body:{sha256}")
