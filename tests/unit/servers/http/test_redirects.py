"""Redirects: each one is a request of its own, with everything checked again."""

from typing import Any

import pytest

from interlock.model import UserError
from interlock.servers.http.exchange import Request
from interlock.servers.http.headers import Received
from interlock.servers.http.limits import REDIRECTS
from interlock.servers.http.redirects import redirected
from interlock.servers.http.target import parse_target

from .conftest import PUBLIC, Bench, Names, redirect, reply


async def test_a_name_that_changes_its_mind_between_redirects(bench: Bench) -> None:
    bench.origin.routes["/"] = redirect("/secret")
    bench.names = Names(site_example=[[PUBLIC], ["127.0.0.1"]])
    outcome = await bench.get("/")
    assert outcome.failed
    assert "could not be followed" in outcome.text
    assert bench.network.asked == [(PUBLIC, 80)]
    assert [request.path for request in bench.origin.seen] == ["/"]


LOCATIONS = [
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:PORT/",
    "http://[::1]:PORT/",
    "http://localhost:PORT/",
    "http://2130706433:PORT/",
    "//127.0.0.1:PORT/",
    "///127.0.0.1:PORT/",
    "\\\\127.0.0.1:PORT/",
    "/\\127.0.0.1:PORT/",
    "http:\\\\127.0.0.1/",
    "http://site.example@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@site.example/",
    "http://inside.example/",
    "http://site.example:22/",
    "http://not-allowed.example/",
    "https://127.0.0.1/",
    "file:///etc/passwd",
    "gopher://site.example:6379/_x",
    "data:text/html,x",
    "javascript:alert(1)",
    "http://127.0.0.1\t:PORT/",
    "/a b",
    "/%2e%2e/x",
    "http://①②⑦.0.0.1/",
    "http://[::1",
    "/a\x01b",
    "http://" + "a" * 5000,
]


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("status", [302, 307])
async def test_no_redirect_leads_where_nobody_may_go(bench: Bench, location: str, status: int) -> None:
    bench.allow.append("inside.example")
    bench.names = Names(inside_example=["10.0.0.1"])
    bench.origin.routes["/"] = redirect(location.replace("PORT", str(bench.origin.port)), status)
    outcome = await bench.get("/")
    assert outcome.failed
    assert "could not be followed" in outcome.text
    assert bench.network.asked == [(PUBLIC, 80)]
    assert bench.origin.connections == 1


async def test_redirects_end(bench: Bench) -> None:
    bench.origin.routes |= {f"/{number}": redirect(f"/{number + 1}") for number in range(20)}
    bench.origin.routes |= {"/a": redirect("/b"), "/b": redirect("http://site.example/a"), "/self": redirect("")}
    long = await bench.get("/0")
    assert long.failed
    assert f"more than {REDIRECTS}" in long.text
    assert len(bench.origin.seen) == REDIRECTS + 1
    for path in ("/a", "/self"):
        circle = await bench.get(path)
        assert circle.failed
        assert "circle" in circle.text
    assert len(bench.origin.seen) == REDIRECTS + 1 + 2 + 1


async def test_two_locations_are_none(bench: Bench) -> None:
    bench.origin.routes["/"] = reply(b"", 302, "Location: /a", "Location: http://127.0.0.1/")
    assert "several places" in (await bench.get("/")).text


def test_no_redirect_leaves_tls() -> None:
    before = Request("GET", parse_target("https://site.example/"))
    with pytest.raises(UserError, match="without TLS"):
        redirected(before, 302, Received((("location", "http://site.example/"),)))


METHODS = [
    # asked, status, then
    ("GET", 301, "GET"),
    ("GET", 303, "GET"),
    ("HEAD", 303, "HEAD"),
    ("HEAD", 302, "HEAD"),
    ("OPTIONS", 307, "OPTIONS"),
    ("POST", 301, "GET"),
    ("POST", 302, "GET"),
    ("POST", 303, "GET"),
    ("POST", 307, "POST"),
    ("POST", 308, "POST"),
    ("PUT", 302, "PUT"),
    ("PUT", 303, "GET"),
    ("DELETE", 301, "DELETE"),
    ("PATCH", 307, "PATCH"),
]


@pytest.mark.parametrize(("asked", "status", "then"), METHODS)
async def test_the_method_and_the_body_after_a_redirect(bench: Bench, asked: str, status: int, then: str) -> None:
    bench.origin.routes |= {"/": redirect("/next", status), "/next": reply(b"there")}
    body: dict[str, Any] = {} if asked in ("GET", "HEAD", "OPTIONS") else {"json": [1]}
    headers = {"Authorization": "Bearer mine", "X-Own": "1"}
    outcome = await bench.send(asked, "/", "key-1", headers=headers, **body)
    assert not outcome.failed, outcome.text
    first, second = bench.origin.seen
    assert (first.method, second.method) == (asked, then)
    assert second.headers["authorization"] == "Bearer mine"
    kept = bool(body) and then == asked
    assert second.body == (b"[1]" if kept else b"")
    assert ("idempotency-key" in second.headers) is kept
    assert ("content-type" in second.headers) is kept
    assert outcome.structured is not None
    assert outcome.structured["redirects"] == [{"status": status, "method": asked, "url": "http://site.example/"}]
    assert outcome.structured["final_url"] == "http://site.example/next"


async def test_another_origin_gets_no_secrets(bench: Bench) -> None:
    bench.origin.routes |= {"/": redirect("http://other.example/next"), "/next": reply(b"there")}
    headers = {"Authorization": "Bearer mine", "Cookie": "a=b", "X-Api-Key": "k", "Accept": "text/plain"}
    assert not (await bench.get("/", headers=headers)).failed
    second = bench.origin.seen[1].headers
    assert second["host"] == "other.example"
    assert second["accept"] == "text/plain"
    assert not {"authorization", "cookie", "x-api-key"} & set(second)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_change_is_not_sent_again_to_another_origin(bench: Bench, method: str) -> None:
    bench.origin.routes |= {"/": redirect("http://other.example/next", 307), "/next": reply(b"there")}
    outcome = await bench.send(method, "/", body="x")
    assert outcome.failed
    assert "not sent again to another place" in outcome.text
    assert [request.headers["host"] for request in bench.origin.seen] == ["site.example"]


async def test_redirects_can_be_looked_at_instead(bench: Bench) -> None:
    bench.origin.routes["/"] = redirect("http://169.254.169.254/")
    outcome = await bench.get("/", follow_redirects=False)
    assert not outcome.failed
    assert outcome.structured is not None
    assert outcome.structured["status"] == 302
    assert outcome.structured["headers"]["location"] == "http://169.254.169.254/"


async def test_a_redirect_without_a_place_is_an_answer(bench: Bench) -> None:
    bench.origin.routes |= {"/": reply(b"choose", 302), "/300": reply(b"x", 300, "Location: /next")}
    for path, status in (("/", 302), ("/300", 300)):
        found = (await bench.get(path)).structured
        assert found is not None
        assert found["status"] == status
