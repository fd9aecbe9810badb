"""What happens to a task as Server-Sent Events, with heartbeats, until there is no more to come."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from interlock.model import InterlockError
from interlock.server.problems import problem

HEARTBEAT_S = 15.0
MAX_STREAMS = 64
_BEAT = ": beat\n\n"


def frame(event: str, data: dict[str, Any], event_id: str | None = None) -> str:
    """One event; the JSON is ASCII on one line, so no character of it can end a line."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: {json.dumps(data)}\n\n"


class Following:
    """One stream over what `follow` yields.

    Events are `record` (an audit record, whose id is the event's id) and `state`; after the last one comes `end`, or
    `problem` when it broke off. A stream without either was cut: connect again. It then begins with the records that
    there are, so whoever connects again drops ids it has seen.
    """

    def __init__(self, steps: AsyncGenerator[dict[str, Any]], stop: asyncio.Event, heartbeat_s: float) -> None:
        """Take over `steps`, which is closed at the end; `stop` ends the stream without an `end`."""
        self._steps = steps
        self._stop = stop
        self._heartbeat_s = heartbeat_s
        self._first: dict[str, Any] | None = None

    async def begin(self) -> None:
        """Wait for the first step, while an error can still be an answer of its own."""
        self._first = await anext(self._steps, None)

    async def frames(self) -> AsyncIterator[str]:
        """The stream."""
        stopping = asyncio.create_task(self._stop.wait())
        pending: asyncio.Task[dict[str, Any] | None] | None = None
        try:
            step = self._first
            while step is not None:
                yield _step_frame(step)
                pending = asyncio.create_task(_next(self._steps))
                while not (await self._either(pending, stopping)):
                    yield _BEAT
                if not pending.done():
                    return
                step = pending.result()
            yield frame("end", {})
        except InterlockError as error:
            yield frame("problem", problem(error))
        finally:
            waited = [task for task in (stopping, pending) if task is not None]
            for task in waited:
                task.cancel()
            await asyncio.gather(*waited, return_exceptions=True)
            await self._steps.aclose()

    async def _either(self, *tasks: asyncio.Task[Any]) -> bool:
        done, _ = await asyncio.wait(tasks, timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)


async def _next(steps: AsyncGenerator[dict[str, Any]]) -> dict[str, Any] | None:
    return await anext(steps, None)


def _step_frame(step: dict[str, Any]) -> str:
    if step.get("event") == "state" and "id" not in step:
        return frame("state", step)
    return frame("record", step, str(step["id"]))
