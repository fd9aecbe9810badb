"""Remote servers: what was sent and what was not, both generations, cancelling, outages."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.subscriptions import ToolsListChanged
from tests.integration.tools.remote_servers import (
    Asked,
    Record,
    Scripted,
    free_port,
    noting,
    only_handshake,
    own_certificate,
    respond,
    sdk_server,
    served,
    sometimes,
    sse_app,
)

from interlock.config import ToolServerConfig
from interlock.model import ServerState, ToolBusy, ToolLost, ToolRef, ToolTimeout, ToolUnavailable
from interlock.tools import Delivery, Expectation
from interlock.tools.remote_http import shared_tls

pytestmark = pytest.mark.integration


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    server = Scripted()
    await server.start()
    yield server
    await server.stop()


def at(url: str, **more: Any) -> ToolServerConfig:
    return ToolServerConfig(url=url, **{"start_timeout": 10, **more})


# ---- both generations --------------------


@pytest.mark.parametrize("generation", ["stateless", "handshake"])
@pytest.mark.parametrize("json_response", [True, False])
async def test_a_server_of_either_generation_is_called_and_told_what_belongs_to_the_call(
    tooling: Any, generation: str, json_response: bool
) -> None:
    record, port = Record(), free_port()
    app = sdk_server(record).streamable_http_app(json_response=json_response)
    wrapped = only_handshake(app, record) if generation == "handshake" else noting(app, record)
    async with served(wrapped, port):
        box = tooling.box(far=at(f"http://127.0.0.1:{port}/mcp", headers={"X-Team": "a"}))
        how = Delivery(5, idempotency_key="key-1")
        answer = await box.call(ToolRef("far", "say"), {"text": "hello"}, how)
        assert (answer.ok, answer.text) == (True, "hello")
        assert record.keys == ["key-1"]
        assert {headers.get("x-team") for headers in record.headers} == {"a"}
        sessions = {headers.get("mcp-session-id") for headers in record.headers} - {None}
        assert len(sessions) == (1 if generation == "handshake" else 0)
        texts = [f"{number}:" + "x" * 5_000 for number in range(100)]
        answers = await asyncio.gather(*(tooling.call(box, "far.say", 30, text=text) for text in texts))
        assert [one.text for one in answers] == texts
        assert (await tooling.call(box, "far.big", bytes=3_000_000)).truncated
        await box.stop()


@pytest.mark.parametrize("generation", ["stateless", "handshake"])
@pytest.mark.parametrize("json_response", [True, False])
async def test_a_timeout_and_a_cancelled_caller_reach_the_server(
    tooling: Any, generation: str, json_response: bool
) -> None:
    record, port = Record(), free_port()
    app = sdk_server(record).streamable_http_app(json_response=json_response)
    async with served(only_handshake(app, record) if generation == "handshake" else app, port):
        box = tooling.box(far=at(f"http://127.0.0.1:{port}/mcp"))
        await box.start()
        with pytest.raises(ToolTimeout, match=r"gave no answer within 0.3 s; whether it acted is unknown"):
            await tooling.call(box, "far.say", 0.3, text="late", delay_s=3)
        if generation == "stateless" and json_response:
            await box.stop()
            return  # this server does not look whether anybody still listens; that we hang up is tested below
        await tooling.until(lambda: record.cancelled == ["late"], 2)
        given_up = asyncio.create_task(tooling.call(box, "far.say", text="given up", delay_s=3))
        await asyncio.sleep(0.3)
        given_up.cancel()
        await tooling.until(lambda: record.cancelled == ["late", "given up"], 2)
        assert (await tooling.call(box, "far.say", text="kept")).ok
        assert record.effects == ["kept"]
        assert tooling.health(box, "far").restarts == 0
        await box.stop()


async def test_the_form_with_one_long_stream_works_too(tooling: Any) -> None:
    record, port = Record(), free_port()
    async with served(sse_app(sdk_server(record)), port):
        box = tooling.box(far=at(f"http://127.0.0.1:{port}/sse", transport="sse"))
        texts = [str(number) for number in range(20)]
        answers = await asyncio.gather(*(tooling.call(box, "far.say", text=text) for text in texts))
        assert [one.text for one in answers] == texts
        with pytest.raises(ToolTimeout):
            await tooling.call(box, "far.say", 0.3, text="late", delay_s=3)
        await tooling.until(lambda: record.cancelled == ["late"], 2)
        await box.stop()


async def test_a_call_without_a_state_is_cancelled_by_hanging_up(tooling: Any, scripted: Scripted) -> None:
    hung_up = asyncio.Event()

    async def wait(asked: Asked, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(5):
            while not asked.reader.at_eof():
                await asyncio.sleep(0.02)
        hung_up.set()

    box = tooling.box(far=at(scripted.url))
    await box.start()
    scripted.on_call = wait
    with pytest.raises(ToolTimeout):
        await tooling.call(box, "far.say", 0.3, text="x")
    async with asyncio.timeout(2):
        await hung_up.wait()
    hung_up.clear()
    given_up = asyncio.create_task(tooling.call(box, "far.say", text="x"))
    await asyncio.sleep(0.3)
    given_up.cancel()
    async with asyncio.timeout(2):
        await hung_up.wait()


@pytest.mark.parametrize("status", [429, 500])
async def test_in_the_form_with_one_stream_a_message_that_is_turned_away_ends_its_call_at_once(
    tooling: Any, status: int
) -> None:
    record, port = Record(), free_port()
    async with served(sometimes(sse_app(sdk_server(record)), record, status), port):
        box = tooling.box(far=at(f"http://127.0.0.1:{port}/sse", transport="sse"))
        await box.start()
        slow = asyncio.create_task(tooling.call(box, "far.say", text="slow", delay_s=0.5))
        await asyncio.sleep(0.2)
        record.words = "turn away"
        started = time.monotonic()
        with pytest.raises(ToolUnavailable if status == 429 else ToolLost, match=f"answers {status}"):
            await tooling.call(box, "far.say", text="x")
        assert time.monotonic() - started < 2
        record.words = ""
        assert (await slow).text == "slow"
        await box.stop()


# ---- sent or not sent --------------------


async def test_a_server_whose_certificate_is_not_trusted_gets_nothing(
    tooling: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, port = Record(), free_port()
    key, certificate = own_certificate(tmp_path)
    app = noting(sdk_server(record).streamable_http_app(), record)
    async with served(app, port, ssl_keyfile=str(key), ssl_certfile=str(certificate)):
        box = tooling.box(far=at(f"https://127.0.0.1:{port}/mcp"))
        with pytest.raises(ToolUnavailable, match=r"can't be reached: .*certificate"):
            await tooling.call(box, "far.say", text="x")
        assert record.headers == []
        await box.stop()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        shared_tls.cache_clear()
        box = tooling.box(far=at(f"https://127.0.0.1:{port}/mcp"))
        for number in range(20):
            assert (await tooling.call(box, "far.say", text=str(number))).ok
        assert record.effects == [str(number) for number in range(20)]
        await box.stop()
        shared_tls.cache_clear()


async def test_a_server_that_is_not_there_was_sent_nothing(tooling: Any) -> None:
    box = tooling.box(far=at(f"http://127.0.0.1:{free_port()}/mcp"))
    started = time.monotonic()
    with pytest.raises(ToolUnavailable, match="can't be reached"):
        await tooling.call(box, "far.say", text="x")
    assert time.monotonic() - started < 8
    assert tooling.health(box, "far").state is ServerState.DEGRADED


REFUSALS: list[tuple[int, dict[str, str]]] = [
    (401, {}),
    (403, {}),
    (404, {}),
    (405, {}),
    (406, {}),
    (413, {}),
    (415, {}),
    (429, {}),
    (400, {}),
]


@pytest.mark.parametrize(("status", "headers"), REFUSALS)
async def test_a_call_that_was_turned_away_was_not_made(
    tooling: Any, scripted: Scripted, status: int, headers: dict[str, str]
) -> None:
    async def refuse(asked: Asked, writer: asyncio.StreamWriter) -> None:
        respond(writer, status, b"no", content_type="text/plain", **headers)

    box = tooling.box(far=at(scripted.url))
    await box.start()
    scripted.on_call = refuse
    with pytest.raises(ToolUnavailable, match=r"the call of far\.say was not sent") as caught:
        await tooling.call(box, "far.say", text="x")
    says = "needs a login: interlock tools login far" if status == 401 else f"answers {status} Some Reason"
    assert says in caught.value.message


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_says_when_to_come_again(tooling: Any, scripted: Scripted, status: int) -> None:
    async def busy(asked: Asked, writer: asyncio.StreamWriter) -> None:
        respond(writer, status, b"", retry_after="7")

    box = tooling.box(far=at(scripted.url))
    await box.start()
    scripted.on_call = busy
    with pytest.raises(ToolBusy, match="asks to come again in 7 s") as caught:
        await tooling.call(box, "far.say", text="x")
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
async def test_other_failures_leave_unknown_whether_it_acted(tooling: Any, scripted: Scripted, status: int) -> None:
    async def fail(asked: Asked, writer: asyncio.StreamWriter) -> None:
        respond(writer, status, b"oops", content_type="text/plain")

    box = tooling.box(far=at(scripted.url))
    await box.start()
    scripted.on_call = fail
    with pytest.raises(ToolLost, match=rf"answers {status} Some Reason during the call of far\.say; whether it acted"):
        await tooling.call(box, "far.say", text="x")
    scripted.on_call = scripted.fine
    assert (await tooling.call(box, "far.say", text="x")).text == "fine"


async def test_an_error_of_the_protocol_is_an_answer(tooling: Any, scripted: Scripted) -> None:
    async def invalid(asked: Asked, writer: asyncio.StreamWriter) -> None:
        error = b'{"jsonrpc": "2.0", "id": %d, "error": {"code": -32602, "message": "no such text"}}'
        respond(writer, 400, error % asked.message["id"])

    box = tooling.box(far=at(scripted.url))
    await box.start()
    scripted.on_call = invalid
    answer = await tooling.call(box, "far.say", text="x")
    assert (answer.ok, answer.text) == (False, "the server answered with error -32602: no such text")


async def _hang_up(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _half_a_body(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{")
    await writer.drain()
    writer.close()


async def _half_a_stream(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: {\n")
    await writer.drain()
    writer.close()


async def _no_message(asked: Asked, writer: asyncio.StreamWriter) -> None:
    respond(writer, 200, b"<html>", content_type="text/html")


async def _bad_json(asked: Asked, writer: asyncio.StreamWriter) -> None:
    respond(writer, 200, b"{}")


async def _bad_event(asked: Asked, writer: asyncio.StreamWriter) -> None:
    respond(writer, 200, b"event: message\ndata: {}\n\n", content_type="text/event-stream")


async def _compressed(asked: Asked, writer: asyncio.StreamWriter) -> None:
    respond(writer, 200, gzip.compress(asked.text("x")), content_encoding="gzip")


async def _accepted(asked: Asked, writer: asyncio.StreamWriter) -> None:
    respond(writer, 202, b"")


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (_hang_up, "broke off the connection"),
        (_half_a_body, "broke off the connection"),
        (_half_a_stream, "ended its answer before the result"),
        (_no_message, "answers 200 with text/html, which is no MCP message"),
        (_bad_json, "no MCP message"),
        (_bad_event, "no MCP message"),
        (_accepted, "answers 202"),
        (_compressed, "sent compressed data, and was asked not to"),
    ],
)
async def test_a_broken_answer_leaves_unknown_whether_it_acted_and_harms_no_other_call(
    tooling: Any, scripted: Scripted, reply: Any, says: str
) -> None:
    async def by_text(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.message["params"]["arguments"]["text"] == "slow":
            await asyncio.sleep(0.7)
            await scripted.fine(asked, writer)
        else:
            await reply(asked, writer)

    box = tooling.box(far=at(scripted.url))
    await box.start()
    scripted.on_call = by_text
    other = asyncio.create_task(tooling.call(box, "far.say", text="slow"))
    await asyncio.sleep(0.2)
    with pytest.raises(ToolLost) as caught:
        await tooling.call(box, "far.say", text="x")
    assert says in caught.value.message
    assert (await other).text == "fine"
    assert tooling.health(box, "far").state is ServerState.READY
    assert tooling.health(box, "far").restarts == 0


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_an_answer_without_end_is_cut_off(tooling: Any, scripted: Scripted, kind: str) -> None:
    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        for _ in range(40):
            writer.write(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
            await writer.drain()

    box = tooling.box(far=at(scripted.url))
    await box.start()
    scripted.on_call = endless
    with pytest.raises(ToolLost, match="sent a message longer than 16 MiB"):
        await tooling.call(box, "far.say", 20, text="x")


async def test_a_redirect_to_another_origin_is_not_followed_and_gets_no_header(
    tooling: Any, scripted: Scripted
) -> None:
    elsewhere = Scripted()
    await elsewhere.start()

    async def away(asked: Asked, writer: asyncio.StreamWriter) -> None:
        respond(writer, 307, b"", location=elsewhere.url)

    async def near(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.path == "/other":
            await scripted.fine(asked, writer)
        else:
            respond(writer, 307, b"", location="/other")

    box = tooling.box(far=at(scripted.url, headers={"Authorization": "Bearer s3cret-s3cret"}))
    await box.start()
    scripted.on_call = away
    with pytest.raises(ToolUnavailable, match=r"points to another address \(307\)"):
        await tooling.call(box, "far.say", text="x")
    assert elsewhere.connections == 0
    scripted.on_call = near
    assert (await tooling.call(box, "far.say", text="x")).ok
    await elsewhere.stop()


async def test_what_no_longer_holds_at_the_last_moment_is_not_sent(tooling: Any, scripted: Scripted) -> None:
    box = tooling.box(far=at(scripted.url))
    await box.start()
    how = Delivery(5, expect=Expectation(still=lambda: False))
    with pytest.raises(ToolUnavailable, match="this worker was silent for too long"):
        await box.call(ToolRef("far", "say"), {"text": "x"}, how)
    assert scripted.calls() == []
    assert (await tooling.call(box, "far.say", text="x")).ok
    assert len(scripted.calls()) == 1


async def test_connections_are_kept_and_credentials_show_up_nowhere(tooling: Any, scripted: Scripted) -> None:
    async def leak(asked: Asked, writer: asyncio.StreamWriter) -> None:
        respond(writer, 200, asked.text(f"you are {asked.headers['authorization']}"))

    box = tooling.box(far=at(scripted.url, headers={"Authorization": "Bearer s3cret-s3cret"}))
    await box.start()
    scripted.on_call = leak
    for _ in range(20):
        answer = await tooling.call(box, "far.say", text="x")
    assert answer.text == "you are ***"
    assert scripted.connections <= 2


async def test_a_connection_that_the_server_has_closed_is_not_used_again(tooling: Any, scripted: Scripted) -> None:
    box = tooling.box(far=at(scripted.url))
    for number in range(1, 4):
        assert (await tooling.call(box, "far.say", text=str(number))).ok
        assert len(scripted.calls()) == number
        await scripted.hang_up()


async def test_arguments_that_a_tool_wants_in_headers_are_there_too(tooling: Any, scripted: Scripted) -> None:
    where = {"type": "string", "x-mcp-header": "Region"}
    scripted.properties = {"region": where, "text": {"type": "string"}}
    box = tooling.box(far=at(scripted.url))
    assert (await tooling.call(box, "far.say", text="x", region="north")).ok
    assert (await tooling.call(box, "far.say", text="x", region="Süden")).ok
    assert (await tooling.call(box, "far.say", text="x")).ok
    told = [asked.headers.get("mcp-param-region") for asked in scripted.calls()]
    assert told == ["north", "=?base64?U8O8ZGVu?=", None]
    assert {asked.headers["mcp-name"] for asked in scripted.calls()} == {"say"}


async def test_what_is_said_before_the_answer_is_no_answer(tooling: Any, scripted: Scripted) -> None:
    async def talkative(asked: Asked, writer: asyncio.StreamWriter) -> None:
        progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
        events = [b"id: 1\ndata:\n\n", b": still here\n\n", b"data: %s\n\n" % json.dumps(progress).encode()]
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for event in [*events, b"data: %s\n\n" % asked.text("at last")]:
            writer.write(event)
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.close()

    box = tooling.box(far=at(scripted.url))
    await box.start()
    scripted.on_call = talkative
    assert (await tooling.call(box, "far.say", text="x")).text == "at last"


# ---- outages --------------------


async def test_an_outage_is_told_and_ends_by_itself(tooling: Any, scripted: Scripted) -> None:
    box = tooling.box(far=at(scripted.url))
    assert (await tooling.call(box, "far.say", text="x")).ok
    await scripted.stop()
    with pytest.raises(ToolUnavailable, match="can't be reached"):
        await tooling.call(box, "far.say", text="x")
    await tooling.until(lambda: tooling.health(box, "far").state is ServerState.DEGRADED)
    assert "can't be reached" in tooling.health(box, "far").reason
    assert len(scripted.calls()) == 1
    await scripted.start()
    await tooling.until(lambda: tooling.health(box, "far").state is ServerState.READY)
    assert (await tooling.call(box, "far.say", text="x")).ok


async def test_a_session_that_is_lost_is_made_anew_and_the_call_is_made_once(tooling: Any) -> None:
    record, port = Record(), free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    box = tooling.box(far=at(url))
    async with served(only_handshake(sdk_server(record).streamable_http_app(), record), port):
        assert (await tooling.call(box, "far.say", text="1")).ok
    record.words = "Says it in other words."
    async with served(only_handshake(sdk_server(record).streamable_http_app(), record), port):
        assert (await tooling.call(box, "far.say", text="2")).ok
        assert record.effects == ["1", "2"]
        found = await box.definitions("far")
        assert [one.description for one in found if one.ref.name == "say"] == ["Says it in other words."]
        await box.stop()


async def test_a_stateless_server_that_tells_changes_is_listened_to(tooling: Any) -> None:
    record, port, bus = Record(), free_port(), InMemorySubscriptionBus()
    async with served(noting(sdk_server(record, bus).streamable_http_app(), record), port):
        box = tooling.box(far=at(f"http://127.0.0.1:{port}/mcp"))
        before = {one.ref.name: one.pin_sha256 for one in await box.definitions("far")}
        await tooling.until(lambda: record.methods.count("tools/list") > 1)  # once more when it listens
        record.words = "Says it in other words."
        await bus.publish(ToolsListChanged())
        await tooling.until(lambda: record.methods.count("tools/list") > 2)
        await asyncio.sleep(0.2)
        how = Delivery(5, expect=Expectation(pin_sha256=before["say"]))
        with pytest.raises(ToolUnavailable, match="has changed since the call was judged"):
            await box.call(ToolRef("far", "say"), {"text": "x"}, how)
        await box.stop()
