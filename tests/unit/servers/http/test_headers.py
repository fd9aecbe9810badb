"""Headers that callers may set, and secrets that only one host and no model ever sees."""

import base64
from typing import Any

import pytest

from interlock.model import ConfigError
from interlock.servers.http.allow import AllowList
from interlock.servers.http.credentials import Vault
from interlock.servers.http.headers import Received

from .conftest import Bench, redirect, reply

SECRET = 'sk-"very\\secret"-4711'
REFUSED = [
    {"Host": "evil.test"},
    {"hOsT": "evil.test"},
    {"Content-Length": "5"},
    {"Transfer-Encoding": "chunked"},
    {"Connection": "keep-alive"},
    {"Keep-Alive": "1"},
    {"Upgrade": "websocket"},
    {"TE": "trailers"},
    {"Trailer": "X"},
    {"Expect": "100-continue"},
    {"Accept-Encoding": "br"},
    {"Proxy-Authorization": "Basic x"},
    {"Proxy-Connection": "close"},
    {"Proxy-Anything": "x"},
    {"Forwarded": "for=127.0.0.1"},
    {"X-Forwarded-Host": "evil.test"},
    {"X-Real-IP": "127.0.0.1"},
    {"X-HTTP-Method-Override": "DELETE"},
    {"X-Method-Override": "DELETE"},
    {"X-Original-URL": "/admin"},
    {"X-Rewrite-URL": "/admin"},
    {"": "x"},
    {"A B": "x"},
    {"A:": "x"},
    {"A\r\nB": "x"},
    {"Ä": "x"},
    {"A\x00": "x"},
    {"A": "x\r\nHost: evil.test"},
    {"A": "x\nB: y"},
    {"A": "x\r"},
    {"A": "x\x00"},
    {"A": "x\x1f"},
    {"A": "é"},
    {"A": "\u560d\u560ax"},
    {"A": " x"},
    {"A": "x "},
    {"A": "1", "a": "2"},
    {"A": "x" * 9000},
    {f"A{number}": "x" * 8000 for number in range(5)},
    {f"A{number}": "x" for number in range(65)},
]


@pytest.mark.parametrize("headers", REFUSED, ids=lambda headers: repr(headers)[:30])
async def test_headers_that_are_not_the_callers(bench: Bench, headers: dict[str, str]) -> None:
    for tool, more in (("get", {}), ("request", {"method": "POST"})):
        outcome = await bench.call(tool, {"url": "http://site.example/", "headers": headers, **more})
        assert outcome.failed
        assert outcome.text.startswith("Not sent: ")
    assert bench.network.asked == []


async def test_headers_arrive_as_given(bench: Bench) -> None:
    bench.origin.routes["/"] = reply(b"ok")
    given = {"X-Own": "a\tb  c", "User-Agent": "me/1", "Accept": "application/json", "Empty": ""}
    assert not (await bench.get("/", headers=given)).failed
    found = bench.origin.seen[0].headers
    assert {name: found[name.lower()] for name in given if name != "Empty"} == {
        name: value for name, value in given.items() if value
    }
    assert found["host"] == "site.example"
    assert found["accept-encoding"] == "gzip, deflate"
    assert "cookie" not in found


async def test_the_key_of_a_change_goes_along(bench: Bench) -> None:
    bench.origin.routes["/"] = reply(b"ok")
    for method, key, headers in (
        ("POST", "task/1/2", {}),
        ("DELETE", "task/1/3", {}),
        ("GET", "task/1/4", {}),
        ("POST", "task/1/5", {"idempotency-key": "mine"}),
        ("POST", "with\r\nline", {}),
        ("POST", None, {}),
    ):
        await bench.send(method, "/", key, headers=headers)
    keys = [request.headers.get("idempotency-key") for request in bench.origin.seen]
    assert keys[:4] == ["task/1/2", "task/1/3", None, "mine"]
    assert keys[4] is not None
    assert len(keys[4]) == 64
    assert keys[5] is None


async def test_a_secret_goes_to_its_host_only(bench: Bench) -> None:
    bench.headers, bench.env = ["http://site.example=X-Token=TOKEN"], {"TOKEN": SECRET}
    bench.origin.routes |= {
        "/": reply(b"ok"),
        "/there": redirect("http://other.example/back"),
        "/back": redirect("http://site.example/"),
        "/here": redirect("/"),
    }
    await bench.get("/")
    await bench.get("/here")
    await bench.call("get", {"url": "http://other.example/"})
    assert [request.headers.get("x-token") for request in bench.origin.seen] == [SECRET] * 3 + [None]
    bench.origin.seen.clear()
    assert not (await bench.get("/there")).failed
    hosts = [(request.headers["host"], request.headers.get("x-token")) for request in bench.origin.seen]
    assert hosts == [("site.example", SECRET), ("other.example", None), ("site.example", None)]


