"""All tool servers of a project: started when they are needed or before, called, watched, stopped."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.config import Clock
from interlock.model import NotFound, ServerHealth, ToolDefinition, ToolRef, ToolResult, ToolUnavailable
from interlock.tools.commands import Surroundings
from interlock.tools.expectation import Expectation
from interlock.tools.supervisor import Pace, Supervisor

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig


class Toolbox:
    """One long-lived MCP client per server, each with a process of its own; one bad server affects no other.

    Belongs to the event loop that it is first used in; `stop` must be called there too.
    """

    def __init__(
        self,
        servers: Mapping[str, "ToolServerConfig"],
        *,
        folder: Path,
        state_dir: Path,
        env: Mapping[str, str],
        clock: Clock,
        pace: Pace | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            servers: configurations by name.
            folder: the project folder, where servers run and relative paths start.
            state_dir: below it each server gets a private home.
            env: the environment that `${NAME}` and the search path come from; servers inherit a small part of it.
            clock: the time in reasons.
            pace: how servers that die are started again.
        """
        where = Surroundings(folder.absolute(), state_dir.absolute(), env)
        self._supervisors = {
            name: Supervisor(name, config, where, clock, pace or Pace()) for name, config in servers.items()
        }

    async def start(self, names: Iterable[str] | None = None) -> tuple[ServerHealth, ...]:
        """Start servers at once instead of at their first use, all of them by default, and wait for each.

        Never fails because of a server: look at the health that is returned.

        Raises:
            NotFound: no server has that name.
        """
        chosen = [self._find(name) for name in (self._supervisors if names is None else names)]
        for supervisor in chosen:
            supervisor.start()
        await asyncio.gather(*(_settle(supervisor) for supervisor in chosen))
        return tuple(supervisor.health() for supervisor in chosen)

    async def stop(self) -> None:
        """End all servers and everything that they started, in some ten seconds at most; only `start` brings them back."""
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors.values()))

    async def restart(self, server: str) -> ServerHealth:
        """Stop one server, forget why it was parked, start it and wait for it.

        Raises:
            NotFound: no server has that name.
        """
        supervisor = self._find(server)
        await supervisor.restart()
        await _settle(supervisor)
        return supervisor.health()

    def health(self) -> tuple[ServerHealth, ...]:
        """The state of every server, in the order of the configuration."""
        return tuple(supervisor.health() for supervisor in self._supervisors.values())

    async def definitions(self, server: str, refresh: bool = False) -> tuple[ToolDefinition, ...]:
        """What a server that is ready now offers, sorted by name, internal tools too.

        Args:
            server: its name; it is started if need be.
            refresh: ask it again instead of taking what it listed when it got ready or last said that it changed.

        Raises:
            NotFound: no server has that name.
            ToolUnavailable: it is not ready and does not get ready in time; never an old list instead.
        """
        return (await self._find(server).catalogue(refresh=refresh)).definitions

    async def call(
        self,
        ref: ToolRef,
        args: dict[str, Any],
        *,
        timeout_s: float,
        idempotency_key: str | None = None,
        trace: str | None = None,
        expect: Expectation | None = None,
    ) -> ToolResult:
        """Send one call and wait for its result; a server that is not ready is waited for, up to its `start_timeout`.

        Args:
            ref: the tool.
            args: its arguments, as the gate checked them.
            timeout_s: for the answer, from when the call is sent; then the server is told to stop working on it.
            idempotency_key: travels in `_meta` as `interlock/idempotency_key`.
            trace: a W3C `traceparent`, travels in `_meta`.
            expect: what must still hold of the tool and of the state that it changes.

        Raises:
            ToolUnavailable: nothing was sent, so the tool can't have acted.
            ToolLost: it was sent and the server died; whether it acted is unknown.
            ToolTimeout: it was sent and not answered in time; whether it acted is unknown.
        """
        supervisor = self._supervisors.get(ref.server)
        if supervisor is None:
            raise ToolUnavailable(f"no tool server is named '{ref.server}'")
        connection = await supervisor.ready()
        from interlock.tools.client import ToolCall

        call = ToolCall(ref.name, args, timeout_s, idempotency_key, trace, expect or Expectation())
        try:
            return await connection.call(call)
        except ToolUnavailable:
            if not connection.over:
                raise
        # The server died just before the call: nothing was sent, so its next life may have it.
        return await (await supervisor.ready()).call(call)

    def _find(self, server: str) -> Supervisor:
        supervisor = self._supervisors.get(server)
        if supervisor is None:
            raise NotFound(f"no tool server is named '{server}'", hint="interlock tools list")
        return supervisor


async def _settle(supervisor: Supervisor) -> None:
    try:
        await supervisor.ready()
    except ToolUnavailable:
        return  # its health says why
