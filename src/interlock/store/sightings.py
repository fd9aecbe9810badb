"""What a server offers that is not what was accepted, kept so that it can be shown without asking the server again."""

import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from psycopg.types.json import Jsonb

from interlock.model import ToolDefinition
from interlock.store.database import Row, Transaction

MAX_DEFINITION_BYTES = 262_144
MAX_TEXT_CHARS = 100_000


class PinChanges(Protocol):
    """Names of a server's tools by what became of them since they were accepted."""

    @property
    def new(self) -> tuple[str, ...]:
        """Never accepted."""

    @property
    def changed(self) -> tuple[str, ...]:
        """Accepted in another form."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Accepted, and no longer offered."""


@dataclass(frozen=True)
class Sighting:
    """One tool that is not the accepted one.

    Attributes:
        sha256: of the present definition; of the accepted one where it is missing.
        definition: as in `tool_pin`; the present one, or the accepted one where it is missing.
        accepted: what was accepted, if anything was.
        seen_at: when it was first seen like this.
    """

    server: str
    name: str
    kind: Literal["new", "changed", "missing"]
    sha256: str
    definition: dict[str, Any]
    accepted: dict[str, Any] | None
    seen_at: datetime.datetime


def definition_body(definition: ToolDefinition) -> dict[str, Any]:
    """What is kept of a definition; shape `{title, description, input_schema, output_schema, annotations}`.

    Zero characters, which Postgres can't keep, become the sign for them; what is far too large is cut, and says so.
    """
    body = {
        "title": definition.title,
        "description": definition.description[:MAX_TEXT_CHARS],
        "input_schema": definition.input_schema,
        "output_schema": definition.output_schema,
        "annotations": definition.annotations,
    }
    for part in ("output_schema", "input_schema", "annotations", "title"):
        size = len(json.dumps(body))
        if size <= MAX_DEFINITION_BYTES:
            break
        body[part] = {"too_large": f"{size} bytes"} if part != "title" else "(too large)"
    kept: dict[str, Any] = _storable(body)
    return kept


async def note(
    tx: Transaction, server: str, report: PinChanges, definitions: Iterable[ToolDefinition]
) -> tuple[str, ...]:
    """Replace what is known of a server by what was just seen; the names that are not what they were at the last look.

    A server that is as before costs two reads and no write.
    """
    seen = {definition.ref.name: definition for definition in definitions}
    kinds = {**dict.fromkeys(report.new, "new"), **dict.fromkeys(report.changed, "changed")}
    before = await _known(tx, server)
    accepted = {
        row["name"]: row["sha256"]
        for row in await tx.rows("select name, sha256 from tool_pin where server = %s", [server])
    }
    now = {storable_text(name): (kind, seen[name].pin_sha256) for name, kind in kinds.items() if name in seen}
    now |= {storable_text(name): ("missing", accepted[name]) for name in report.missing if name in accepted}
    fresh = tuple(sorted(name for name, what in now.items() if before.get(name) != what))
    offered = {storable_text(name): definition for name, definition in seen.items()}
    for name in sorted({*fresh, *(before.keys() - now.keys())}):  # in one order, for whoever notes the same just now
        if name not in now:
            await clear(tx, server, [name])
            continue
        kind, sha256 = now[name]
        body = None if kind == "missing" else Jsonb(definition_body(offered[name]))
        await _keep(tx, server, name, (kind, sha256, body))
    return fresh


async def of_server(tx: Transaction, server: str) -> list[Sighting]:
    """What of a server is not accepted, by name."""
    rows = await tx.rows(
        "select s.*, p.definition as accepted from tool_sighting s left join tool_pin p using (server, name)"
        " where s.server = %s order by s.name",
        [server],
    )
    return [_sighting(row) for row in rows]


async def counted(tx: Transaction) -> dict[str, dict[str, int]]:
    """How many there are; shape `{server: {kind: n}}`."""
    found: dict[str, dict[str, int]] = {}
    for row in await tx.rows("select server, kind, count(*) as n from tool_sighting group by server, kind"):
        found.setdefault(row["server"], {})[row["kind"]] = row["n"]
    return found


async def clear(tx: Transaction, server: str, names: Iterable[str] | None = None) -> int:
    """Forget what was seen of a server, or of some of its tools, because they were accepted; how many."""
    if names is None:
        return await tx.run("delete from tool_sighting where server = %s", [server])
    return await tx.run(
        "delete from tool_sighting where server = %s and name = any(%s)",
        [server, [storable_text(name) for name in names]],
    )


async def _known(tx: Transaction, server: str) -> dict[str, tuple[str, str]]:
    rows = await tx.rows("select name, kind, sha256 from tool_sighting where server = %s", [server])
    return {row["name"]: (row["kind"], row["sha256"]) for row in rows}


async def _keep(tx: Transaction, server: str, name: str, what: tuple[str, str, Jsonb | None]) -> None:
    """The row of a tool; without a body it keeps the accepted definition, for one that is missing."""
    kind, sha256, body = what
    await tx.run(
        "insert into tool_sighting (server, name, sha256, definition, kind, seen_at) values (%(server)s, %(name)s,"
        " %(sha)s, coalesce(%(body)s, (select definition from tool_pin where server = %(server)s and name = %(name)s)),"
        " %(kind)s, %(at)s) on conflict (server, name) do update set sha256 = excluded.sha256,"
        " definition = excluded.definition, kind = excluded.kind, seen_at = excluded.seen_at",
        {"server": server, "name": name, "sha": sha256, "body": body, "kind": kind, "at": tx.clock.now()},
    )


def _sighting(row: Row) -> Sighting:
    return Sighting(
        row["server"], row["name"], row["kind"], row["sha256"], row["definition"], row["accepted"], row["seen_at"]
    )


def storable_text(value: str) -> str:
    """A text as Postgres can keep it: with the sign for a zero character instead of one."""
    return value.replace("\0", "\N{SYMBOL FOR NULL}")


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, dict):
        return {storable_text(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value
