"""The tools as a model uses them: what is sent, what comes back, and how much of it."""

import asyncio
import base64
import gzip
import hashlib
import json
import time
import zlib
from typing import Any

import pytest

from interlock.servers.http.body import KEPT_BYTES
from interlock.servers.http.limits import READ_BYTES, SHOWN_BYTES, STRUCTURED_BYTES
from interlock.servers.http.tools import TOOLS

from .conftest import Bench, Names, Network, reply


async def test_a_local_server_that_is_allowed(bench: Bench) -> None:
    port = bench.origin.port
    bench.network, bench.names = Network(), Names()
    bench.allow = [f"127.0.0.1:{port}", f"localhost:{port}"]
    bench.origin.routes["/x"] = reply(b'{"a": [1, 2.5, null, "\xc3\xa9"]}', kind="application/json; charset=utf-8")
    for host in ("127.0.0.1", "localhost", "LocalHost"):
        outcome = await bench.call("get", {"url": f"http://{host}:{port}/x?q=1#top"})
        assert not outcome.failed, outcome.text
        assert outcome.structured is not None
        assert outcome.structured["json"] == {"a": [1, 2.5, None, "é"]}
        assert outcome.structured["final_url"] == f"http://{host.lower()}:{port}/x?q=1"
    assert bench.names.asked == []
    assert {request.path for request in bench.origin.seen} == {"/x?q=1"}
    assert {address for address, _ in bench.network.asked} == {"127.0.0.1"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method(bench: Bench, method: str) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + (b"" if method == "HEAD" else b"body"))

    bench.origin.routes["/"] = answer
    outcome = await bench.send(method, "/")
    assert not outcome.failed
    assert outcome.text.startswith("HTTP 200 OK - ")
    assert outcome.structured is not None
    assert outcome.structured["kind"] == ("empty" if method == "HEAD" else "text")
    seen = bench.origin.seen[0]
    assert seen.method == method
    assert seen.headers.get("content-length") == (None if method in ("GET", "HEAD", "OPTIONS") else "0")


BODIES: list[tuple[dict[str, Any], bytes, str]] = [
    ({"json": {"a": "é", "b": None}}, json.dumps({"a": "é", "b": None}).encode(), "application/json"),
    ({"json": None}, b"null", "application/json"),
    ({"json": [], "headers": {"content-type": "application/x+json"}}, b"[]", "application/x+json"),
    ({"body": "é\n"}, "é\n".encode(), "text/plain; charset=utf-8"),
    (
        {"body": "a=b", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        b"a=b",
        "application/x-www-form-urlencoded",
    ),
]


@pytest.mark.parametrize(("args", "sent", "kind"), BODIES)
async def test_bodies(bench: Bench, args: dict[str, Any], sent: bytes, kind: str) -> None:
    bench.origin.routes["/"] = reply(b"", 204)
    assert not (await bench.send("POST", "/", **args)).failed
    assert (bench.origin.seen[0].body, bench.origin.seen[0].headers["content-type"]) == (sent, kind)


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("get", {}, "the field 'url' is missing"),
    ("get", {"url": 5}, "'url' must be text"),
    ("get", {"url": ""}, "'url' must have at least 1 characters"),
    ("get", {"url": "http://site.example/", "method": "POST"}, 'no field "method"'),
    ("get", {"url": "http://site.example/", "body": "x"}, 'no field "body"'),
    ("get", {"url": "http://site.example/", "timeout_s": 0}, "timeout_s"),
    ("get", {"url": "http://site.example/", "timeout_s": 1e9}, "timeout_s"),
    ("get", {"url": "http://site.example/", "headers": {"A": 1}}, "'headers.A' must be text"),
    ("get", {"url": "http://site.example/", "headers": ["A: 1"]}, "must be an object"),
    ("request", {"url": "http://site.example/"}, "'method' is missing"),
    ("request", {"url": "http://site.example/", "method": "CONNECT"}, 'must be one of: "GET", "HEAD"'),
    ("request", {"url": "http://site.example/", "method": "get"}, "must be one of"),
    ("request", {"url": "http://site.example/", "method": "TRACE"}, "must be one of"),
    ("request", {"url": "http://site.example/", "method": "GET", "body": "x"}, "GET has no 'body'"),
    ("request", {"url": "http://site.example/", "method": "HEAD", "json": 1}, "HEAD has no 'json'"),
    ("request", {"url": "http://site.example/", "method": "POST", "json": 1, "body": "x"}, "not both"),
    ("request", {"url": "http://site.example/", "method": "POST", "body": "\ud800"}, "can't be sent"),
    ("request", {"url": "http://site.example/", "method": "POST", "json": float("inf")}, "can't be sent"),
    ("request", {"url": "http://site.example/", "method": "POST", "body": "é" * 3_000_000}, "6,000,000 bytes"),
    ("fetch", {}, "the tools are: get, request"),
]


