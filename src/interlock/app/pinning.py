"""Whether tool servers still offer what was accepted: looked at after each listing, kept, recorded, told."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from interlock.audit import record
from interlock.guardrails import Renamed, differences, renamed, shown_changes, visible
from interlock.model import AuditEntry, ToolDefinition
from interlock.store import Database, Sighting, Transaction, catalog_rows, sighting_rows
from interlock.tools import compare

log = logging.getLogger("interlock.tools")
WATCHER = "system:tools"
MAX_RECORDED = 100
_NAME_CHARS = 200


@dataclass(frozen=True)
class Look:
    """What a server offers, beside what was accepted of it.

    Attributes:
        pins: accepted definitions, as `{tool name: sha256}`; empty for a server that was never accepted.
        sightings: the tools that are not the accepted ones, by name.
        renames: guesses which new tool is a missing one under another name, by the new name.
        fresh: nothing of the server had been accepted before this look, which accepted all of it.
    """

    pins: Mapping[str, str]
    sightings: Mapping[str, Sighting] = field(default_factory=dict)
    renames: Mapping[str, Renamed] = field(default_factory=dict)
    fresh: bool = False

    def count(self, kind: str) -> int:
        """How many tools are `new`, `changed` or `missing`."""
        return sum(sighting.kind == kind for sighting in self.sightings.values())

    @property
    def first(self) -> bool:
        """Whether nothing of the server was ever accepted."""
        return not self.pins

    def difference(self, name: str) -> list[str]:
        """How a tool differs from the accepted one, or from the one that it may be a new name of; lines for people."""
        sighting = self.sightings.get(name)
        if sighting is None:
            return []
        accepted = sighting.accepted if sighting.kind == "changed" else None
        if name in self.renames:
            accepted = self.sightings[self.renames[name].old].definition
        if sighting.kind == "missing" or accepted is None:
            return []
        lines = list(shown_changes(differences(accepted, sighting.definition)))
        return lines or ["the change lies in a part that is too large to be kept and shown"]


async def look(database: Database, server: str, definitions: Sequence[ToolDefinition]) -> Look:
    """Compare what a server lists with what was accepted; what is new in that is kept, recorded and logged."""
    async with database.transaction() as tx:
        pins = await catalog_rows.pins(tx, server)
        if not pins:
            return Look(pins)
        fresh = set(await sighting_rows.note(tx, server, compare(pins, definitions), definitions))
        found = _look(pins, await sighting_rows.of_server(tx, server))
        new = [sighting for name, sighting in found.sightings.items() if name in fresh]
        if new:
            detail = {kind: _recorded(new, kind) for kind in ("new", "changed", "missing")}
            await record(tx, AuditEntry("tools.sighted", WATCHER, {"server": server}, detail))
    for sighting in new:
        log.warning(
            "tools.sighted server=%s tool=%s kind=%s hint=%r",
            server, _shown(sighting.name), sighting.kind, f"interlock tools show {server}",
        )  # fmt: skip
    return found


async def known(database: Database, server: str) -> Look:
    """What was found at the last look, for a server that does not answer now."""
    async with database.transaction() as tx:
        return _look(await catalog_rows.pins(tx, server), await sighting_rows.of_server(tx, server))


async def accept(
    tx: Transaction, server: str, definitions: Iterable[ToolDefinition], gone: Iterable[str], by: str
) -> None:
    """Accept definitions as they are, and that accepted tools are gone."""
    accepted, dropped = list(definitions), list(gone)
    for definition in accepted:
        await catalog_rows.accept_pin(tx, definition, by, replace=True)
    await catalog_rows.drop_pins(tx, server, dropped)
    await sighting_rows.clear(tx, server, [*(definition.ref.name for definition in accepted), *dropped])
    detail: dict[str, Any] = {"tools": {definition.ref.name: definition.pin_sha256 for definition in accepted}}
    if dropped:
        detail["dropped"] = dropped
    await record(tx, AuditEntry("tools.accepted", by, {"server": server}, detail))


def _look(pins: Mapping[str, str], sightings: Iterable[Sighting]) -> Look:
    by_name = {sighting.name: sighting for sighting in sightings}
    missing = {name: one.definition for name, one in by_name.items() if one.kind == "missing"}
    new = {name: one.definition for name, one in by_name.items() if one.kind == "new"}
    return Look(pins, by_name, {guess.new: guess for guess in renamed(missing, new)})


def _recorded(sightings: Iterable[Sighting], kind: str) -> dict[str, str]:
    found = {_shown(sighting.name): sighting.sha256 for sighting in sightings if sighting.kind == kind}
    return dict(list(found.items())[:MAX_RECORDED])


def _shown(name: str) -> str:
    return visible(name)[:_NAME_CHARS]
