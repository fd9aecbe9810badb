"""Answers that are sent bit by bit: what happens to a task as Server-Sent Events, with heartbeats; lines of JSON."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from interlock.model import Exhausted, InterlockError
from interlock.server.problems import problem

HEARTBEAT_S = 15.0
MAX_STREAMS = 64
LINES_TYPE = "application/x-ndjson"
_BEAT = ": beat\n\n"


def frame(event: str, data: dict[str, Any], event_id: str | None = None) -> str:
    """One event; the JSON is ASCII on one line, so no character of it can end a line."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: {json.dumps(data)}\n\n"


class Following:
    """One stream over what `follow` yields; `close` it in the end.

    Events are `record` (an audit record, whose id is the event's id) and `state`; after the last one comes `end`, or
    `problem` when it broke off. A stream without either was cut: connect again. It then begins with the records that
    there are, so whoever connects again drops ids it has seen.
    """

    def __init__(self, steps: AsyncGenerator[dict[str, Any]], stop: asyncio.Event, heartbeat_s: float) -> None:
        """Take over `steps`; `stop` ends the stream without an `end`."""
        self._steps = steps
        self._stopping = asyncio.create_task(stop.wait())
        self._pending: asyncio.Task[dict[str, Any] | None] | None = None
        self._heartbeat_s = heartbeat_s
        self._first: dict[str, Any] | None = None

    async def begin(self) -> None:
        """Wait for the first step, while an error can still be an answer of its own."""
        self._first = await anext(self._steps, None)

    async def frames(self) -> AsyncIterator[str]:
        """The stream."""
        step = self._first
        try:
            while step is not None:
                yield _step_frame(step)
                pending = self._pending = asyncio.create_task(_next(self._steps))
                while not await self._something(pending):
                    yield _BEAT
                if not pending.done():
                    return  # the server stops
                step = pending.result()
            yield frame("end", {})
        except InterlockError as error:
            yield frame("problem", problem(error))

    async def close(self) -> None:
        """Give up waiting, and close the steps."""
        waited = [task for task in (self._stopping, self._pending) if task is not None]
        for task in waited:
            task.cancel()
        await asyncio.gather(*waited, return_exceptions=True)
        await self._steps.aclose()

    async def _something(self, pending: asyncio.Task[Any]) -> bool:
        done, _ = await asyncio.wait(
            {pending, self._stopping}, timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED
        )
        return bool(done)


class EventStream(StreamingResponse):
    """The answer that sends a stream; however it ends, the stream is closed and its place given back."""

    media_type = "text/event-stream"

    def __init__(self, following: Following, done: Callable[[], None]) -> None:
        super().__init__(following.frames(), headers={"X-Accel-Buffering": "no"})
        self._following = following
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._done()
            await self._following.close()


async def follow(request: Request, steps: AsyncGenerator[dict[str, Any]]) -> EventStream:
    """An answer that sends `steps`, once the first one is there.

    Raises:
        Exhausted: as many streams as there may be are open.
    """
    state = request.app.state
    if state.streams >= MAX_STREAMS:
        raise Exhausted(f"{MAX_STREAMS} event streams are open; close some", hint="interlock tasks show ID")
    state.streams += 1

    def done() -> None:
        state.streams -= 1

    following = Following(steps, state.stop, state.heartbeat_s)
    try:
        await following.begin()
    except BaseException:
        done()
        await following.close()
        raise
    return EventStream(following, done)


async def lines_of(steps: AsyncIterator[dict[str, Any]]) -> StreamingResponse:
    """An answer of one JSON object a line, once the first one is there: an error before it is an answer of its own."""
    first = await anext(steps, None)

    async def lines() -> AsyncIterator[str]:
        if first is not None:
            yield json.dumps(first) + "\n"
            async for step in steps:
                yield json.dumps(step) + "\n"

    return StreamingResponse(lines(), media_type=LINES_TYPE)


async def _next(steps: AsyncGenerator[dict[str, Any]]) -> dict[str, Any] | None:
    return await anext(steps, None)


def _step_frame(step: dict[str, Any]) -> str:
    if step.get("event") == "state" and "id" not in step:
        return frame("state", step)
    return frame("record", step, str(step["id"]))