async def test_a_caller_can_not_replace_it(bench: Bench) -> None:
    bench.headers, bench.env = ["http://site.example=X-Token=TOKEN"], {"TOKEN": SECRET}
    outcome = await bench.get("/", headers={"x-token": "mine"})
    assert outcome.failed
    assert "set by the operator" in outcome.text
    assert bench.network.asked == []


async def test_a_secret_needs_tls_unless_the_operator_says_otherwise(bench: Bench) -> None:
    bench.headers, bench.env = ["site.example=X-Token=TOKEN"], {"TOKEN": SECRET}
    outcome = await bench.get("/")
    assert outcome.failed
    assert "use https" in outcome.text
    assert bench.network.asked == []


BASIC = "Basic " + base64.b64encode(b"me:pass-w0rd!").decode()
ECHOES = [
    (SECRET, SECRET, "text/plain"),
    (SECRET, '{"a": "sk-\\"very\\\\secret\\"-4711"}', "application/json"),
    (SECRET, '{"\\u0073k-\\"very\\\\secret\\"-4711": ["sk-\\"very\\\\secret\\"-4711"]}', "application/json"),
    (SECRET, "q=sk-%22very%5Csecret%22-4711", "text/plain"),
    (SECRET, base64.b64encode(SECRET.encode()).decode(), "text/plain"),
    (SECRET, "<p>s&#107;-&quot;very\\secret&quot;-4711</p>", "text/html"),
    (SECRET, f"\0{SECRET}", "application/octet-stream"),
    (SECRET, "x" * (240 * 1024 - 5) + SECRET + "y" * 900_000, "text/plain"),
    ("Bearer abcdefgh12345", "you sent abcdefgh12345", "text/plain"),
    (BASIC, "you are me:pass-w0rd!", "text/plain"),
    (BASIC, "your password is pass-w0rd!", "text/plain"),
]


@pytest.mark.parametrize(("secret", "echo", "kind"), ECHOES, ids=range(len(ECHOES)))
async def test_an_echo_is_taken_out(bench: Bench, secret: str, echo: str, kind: str) -> None:
    bench.headers, bench.env = ["http://site.example=Authorization=TOKEN"], {"TOKEN": secret}
    bench.origin.routes["/"] = reply(echo.encode(), 200, f"X-Echo: {secret}", kind=kind)
    outcome = await bench.get("/")
    everything = outcome.text + repr(outcome.structured)
    if kind == "application/octet-stream":
        assert outcome.structured is not None
        everything += base64.b64decode(outcome.structured["base64"]).decode()
    for piece in ("very\\secret", 'very\\\\secret"', "very%5Csecret", "abcdefgh", "pass-w0rd", secret[:6] + "\n"):
        assert piece not in everything
    assert base64.b64encode(secret.encode()).decode() not in everything
    assert "[redacted]" in everything


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "--header-env"),
        ("site.example", "--header-env"),
        ("site.example=X-Token", "is not set"),
        ("site.example=X-Token=UNSET", "is not set"),
        ("site.example=Host=TOKEN", "set by this server"),
        ("site.example=X Y=TOKEN", "no name of a header"),
        ("nowhere.test=X-Token=TOKEN", "allow-list"),
        ("site.example:8443=X-Token=TOKEN", "allow-list"),
        ("*.example=X-Token=TOKEN", "no host name"),
        ("ftp://site.example=X-Token=TOKEN", "--header-env"),
        ("site.example=X-Token=SHORT", "characters"),
        ("site.example=X-Token=LINES", "one line"),
    ],
)
def test_credentials_that_can_not_be_used_stop_the_start(text: str, said: str) -> None:
    env = {"TOKEN": SECRET, "SHORT": "abc", "LINES": "abc-secret\r\nX: y"}
    with pytest.raises(ConfigError) as caught:
        Vault.parse([text], env, AllowList.parse(["site.example"]))
    assert said in caught.value.message
    assert "secret" not in caught.value.message


def test_headers_of_answers_are_bounded_and_cookies_keep_their_names() -> None:
    raw: Any = [
        (b"Set-Cookie", b"sid=abc; Path=/"),
        (b"set-cookie", b"t=1"),
        (b"X", b"caf\xc3\xa9\x07"),
        (b"Y", b"\xff"),
    ]
    assert Received.read(raw).to_json() == {
        "set-cookie": "sid=[redacted]; Path=/, t=[redacted]",
        "x": "café\ufffd",
        "y": "\ufffd",
    }
    many = Received.read([(b"h%d" % number, b"v" * 9000) for number in range(500)]).to_json()
    assert len(many) <= 64
    assert sum(map(len, many.values())) <= 16 * 1024
