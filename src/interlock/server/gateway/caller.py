"""Who is at the other end of a request, and whether it still is."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from interlock.app import Gateway, OutsideAgent

SCOPE_KEY = "interlock.caller"


@dataclass(eq=False)
class Caller:
    """One request of an agent outside.

    Attributes:
        gone: set when its connection broke; `stop`: when the server ends. Nobody needs to be waited for then.
        answered: ids of the calls whose end this request tells.
    """

    agent: OutsideAgent
    gateway: Gateway
    stop: asyncio.Event
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    answered: list[str] = field(default_factory=list)

    async def waits(self, approval_id: str, patience_s: float) -> bool:
        """Hold the request until a question is answered; False if it is not after `patience_s`, or nobody waits.

        Raises:
            Unavailable: the database does not answer.
        """
        deciding = asyncio.create_task(self.gateway.decided(approval_id, patience_s))
        leaving = [asyncio.create_task(event.wait()) for event in (self.gone, self.stop)]
        try:
            await asyncio.wait({deciding, *leaving}, return_when=asyncio.FIRST_COMPLETED)
            return deciding.done() and deciding.result()
        finally:
            for task in (deciding, *leaving):
                task.cancel()
            await asyncio.gather(deciding, *leaving, return_exceptions=True)


def caller_of(context: Any) -> Caller:
    """The caller of a request that a protocol handler serves."""
    found = context.request.scope[SCOPE_KEY]
    assert isinstance(found, Caller)
    return found


present: ContextVar[Caller | None] = ContextVar("present", default=None)
