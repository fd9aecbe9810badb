"""The tool servers as the API sees them: health, definitions and pins as data; nothing here can make a call."""

from dataclasses import dataclass
from typing import Any

from interlock.app.views import tool_view
from interlock.audit import record
from interlock.config import Project
from interlock.guardrails import contract_of
from interlock.model import AuditEntry, InterlockError, NotFound, ServerHealth, ToolRef
from interlock.store import Database, catalog_rows
from interlock.tools import Tools


@dataclass(frozen=True)
class Fleet:
    """All configured tool servers of this process."""

    database: Database
    project: Project
    toolbox: Tools

    async def health(self) -> tuple[ServerHealth, ...]:
        """Every server's health."""
        return await self.toolbox.states()

    async def accept_first_seen(self, by: str) -> list[str]:
        """Pin the tools of servers that have no pins yet; later changes must be accepted by hand.

        Returns sentences about servers that could not be asked.
        """
        problems: list[str] = []
        for server in self.project.config.tools:
            async with self.database.transaction() as tx:
                if await catalog_rows.pins(tx, server):
                    continue
            try:
                definitions = await self.toolbox.definitions(server)
            except InterlockError as error:
                problems.append(f"tool server {server}: {error.message}")
                continue
            async with self.database.transaction() as tx:
                for definition in definitions:
                    await catalog_rows.accept_pin(tx, definition, by, replace=False)
                detail = {"tools": {d.ref.name: d.pin_sha256 for d in definitions}}
                await record(tx, AuditEntry("tools.accepted", by, {"server": server}, detail))
        return problems

    async def tools(self, server: str | None = None) -> list[dict[str, Any]]:
        """All tools with class and pin; servers that do not answer are left out (their health says why)."""
        found: list[dict[str, Any]] = []
        for name in [server] if server else sorted(self.project.config.tools):
            try:
                found += await self._tools_of(name)
            except InterlockError:
                if server:
                    raise
        return found

    async def _tools_of(self, server: str) -> list[dict[str, Any]]:
        config = self.project.config.tools.get(server)
        if config is None:
            known = ", ".join(sorted(self.project.config.tools)) or "none"
            raise NotFound(f"there is no tool server '{server}'; configured are: {known}", hint="interlock tools list")
        definitions = await self.toolbox.definitions(server)
        async with self.database.transaction() as tx:
            pins = await catalog_rows.pins(tx, server)
        views = []
        for definition in definitions:
            contract = contract_of(config, definition.ref.name)
            facts = {"class": contract.action_class or "destructive", "declared": contract.action_class is not None}
            views.append(tool_view(definition, pins, facts))
        return views

    async def tool(self, name: str) -> dict[str, Any]:
        """One tool, or one server with its tools and health; `name` is `server` or `server.tool`."""
        server, dot, tool = name.partition(".")
        if dot:
            ref = ToolRef.parse(name)
            found = [view for view in await self._tools_of(ref.server) if view["tool"] == name]
            if not found:
                raise NotFound(f"the server '{server}' has no tool '{tool}'", hint="interlock tools list")
            return found[0]
        health = next((entry for entry in await self.health() if entry.server == server), None)
        problem = None
        try:
            tools = await self._tools_of(server)
        except NotFound:
            raise
        except InterlockError as error:
            tools, problem = [], error.message
        return {
            "server": server,
            "state": health.state if health else "stopped",
            "reason": problem or (health.reason if health else ""),
            "sandbox": health.sandbox if health else "",
            "stderr_tail": list(health.stderr_tail) if health else [],
            "tools": tools,
        }

    async def pin(self, name: str, by: str) -> dict[str, Any]:
        """Accept the present definition of a tool, or of all tools of a server."""
        server, dot, tool = name.partition(".")
        views = [view for view in await self._tools_of(server) if not dot or view["tool"] == f"{server}.{tool}"]
        if not views:
            raise NotFound(f"there is no tool '{name}'", hint="interlock tools list")
        names = {view["tool"] for view in views}
        definitions = [d for d in await self.toolbox.definitions(server) if str(d.ref) in names]
        async with self.database.transaction() as tx:
            for definition in definitions:
                await catalog_rows.accept_pin(tx, definition, by, replace=True)
            detail = {"tools": {d.ref.name: d.pin_sha256 for d in definitions}}
            await record(tx, AuditEntry("tools.accepted", by, {"server": server}, detail))
        return {"accepted": sorted(names)}
