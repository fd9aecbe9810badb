"""The tool servers as the API sees them: health, definitions and pins as data; nothing here can make a call."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from interlock.app import pinning
from interlock.app.pinning import Look
from interlock.app.tool_views import (
    breaker_views,
    contract_view,
    health_view,
    opinion_view,
    sighting_views,
    tool_view,
)
from interlock.audit import record
from interlock.config import Project, ToolServerConfig
from interlock.guardrails import advice_on, breaker_listing, contract_of, opinion, reset_breaker
from interlock.model import (
    AuditEntry,
    Conflict,
    InterlockError,
    NotFound,
    ServerHealth,
    ServerState,
    ToolDefinition,
    ToolRef,
)
from interlock.store import Database, catalog_rows, sighting_rows
from interlock.tools import Tools

log = logging.getLogger("interlock.tools")
WATCH_EVERY_S = 30.0
UP = "system:up"
MAX_KEPT = 4096
_MAX_LOGGED = 20
Advice = tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Fleet:
    """All configured tool servers of this process."""

    database: Database
    project: Project
    toolbox: Tools
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    _advice: dict[tuple[ToolRef, str], Advice] = field(default_factory=dict, repr=False)

    # ---- looking at them --------------------

    async def health(self) -> tuple[ServerHealth, ...]:
        """Every server's health."""
        return await self.toolbox.states()

    async def accept_first_seen(self, by: str) -> list[str]:
        """Pin the tools of servers that have no pins yet; later changes must be accepted by hand.

        Returns sentences about servers that could not be asked.
        """
        problems: list[str] = []
        for server in self.project.config.tools:
            try:
                definitions = await self.toolbox.definitions(server)
            except InterlockError as error:
                problems.append(f"tool server {server}: {error.message}")
                continue
            await self.look(server, definitions, first_by=by)
        return problems

    async def watch(self) -> None:
        """Look at servers that list something else than at the last look, every 30 seconds, until cancelled."""
        seen: dict[str, str] = {}
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                await self.look_around(seen)
            except InterlockError as error:
                log.warning("tools.watch_delayed error=%s", error.message)

    async def look_around(self, seen: dict[str, str]) -> None:
        """Look at the servers that are ready and whose list is not the one in `seen`, which is kept up to date.

        A server that rests is not woken for it.
        """
        for health in await self.health():
            if health.state is ServerState.READY and seen.get(health.server) != health.listing_sha256:
                await self.look(health.server, await self.toolbox.definitions(health.server), first_by=UP)
                seen[health.server] = health.listing_sha256

    async def look(self, server: str, definitions: Sequence[ToolDefinition], first_by: str | None = None) -> Look:
        """Compare with what was accepted; with `first_by`, a server that was never accepted is, as it is now."""
        async with self._looking:
            look = await pinning.look(self.database, server, definitions)
            if not look.first or first_by is None:
                return look
            async with self.database.transaction() as tx:
                if not await catalog_rows.pins(tx, server):
                    await pinning.accept(tx, server, definitions, (), first_by)
        await self._log_advice(definitions)
        return replace(await pinning.known(self.database, server), fresh=True)

    async def concerns(self) -> tuple[list[str], list[dict[str, Any]]]:
        """Sentences about tools that are not the accepted ones or are left alone, and the breakers of all tools."""
        return await concerns_of(self.database, self.project)

    # ---- showing them --------------------

    async def tools(self, server: str | None = None) -> list[dict[str, Any]]:
        """All tools with class and pin; servers that do not answer are left out (their health says why)."""
        if server is not None:
            return await self._listed(server)
        found: list[dict[str, Any]] = []
        for name in sorted(self.project.config.tools):
            try:
                found += await self._listed(name)
            except InterlockError as error:
                log.info("tools.not_listed server=%s why=%s", name, error.message)
        return found

    async def _listed(self, server: str) -> list[dict[str, Any]]:
        config = self._config(server)
        definitions = await self.toolbox.definitions(server)
        return await _views(definitions, config, await self.look(server, definitions))

    async def tool(self, name: str) -> dict[str, Any]:
        """One tool, or one server with its tools and health; `name` is `server` or `server.tool`."""
        server, dot, _ = name.partition(".")
        return await self._one(ToolRef.parse(name)) if dot else await self._server(server)

    async def _one(self, ref: ToolRef) -> dict[str, Any]:
        config = self._config(ref.server)
        definitions = await self.toolbox.definitions(ref.server)
        look = await self.look(ref.server, definitions)
        found = next((definition for definition in definitions if definition.ref == ref), None)
        sighted = [view for view in sighting_views(ref.server, look) if view["tool"] == str(ref)]
        if found is None:
            if not sighted:
                raise NotFound(f"the server '{ref.server}' has no tool '{ref.name}'", hint="interlock tools list")
            gone = {"declared": False, "class": None, "pin": "missing", "pin_sha256": sighted[0]["sha256"]}
            definition = look.sightings[ref.name].definition
            return {"tool": str(ref), **definition, **gone, "sighting": sighted[0]}
        (view,) = await _views([found], config, look)
        contract = contract_of(config, ref.name)
        opinions = await asyncio.to_thread(opinion, found, trusted_hints=config.trusted_hints)
        async with self.database.transaction() as tx:
            breakers = breaker_views(await breaker_listing(tx, f"tool:{ref}"))
        return {
            **view,
            "contract": contract_view(contract),
            "proposed": opinion_view(opinions),
            "sighting": sighted[0] if sighted else None,
            "advice": list((await self._advice_on([found]))[ref]),
            "breaker": next((breaker for breaker in breakers if breaker["tool"] == str(ref)), None),
        }

    async def _server(self, server: str) -> dict[str, Any]:
        config = self._config(server)
        definitions: Sequence[ToolDefinition] = ()
        problem = None
        try:
            definitions = await self.toolbox.definitions(server)
            look = await self.look(server, definitions)
        except NotFound:
            raise
        except InterlockError as error:
            problem, look = error.message, await pinning.known(self.database, server)
        health = next((entry for entry in await self.health() if entry.server == server), None)
        async with self.database.transaction() as tx:
            breakers = breaker_views(await breaker_listing(tx, f"tool:{server}."))
        told = await self._advice_on(definitions)
        view = health_view(health or ServerHealth(server, ServerState.STOPPED, "", 0, 0))
        return {
            **view,
            "reason": problem or view["reason"],
            "kind": kind_of(config),
            "required": config.required,
            "tools": await _views(definitions, config, look),
            "sightings": sighting_views(server, look),
            "advice": [{"tool": str(ref), **found} for ref, every in told.items() for found in every],
            "breakers": breakers,
        }

    async def _advice_on(self, definitions: Sequence[ToolDefinition]) -> dict[ToolRef, Advice]:
        """What a person should look at in these definitions, each looked at once as long as it stays the same."""
        new = [found for found in definitions if (found.ref, found.pin_sha256) not in self._advice]
        if new:
            async with self.database.transaction() as tx:
                others = await catalog_rows.accepted_tools(tx)
            told = await asyncio.to_thread(_scan, new, others)
            if len(self._advice) + len(told) > MAX_KEPT:
                self._advice.clear()
            self._advice.update(told)
        keys = [(found.ref, found.pin_sha256) for found in definitions]
        return {ref: self._advice.get((ref, sha256), ()) for ref, sha256 in keys}

    async def _log_advice(self, definitions: Sequence[ToolDefinition]) -> None:
        told = [(ref, found) for ref, every in (await self._advice_on(definitions)).items() for found in every]
        for ref, found in told[:_MAX_LOGGED]:
            log.warning(
                "tools.advice tool=%s kind=%s where=%s quote=%r why=%r", ref, found["kind"], found["where"],
                found["quote"], found["why"],
            )  # fmt: skip
        if len(told) > _MAX_LOGGED:
            log.warning("tools.advice more=%d", len(told) - _MAX_LOGGED)

    # ---- changing them --------------------

    async def pin(self, name: str, by: str, seen: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Accept the present definition of a tool, or of all tools of a server; also that an accepted one is gone.

        Args:
            name: `server` or `server.tool`.
            by: who accepts.
            seen: hashes of all definitions that were looked at, by `server.tool`, of missing tools too; with any
                other than these, nothing is accepted.

        Returns:
            `{accepted, dropped}`, both names.

        Raises:
            Conflict: what is offered is not what was seen.
            NotFound: there is no such server or tool.
        """
        server, dot, tool = name.partition(".")
        self._config(server)
        definitions = await self.toolbox.definitions(server, refresh=True)
        look = await self.look(server, definitions)
        chosen = {str(found.ref): found for found in definitions if not dot or found.ref.name == tool}
        missing = {one: found for one, found in look.sightings.items() if found.kind == "missing"}
        gone = {f"{server}.{one}": found for one, found in missing.items() if not dot or one == tool}
        if not chosen and not gone:
            raise NotFound(f"there is no tool '{name}'", hint="interlock tools list")
        present = {one: found.pin_sha256 for one, found in chosen.items()}
        if seen is not None and dict(seen) != present | {one: found.sha256 for one, found in gone.items()}:
            raise Conflict(f"{name} is not what was shown any more", hint=f"interlock tools show {name}")
        async with self.database.transaction() as tx:
            await pinning.accept(tx, server, chosen.values(), [found.name for found in gone.values()], by)
        return {"accepted": sorted(chosen), "dropped": sorted(gone)}

    async def restart(self, server: str, by: str) -> dict[str, Any]:
        """Start a server anew, even one that is parked, and close the breakers of its tools; its health then."""
        self._config(server)
        async with self.database.transaction() as tx:
            left_alone = [found.key for found in await breaker_listing(tx, f"tool:{server}.")]
            for key in left_alone:
                await reset_breaker(tx, key)
            await record(tx, AuditEntry("tools.restarted", by, {"server": server}, {"breakers": left_alone}))
        health = await self.toolbox.restart(server)
        if health.state is ServerState.READY:
            await self.look(server, await self.toolbox.definitions(server), first_by=by)
        return health_view(health)

    def _config(self, server: str) -> ToolServerConfig:
        config = self.project.config.tools.get(server)
        if config is None:
            known = ", ".join(sorted(self.project.config.tools)) or "none"
            said = f"there is no tool server '{server[:100]}'; configured are: {known}"
            raise NotFound(said, hint="interlock tools list")
        return config


async def concerns_of(database: Database, project: Project) -> tuple[list[str], list[dict[str, Any]]]:
    """What the database knows of tools that can't be called now; see `Fleet.concerns`."""
    async with database.transaction() as tx:
        counted = await sighting_rows.counted(tx)
        breakers = breaker_views(await breaker_listing(tx))
    warnings = [_not_accepted(server, counted[server]) for server in project.config.tools if server in counted]
    return [*warnings, *(_left_alone(found) for found in breakers if found["phase"] != "closed")], breakers


def kind_of(config: ToolServerConfig) -> str:
    """What a server is, in a word or two: `builtin workspace`, `command`, `package`, `url`."""
    kind = config.kinds[0] if config.kinds else "command"
    return f"builtin {config.builtin}" if config.builtin else kind


def _not_accepted(server: str, kinds: Mapping[str, int]) -> str:
    total = sum(kinds.values())
    what = "1 tool of {} is not the accepted one" if total == 1 else f"{total} tools of {{}} are not the accepted ones"
    parts = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return f"{what.format(server)} ({parts}): interlock tools show {server}"


def _left_alone(breaker: Mapping[str, Any]) -> str:
    failures = "1 failure" if breaker["failures"] == 1 else f"{breaker['failures']} failures in a row"
    server = breaker["tool"].partition(".")[0]
    return (
        f"{breaker['tool']} is left alone after {failures} ({breaker['reason']});"
        f" to try it now: interlock tools restart {server}"
    )


async def _views(definitions: Sequence[ToolDefinition], config: ToolServerConfig, look: Look) -> list[dict[str, Any]]:
    """In a thread: what a definition tells of its class takes a moment for each."""
    return await asyncio.to_thread(lambda: [tool_view(definition, config, look) for definition in definitions])


def _scan(definitions: Sequence[ToolDefinition], others: Sequence[ToolRef]) -> dict[tuple[ToolRef, str], Advice]:
    return {
        (definition.ref, definition.pin_sha256): tuple(
            {"kind": found.kind, "where": found.where, "quote": found.quote, "why": found.why}
            for found in advice_on(definition, others)
        )
        for definition in definitions
    }
