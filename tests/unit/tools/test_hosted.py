"""What a process tells the tool host when the caller of a call is stopped."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from interlock.model import ToolRef
from interlock.tools import Delivery, HostedTools
from interlock.tools.host.frames import Frames
from interlock.tools.host.hosted import HostProgram
from interlock.tools.host.place import Place

PATIENCE_S = 5.0


class Listener:
    """Takes what a process sends and answers nothing but its greeting."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue(100)

    async def answer(self, frames: Frames) -> None:
        await frames.read()
        frames.write({"ok": {"pid": 1}})
        while (message := await frames.read()) is not None:
            self.heard.put_nowait(message)
        await frames.close()

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            return await self.heard.get()


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Listener]:
    made = Listener()
    server = await Place(tmp_path).listen(made.answer)
    yield made
    server.close()


@pytest.fixture
async def hosted(listener: Listener, tmp_path: Path) -> AsyncIterator[HostedTools]:
    made = HostedTools(Place(tmp_path), HostProgram(["false"], {}, "same"))
    yield made
    await made.stop()
    assert (await listener.next())["op"] == "leave"


async def begun(hosted: HostedTools, listener: Listener, run: str) -> tuple["asyncio.Task[Any]", int]:
    calling = asyncio.create_task(hosted.call(ToolRef("log", "append"), {}, Delivery(10, run=run)))
    return calling, int((await listener.next())["id"])


async def stopped(*calls: "asyncio.Task[Any]") -> None:
    for call in calls:
        call.cancel()
    assert [type(end) for end in await asyncio.gather(*calls, return_exceptions=True)] == [
        asyncio.CancelledError for _ in calls
    ]


async def test_a_call_is_stopped_with_its_caller_unless_its_run_was_abandoned(
    hosted: HostedTools, listener: Listener
) -> None:
    (left, _), (also_left, _) = await begun(hosted, listener, "t:1"), await begun(hosted, listener, "t:1")
    other, number = await begun(hosted, listener, "t:2")
    hosted.abandon("t:1")
    await stopped(left, also_left, other)
    assert await listener.next() == {"id": 0, "op": "cancel", "of": number}


async def test_that_a_run_was_abandoned_says_nothing_of_its_later_calls(
    hosted: HostedTools, listener: Listener
) -> None:
    hosted.abandon("t:1")
    earlier, _ = await begun(hosted, listener, "t:1")
    hosted.abandon("t:1")
    await stopped(earlier)
    later, number = await begun(hosted, listener, "t:1")
    await stopped(later)
    assert await listener.next() == {"id": 0, "op": "cancel", "of": number}
