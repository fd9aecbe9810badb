"""How a call travels, and what everyone who makes calls needs: the face of the tool servers to the rest."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from interlock.model import ServerHealth, ToolDefinition, ToolRef, ToolResult
from interlock.tools.expectation import Expectation

SNAPSHOT_S = 120.0


@dataclass(frozen=True)
class Delivery:
    """What goes along with the arguments of one call.

    Attributes:
        timeout_s: for the answer, from when the call is sent; then the server is told to stop working on it.
        idempotency_key: of the call in the ledger; travels in `_meta` as `interlock/idempotency_key`. A call with a
            key that is known already is not sent a second time: its outcome is given again.
        trace: a W3C `traceparent`, travels in `_meta`.
        expect: what must still hold of the tool and of the state that it changes.
        run: for whom a server of the scope `run` has a process of its own.
        repeat: send it although its key is known: its tool takes it twice without a second effect.
    """

    timeout_s: float
    idempotency_key: str | None = None
    trace: str | None = None
    expect: Expectation = field(default_factory=Expectation)
    run: str | None = None
    repeat: bool = False


class Tools(Protocol):
    """All tool servers of a project, whichever process they belong to."""

    async def start(self, names: Iterable[str] | None = None) -> tuple[ServerHealth, ...]:
        """Start servers at once instead of at their first use, all by default, and wait for each; never fails.

        Raises:
            NotFound: no server has that name.
        """

    async def stop(self) -> None:
        """End what belongs to the caller."""

    async def restart(self, server: str) -> ServerHealth:
        """Stop one server, forget why it was parked, start it and wait for it.

        Raises:
            NotFound: no server has that name.
        """

    async def states(self) -> tuple[ServerHealth, ...]:
        """The state of every server, in the order of the configuration."""

    async def definitions(self, server: str, refresh: bool = False) -> tuple[ToolDefinition, ...]:
        """What a server that is ready now offers, sorted by name, internal tools too.

        Raises:
            NotFound: no server has that name.
            ToolUnavailable: it is not ready and does not get ready in time; never an old list instead.
        """

    async def call(self, ref: ToolRef, args: dict[str, Any], how: Delivery) -> ToolResult:
        """Send one call and wait for its result.

        Raises:
            ToolUnavailable: nothing was sent, so the tool can't have acted.
            ToolLost: it was sent and the server died; whether it acted is unknown.
            ToolTimeout: it was sent and not answered in time; whether it acted is unknown.
        """

    async def recall(self, key: str, patience_s: float) -> ToolResult | None:
        """The outcome of a call that someone else sent and did not live to hear; None if it was never sent from here.

        Raises:
            ToolUnavailable: it was not sent after all.
            ToolLost, ToolTimeout: whether it acted is unknown.
        """

    async def unheard(self) -> list[str]:
        """Runs with calls under way of which nobody waits to hear."""

    async def cut_off(self, runs: list[str]) -> None:
        """Cancel those calls of some runs."""

    async def release(self, run: str) -> None:
        """End the processes that servers have for one run."""

    @property
    def lasting(self) -> bool:
        """Whether the servers outlive this process, so that `recall` knows what became of its calls."""

    def abandon(self, run: str) -> None:
        """Calls of a run that are under way go on when their caller is stopped; without this they are cancelled."""
