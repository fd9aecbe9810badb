"""All tool servers of a project: started when they are needed or before, called, watched, stopped."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from interlock.config import Clock
from interlock.model import NotFound, ServerHealth, ToolDefinition, ToolRef, ToolResult, ToolUnavailable
from interlock.tools.delivery import Delivery
from interlock.tools.instances import Instances
from interlock.tools.supervisor import Pace, Supervisor
from interlock.tools.surroundings import Surroundings

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig


class Toolbox:
    """One long-lived MCP client per server, each with a process of its own; one bad server affects no other.

    Belongs to the event loop that it is first used in; `stop` must be called there too.
    """

    def __init__(
        self,
        servers: Mapping[str, "ToolServerConfig"],
        where: Surroundings,
        clock: Clock,
        pace: Pace | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            servers: configurations by name.
            where: the project folder, the folder for private homes, the environment, the secrets, the policy.
            clock: the time in reasons.
            pace: how servers that die are started again.
        """
        self.on_news: Callable[[str], None] = _nobody  # told when a server offers something else, or is not ready
        where = replace(where, folder=where.folder.absolute(), state_dir=where.state_dir.absolute())

        def supervise(name: str, label: str) -> Supervisor:
            place = replace(where, state_dir=(where.state_dir / label).parent)
            return Supervisor(name, servers[name], place, clock, pace or Pace(), self._hear)

        self._shared = {name: supervise(name, name) for name, config in servers.items() if config.scope == "host"}
        self._own = {
            name: Instances(name, partial(supervise, name)) for name, config in servers.items() if config.scope == "run"
        }
        self._names = tuple(servers)

    def _hear(self, server: str) -> None:
        self.on_news(server)

    async def start(self, names: Iterable[str] | None = None) -> tuple[ServerHealth, ...]:
        """Start servers at once instead of at their first use, all of them by default, and wait for each.

        Never fails because of a server: look at the health that is returned.

        Raises:
            NotFound: no server has that name.
        """
        chosen = [self._find(name) for name in (self._names if names is None else names)]
        for supervisor in chosen:
            supervisor.start()
        await asyncio.gather(*(_settle(supervisor) for supervisor in chosen))
        return tuple(supervisor.health() for supervisor in chosen)

    async def stop(self) -> None:
        """End all servers and everything that they started, in some ten seconds at most; only `start` brings them back."""
        every = [*self._shared.values(), *(one for instances in self._own.values() for one in instances.all)]
        await asyncio.gather(*(supervisor.stop() for supervisor in every))

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
        return tuple(self._find(name).health() for name in self._names)

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

    async def states(self) -> tuple[ServerHealth, ...]:
        """The same, as the protocol of all who have tools wants it."""
        return self.health()

    async def call(self, ref: ToolRef, args: dict[str, Any], how: Delivery) -> ToolResult:
        """Send one call and wait for its result; a server that is not ready is waited for, up to its `start_timeout`.

        Raises:
            ToolUnavailable: nothing was sent, so the tool can't have acted.
            ToolLost: it was sent and the server died; whether it acted is unknown.
            ToolTimeout: it was sent and not answered in time; whether it acted is unknown.
        """
        if ref.server not in self._names:
            raise ToolUnavailable(f"no tool server is named '{ref.server}'")
        supervisor = self._own[ref.server].of(how.run) if ref.server in self._own else self._shared[ref.server]
        connection = await supervisor.ready()
        from interlock.tools.client import ToolCall

        call = ToolCall(ref.name, args, how.timeout_s, how.idempotency_key, how.trace, how.expect)
        try:
            return await connection.call(call)
        except ToolUnavailable:
            if not connection.over:
                raise
        # The server died just before the call: nothing was sent, so its next life may have it.
        return await (await supervisor.ready()).call(call)

    lasting = False

    def abandon(self, run: str) -> None:
        """Nothing to do: the servers do not outlive this process."""
        del run

    async def recall(self, key: str, patience_s: float) -> ToolResult | None:
        """None: who sent a call from here is this process, and knows."""
        del key, patience_s
        return None

    async def unheard(self) -> list[str]:
        """None: calls end with whoever sent them from here."""
        return []

    async def cut_off(self, runs: list[str]) -> None:
        """Nothing to do, therefore."""
        del runs

    async def release(self, run: str) -> None:
        """End the processes that servers have for one run."""
        await asyncio.gather(*(instances.release(run) for instances in self._own.values()))

    def _find(self, server: str) -> Supervisor:
        if server in self._own:
            return self._own[server].spare
        if server not in self._shared:
            raise NotFound(f"no tool server is named '{server}'", hint="interlock tools list")
        return self._shared[server]


def _nobody(server: str) -> None:
    del server


async def _settle(supervisor: Supervisor) -> None:
    try:
        await supervisor.ready()
    except ToolUnavailable:
        return  # its health says why
