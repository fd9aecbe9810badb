"""Done, not done, or unknown: what a call says of a change when something goes wrong."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpcore
import pytest

from interlock.config import ManualClock
from interlock.servers.shared.journal import Journal

from .conftest import Bench, Network, redirect, reply

CHANGES = ["POST", "PUT", "PATCH", "DELETE"]
READS = ["GET", "HEAD", "OPTIONS"]


def doubtful(outcome: Any) -> bool:
    found = outcome.structured.get("in_doubt", False)
    assert found is ("is unknown: find out" in outcome.text)
    assert outcome.failed or not found
    return bool(found)


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


async def half(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")


async def switch(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize("method", [*READS, *CHANGES])
@pytest.mark.parametrize("script", [hang_up, garbage, half, switch, silence])
async def test_no_answer(bench: Bench, method: str, script: Callable[..., Awaitable[None]]) -> None:
    bench.origin.routes["/"] = script
    outcome = await bench.send(method, "/", timeout_s=0.2 if script is silence else 20)
    assert outcome.failed
    assert outcome.text.startswith("No answer: ")
    assert doubtful(outcome) is (method in CHANGES)


@pytest.mark.parametrize(
    ("status", "doubt"),
    [
        (status, status in (500, 502, 503, 504))
        for status in (400, 403, 404, 408, 409, 429, 500, 501, 502, 503, 504, 505)
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_answer_that_says_no(bench: Bench, method: str, status: int, doubt: bool) -> None:
    bench.origin.routes["/"] = reply(b"no", status)
    outcome = await bench.send(method, "/")
    assert outcome.failed
    assert outcome.text.startswith(f"HTTP {status} ")
    assert outcome.structured is not None
    assert outcome.structured["status"] == status
    assert doubtful(outcome) is (doubt and method != "GET")


class Dead(Network):
    async def connect_tcp(self, *where: Any, **named: Any) -> Any:
        self.asked.append(where[:2])
        raise httpcore.ConnectTimeout if len(self.asked) > 1 else httpcore.ConnectError


async def test_what_was_not_sent_is_not_done(bench: Bench) -> None:
    bench.network = Dead()
    bench.names.known["site.example"] = ["8.8.8.8", "2606:4700::1"]
    outcome = await bench.send("POST", "/")
    assert outcome.text == "Not sent: site.example took no connection in time."
    assert not doubtful(outcome)
    assert bench.network.asked == [("8.8.8.8", 80), ("2606:4700::1", 80)]


async def test_the_second_address_is_tried(bench: Bench) -> None:
    class First(Network):
        async def connect_tcp(self, host: str, *more: Any, **named: Any) -> Any:
            if host == "8.8.8.8":
                raise httpcore.ConnectError
            return await super().connect_tcp(host, *more, **named)

    bench.network = First(bench.origin.port)
    bench.names.known["site.example"] = ["8.8.8.8", "2606:4700::1"]
    bench.origin.routes["/"] = reply(b"ok")
    assert not (await bench.get("/")).failed
    assert bench.network.asked == [("2606:4700::1", 80)]


async def test_a_name_that_nobody_knows(bench: Bench) -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    for names, said in ((nobody, "can't be found"), (never, "time was up before the request was sent")):
        found: Any = names
        bench.names = found
        outcome = await bench.send("POST", "/", timeout_s=0.2)
        assert said in outcome.text
        assert outcome.text.startswith("Not sent: ")
        assert not doubtful(outcome)


async def test_a_change_that_was_answered_well_is_done_whatever_becomes_of_the_body(bench: Bench) -> None:
    async def cut(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nmade it")

    bench.origin.routes["/"] = cut
    done = await bench.send("POST", "/")
    assert not done.failed
    assert not doubtful(done)
    assert "did not come whole: the connection was lost" in done.text
    assert done.text.endswith("made it")
    assert (await bench.get("/")).failed


async def test_a_change_that_led_to_a_page(bench: Bench) -> None:
    bench.origin.routes |= {
        "/good": redirect("/page", 303),
        "/page": reply(b"made"),
        "/bad": redirect("/broken", 302),
        "/broken": reply(b"x", 500),
        "/lost": redirect("/gone", 303),
        "/gone": hang_up,
        "/out": redirect("http://nowhere.test/", 302),
        "/again": redirect("/gone", 307),
        "/never": redirect("http://nowhere.test/", 307),
    }
    expected = {"good": False, "bad": True, "lost": True, "out": True, "again": True, "never": False}
    for path, doubt in expected.items():
        outcome = await bench.send("POST", f"/{path}")
        assert outcome.failed is (path != "good")
        assert doubtful(outcome) is doubt, path


async def test_each_call_is_noted_before_and_after(bench: Bench, tmp_path: Path) -> None:
    log = tmp_path / "log"
    bench.journal = Journal(log, ManualClock())
    bench.origin.routes |= {"/a": reply(b"ok"), "/b": hang_up}
    await bench.send("POST", "/a?token=secret", "task/1/2")
    await bench.send("POST", "/b")
    await bench.call("request", {"method": "POST", "url": "http://nowhere.test/"})
    bench.journal.close()
    text = log.read_text()
    assert "secret" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines] == ["begin", "end"] * 3
    assert lines[0]["touched"] == ["POST http://site.example/a"]
    assert lines[0]["key"] == "task/1/2"
    assert [(line["sent"], line["status"], line["in_doubt"]) for line in lines[1::2]] == [
        (True, 200, False),
        (True, None, True),
        (False, None, False),
    ]


async def test_without_a_log_nothing_is_sent(bench: Bench) -> None:
    class Full(Journal):
        def begin(self, tool: str, key: str | None, touched: list[str]) -> None:
            raise OSError("disk full")

    bench.journal = Full(None, ManualClock())
    outcome = await bench.send("POST", "/")
    assert outcome.failed
    assert outcome.text.startswith("Not sent")
    assert bench.network.asked == []


async def test_a_call_that_is_given_up_closes_its_connection(bench: Bench) -> None:
    closed = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()

    bench.origin.routes["/"] = wait
    call = asyncio.create_task(bench.get("/"))
    while not bench.origin.seen:
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(5):
        await closed.wait()
