"""Configuration versions: contents by their hash, and the order in which they were applied. The last one is active."""

import datetime
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from interlock.store.database import Row, Transaction

FORMAT = 2  # of a content: with playbooks, and with what each machine must have
_LOCK = 7440_0011


@dataclass(frozen=True)
class AppliedVersion:
    """One version.

    Attributes:
        number: counts up from 1.
        sha256: of its content.
        applied_at: when.
        applied_by: by whom.
        pins: what was accepted of the tools then, shape `{server: {tool: sha256}}`.
        content_of: the version that was gone back to, if it is that.
    """

    number: int
    sha256: str
    applied_at: datetime.datetime
    applied_by: str
    pins: dict[str, dict[str, str]]
    content_of: int | None


@dataclass(frozen=True)
class Standing:
    """What is active, in one look: `sha256` is None while nothing was ever applied."""

    number: int
    sha256: str | None


async def keep(tx: Transaction, sha256: str, body: dict[str, Any], by: str) -> bool:
    """Store a content, so that tasks can refer to it; False when it was there already."""
    count = await tx.run(
        "insert into config_version as v (sha256, body, applied_at, applied_by, format) values (%s, %s, %s, %s, %s)"
        " on conflict (sha256) do update set body = excluded.body, format = excluded.format"
        " where v.format < excluded.format",
        [sha256, tx.sealer.seal(body, f"config_version.body:{sha256}"), tx.clock.now(), by, FORMAT],
    )
    return count == 1


async def content(tx: Transaction, sha256: str) -> dict[str, Any] | None:
    """A content by its hash."""
    row = await tx.row("select body from config_version where sha256 = %s", [sha256])
    return None if row is None else dict(tx.sealer.open(row["body"], f"config_version.body:{sha256}"))


async def accepted(tx: Transaction) -> dict[str, dict[str, str]]:
    """What is accepted of the tools now; shape `{server: {tool: sha256}}`."""
    pins: dict[str, dict[str, str]] = {}
    for row in await tx.rows("select server, name, sha256 from tool_pin order by server, name"):
        pins.setdefault(row["server"], {})[row["name"]] = row["sha256"]
    return pins


async def claim(tx: Transaction) -> AppliedVersion | None:
    """Become the one who applies until the transaction ends; the version that is active."""
    await tx.run("select pg_advisory_xact_lock(%s)", [_LOCK])
    return await active(tx)


async def add(
    tx: Transaction, before: AppliedVersion | None, sha256: str, by: str, content_of: int | None = None
) -> AppliedVersion:
    """Make a stored content the active one, after the version that `claim` gave."""
    number = 1 if before is None else before.number + 1
    pins, now = await accepted(tx), tx.clock.now()
    await tx.run(
        "insert into config_applied (number, sha256, applied_at, applied_by, pins, content_of)"
        " values (%s, %s, %s, %s, %s, %s)",
        [number, sha256, now, by, Jsonb(pins), content_of],
    )
    return AppliedVersion(number, sha256, now, by, pins, content_of)


async def active(tx: Transaction) -> AppliedVersion | None:
    """The version that was applied last."""
    row = await tx.row("select * from config_applied order by number desc limit 1")
    return None if row is None else _version(row)


async def standing(tx: Transaction) -> Standing:
    """Which version is active, without its details."""
    row = await tx.row("select number, sha256 from config_applied order by number desc limit 1")
    return Standing(0, None) if row is None else Standing(int(row["number"]), str(row["sha256"]))


async def version(tx: Transaction, number: int) -> AppliedVersion | None:
    """A version by its number."""
    row = await tx.row("select * from config_applied where number = %s", [number])
    return None if row is None else _version(row)


async def listing(tx: Transaction, limit: int) -> list[AppliedVersion]:
    """The last versions, newest first."""
    rows = await tx.rows("select * from config_applied order by number desc limit %s", [limit])
    return [_version(row) for row in rows]


def _version(row: Row) -> AppliedVersion:
    return AppliedVersion(
        int(row["number"]),
        str(row["sha256"]),
        row["applied_at"],
        str(row["applied_by"]),
        dict(row["pins"]),
        None if row["content_of"] is None else int(row["content_of"]),
    )