@pytest.mark.parametrize(("tool", "args", "said"), WRONG, ids=range(len(WRONG)))
async def test_wrong_arguments_are_named(bench: Bench, tool: str, args: dict[str, Any], said: str) -> None:
    outcome = await bench.call(tool, args)
    assert outcome.failed
    assert said in outcome.text
    assert bench.network.asked == []


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "raw", "parts"])
async def test_packed_bodies(bench: Bench, coding: str) -> None:
    text = "".join(f"line {number}\n" for number in range(3000)).encode()
    bare = zlib.compressobj(wbits=-15)
    packed = {
        "deflate": zlib.compress(text),
        "raw": bare.compress(text) + bare.flush(),
        "parts": gzip.compress(text[:999]) + gzip.compress(b"") + gzip.compress(text[999:]),
    }.get(coding, gzip.compress(text))
    name = {"raw": "deflate", "parts": "gzip"}.get(coding, coding)
    bench.origin.routes["/"] = reply(packed, 200, f"Content-Encoding: {name}")
    outcome = await bench.get("/")
    assert outcome.structured is not None
    assert outcome.structured["body"] == text.decode()
    assert outcome.structured["sha256"] == hashlib.sha256(text).hexdigest()
    bench.origin.routes["/"] = reply(packed[:-20], 200, f"Content-Encoding: {name}")
    assert "ends early" in (await bench.get("/")).text


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "text/html"])
async def test_a_bomb_does_not_go_off(bench: Bench, kind: str) -> None:
    squeeze = zlib.compressobj(9, wbits=31)
    packed = b"".join(squeeze.compress(b"\x20" * 1_000_000) for _ in range(60)) + squeeze.flush()
    bench.origin.routes["/"] = reply(packed, 200, "Content-Encoding: gzip", kind=kind)
    before = time.monotonic()
    outcome = await bench.get("/")
    assert time.monotonic() - before < 5
    assert outcome.structured is not None
    assert outcome.structured["size_bytes"] <= READ_BYTES
    assert outcome.structured["complete"] is False
    if kind == "application/octet-stream":
        assert outcome.failed
        assert "unpacks to more than 100 times" in outcome.text


async def test_other_codings_stay_packed(bench: Bench) -> None:
    bench.origin.routes |= {
        "/br": reply(b"\x0b\x02", 200, "Content-Encoding: br"),
        "/twice": reply(gzip.compress(gzip.compress(b"x")), 200, "Content-Encoding: gzip, gzip"),
        "/bad": reply(b"not packed at all", 200, "Content-Encoding: gzip"),
    }
    assert "packed as br" in (await bench.get("/br")).text
    assert "packed as gzip, gzip" in (await bench.get("/twice")).text
    bad = await bench.get("/bad")
    assert bad.failed
    assert "damaged" in bad.text


