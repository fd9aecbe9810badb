"""Event streams: what is sent, heartbeats, and that nothing is left behind however they end."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from interlock.model import DatabaseUnavailable, NotFound
from interlock.server.streaming import MAX_STREAMS, Following, frame

PATH = "/api/v1/tasks/0123abcd/events"
RECORD = {"id": "r1", "event": "call.started", "detail": {"text": "two\nlines\u2028"}}
STATE = {"event": "state", "state": "completed", "state_reason": "done"}


async def test_records_and_states_then_the_end(http: httpx.AsyncClient, control: Any, app: FastAPI) -> None:
    control.steps = [RECORD, STATE]
    answer = await http.get(PATH)
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, second, last, rest = answer.text.split("\n\n")
    assert first.split("\n")[:2] == ["id: r1", "event: record"]
    assert json.loads(first.split("\n")[2].removeprefix("data: ")) == RECORD
    assert second.startswith("event: state\ndata: ")
    assert (last, rest) == ("event: end\ndata: {}", "")
    assert (control.closed, app.state.streams) == (1, 0)


async def test_an_error_before_the_first_event_is_an_answer_of_its_own(
    http: httpx.AsyncClient, control: Any, app: FastAPI
) -> None:
    control.failure = NotFound("there is no task")
    answer = await http.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert app.state.streams == 0


async def test_an_error_later_is_an_event(http: httpx.AsyncClient, control: Any, app: FastAPI) -> None:
    control.steps = [STATE, DatabaseUnavailable("gone")]
    text = (await http.get(PATH)).text
    assert "event: problem\n" in text
    assert '"code": "database_unavailable"' in text
    assert "event: end" not in text
    assert (control.closed, app.state.streams) == (1, 0)


async def test_a_silent_stream_shows_that_it_lives(http: httpx.AsyncClient, control: Any) -> None:
    control.steps, control.hold = [STATE], asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, control.hold.set)
    text = (await http.get(PATH)).text
    assert text.count(": beat\n\n") >= 2
    assert text.endswith("event: end\ndata: {}\n\n")


async def test_a_stop_of_the_server_ends_the_stream_without_an_end(
    http: httpx.AsyncClient, control: Any, app: FastAPI
) -> None:
    control.steps, control.hold = [STATE], asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, app.state.stop.set)
    text = (await http.get(PATH)).text
    assert "event: state" in text
    assert "event: end" not in text
    assert (control.closed, app.state.streams) == (1, 0)


async def test_a_caller_that_goes_away_leaves_nothing_behind(app: FastAPI, control: Any) -> None:
    control.steps, control.hold = [STATE], asyncio.Event()
    before = asyncio.all_tasks()
    started, gone = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message.get("body"):
            started.set()

    token = app.state.token
    scope = {
        "type": "http", "method": "GET", "path": PATH, "raw_path": PATH.encode(), "query_string": b"", "root_path": "",
        "scheme": "http", "server": ("127.0.0.1", 7440), "http_version": "1.1", "asgi": {"spec_version": "2.3"},
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {token}".encode())],
    }  # fmt: skip
    serving = asyncio.create_task(app(scope, receive, send))
    await asyncio.wait_for(started.wait(), 5)
    assert app.state.streams == 1
    gone.set()
    await asyncio.wait_for(serving, 5)
    assert (control.closed, app.state.streams) == (1, 0)
    assert asyncio.all_tasks() <= before


async def test_streams_are_bounded(http: httpx.AsyncClient, app: FastAPI, control: Any) -> None:
    control.steps = [STATE]
    app.state.streams = MAX_STREAMS
    answer = await http.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (429, "exhausted")
    assert app.state.streams == MAX_STREAMS


async def test_nothing_to_tell_is_an_end() -> None:
    async def nothing() -> Any:
        for step in list[dict[str, Any]]():
            yield step

    following = Following(nothing(), asyncio.Event(), 1.0)
    await following.begin()
    assert [text async for text in following.frames()] == ["event: end\ndata: {}\n\n"]
    await following.close()


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\u2028b", "é"])
def test_a_frame_is_one_line_of_ascii(text: str) -> None:
    made = frame("record", {"text": text}, "r1")
    assert made.isascii()
    assert len(made.splitlines()) == 4