async def test_long_texts_are_cut(bench: Bench) -> None:
    text = "é" * 1_000_000
    bench.origin.routes["/"] = reply(text.encode())
    outcome = await bench.get("/")
    assert not outcome.failed
    assert outcome.structured is not None
    assert "body" not in outcome.structured
    assert outcome.structured["complete"] is False
    assert "Only the start" in outcome.text
    assert 0.9 * SHOWN_BYTES < len(outcome.text.encode()) <= SHOWN_BYTES + 1000
    bench.origin.routes["/"] = reply(text[: (KEPT_BYTES - 2) // 2].encode())
    nearly = await bench.get("/")
    assert nearly.structured is not None
    assert nearly.structured["complete"] is False
    assert nearly.structured["size_bytes"] == KEPT_BYTES - 2


async def test_structured_results_are_bounded(bench: Bench) -> None:
    many = [f"X-{number}: {'v' * 4000}" for number in range(20)]
    bodies = [b"\x01" * 60_000, b'"' * 65_000, b"x" * 65_536, json.dumps(["\x01" * 10_000]).encode()]
    for body in bodies:
        for kind in ("text/plain", "text/html", "application/json"):
            bench.origin.routes["/"] = reply(body, 200, *many, kind=kind)
            outcome = await bench.get("/")
            size = len(json.dumps(outcome.structured, ensure_ascii=False).encode())
            assert size <= STRUCTURED_BYTES
            assert outcome.structured is not None
            assert outcome.structured["status"] == 200


@pytest.mark.parametrize(
    "text", ["{", "NaN", "[Infinity]", "1e999", '"\\ud800"', "[" * 200 + "]" * 200, "[" * 100_000, "1" * 5000]
)
async def test_json_that_programs_can_not_read_stays_text(bench: Bench, text: str) -> None:
    bench.origin.routes["/"] = reply(text.encode(), kind="application/problem+json")
    outcome = await bench.get("/")
    assert not outcome.failed
    assert outcome.structured is not None
    assert "json" not in outcome.structured
    assert outcome.text.endswith(text[-50:])


BINARY = [
    (b"\x89PNG\r\n\x1a\n\0", "image/png"),
    (b"a\0b", "text/plain"),
    (b"\xff\xfe\xfd", ""),
    (b"plain", "application/octet-stream"),
]


@pytest.mark.parametrize(("content", "kind"), BINARY)
async def test_binary_content_is_measured(bench: Bench, content: bytes, kind: str) -> None:
    bench.origin.routes |= {"/": reply(content, kind=kind), "/big": reply(content * 100_000, kind=kind)}
    small, big = (await bench.get("/")).structured, (await bench.get("/big")).structured
    assert small is not None
    assert big is not None
    assert small["kind"] == big["kind"] == "binary"
    assert small["base64"] == base64.b64encode(content).decode()
    assert "base64" not in big
    if kind != "text/plain":
        assert big["sha256"] == hashlib.sha256(content * 100_000).hexdigest()


TEXTS = [
    ("Grüße".encode("latin-1"), "text/plain; charset=ISO-8859-1", "Grüße"),
    ("日本".encode("shift_jis"), 'text/plain; charset="Shift_JIS"', "日本"),
    ("é".encode("utf-16"), "text/plain; charset=utf-16", "é"),
    (b"\xef\xbb\xbfx", "text/plain", "x"),
    (b"x\xff", "text/plain; charset=utf-8", "x\ufffd"),
    (b"eJzLSM3JyQcABiwCFQ==", "text/plain; charset=base64", "eJzLSM3JyQcABiwCFQ=="),
    (b"abc", "text/plain; charset=rot13", "abc"),
    (b"plain", "", "plain"),
    ("<meta charset=latin-1><p>Grüße".encode("latin-1"), "text/html", "Grüße"),
]


@pytest.mark.parametrize(("content", "kind", "text"), TEXTS)
async def test_character_sets(bench: Bench, content: bytes, kind: str, text: str) -> None:
    bench.origin.routes["/"] = reply(content, kind=kind)
    assert (await bench.get("/")).text.endswith(f"\n\n{text}")


async def test_pages_become_text(bench: Bench) -> None:
    page = b"<html><title>T</title><script>evil()</script><p hidden>psst</p><p>Hello <a href='/x'>you</a></p>"
    bench.origin.routes["/"] = reply(page, kind="text/html; charset=utf-8")
    outcome = await bench.get("/")
    assert outcome.text.endswith("\n\nT\nHello you (/x)")
    assert outcome.structured is not None
    assert (outcome.structured["text"], outcome.structured["body"]) == ("T\nHello you (/x)", page.decode())
    assert (await bench.get("/", raw=True)).text.endswith(page.decode())


async def test_chunks_and_bodies_that_end_with_the_connection(bench: Bench) -> None:
    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")

    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\n yo\r\n0\r\nT: 1\r\n\r\n"
    bench.origin.routes |= {"/chunks": chunks, "/close": close}
    assert (await bench.get("/chunks")).text.endswith("hello yo")
    assert (await bench.get("/close")).text.endswith("until the end")


async def test_all_of_it_has_one_deadline(bench: Bench) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nstart")
        for _ in range(100):
            await asyncio.sleep(0.05)
            writer.write(b".")
            await writer.drain()

    async def informs(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(100):
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    bench.origin.routes |= {"/": drip, "/informs": informs}
    for path in ("/", "/informs"):
        before = time.monotonic()
        outcome = await bench.get(path, timeout_s=0.3)
        assert time.monotonic() - before < 2
        assert outcome.failed
    slow = await bench.get("/", timeout_s=0.3)
    assert "the time was up" in slow.text
    assert "\n\nstart." in slow.text


async def test_headers_without_end_are_refused(bench: Bench) -> None:
    bench.origin.routes["/"] = b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 500_000 + b"\r\n\r\n"
    outcome = await bench.get("/")
    assert outcome.failed
    assert "not HTTP" in outcome.text


async def test_many_calls_at_once(bench: Bench) -> None:
    bench.origin.routes["/"] = reply(b"ok")
    outcomes = await asyncio.gather(*(bench.get(f"/?{number}") for number in range(50)))
    assert not any(outcome.failed for outcome in outcomes)
    assert len({request.path for request in bench.origin.seen}) == 50


def test_the_tools_say_what_they_are() -> None:
    assert list(TOOLS) == ["get", "request"]
    assert TOOLS["get"]["annotations"]["readOnlyHint"] is True
    assert TOOLS["request"]["annotations"]["destructiveHint"] is True
    assert all(tool["annotations"]["openWorldHint"] for tool in TOOLS.values())
    assert all(tool["inputSchema"]["additionalProperties"] is False for tool in TOOLS.values())
