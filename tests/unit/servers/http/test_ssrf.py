"""Requests to places that nobody allowed: refused before there is any connection, however they are written."""

import asyncio
from ipaddress import ip_address
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import PUBLIC, Bench, Names, Network, Origin, reply

# PORT is that of a local server, to which names are allowed: a connection would be noticed.
CORPUS = [
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://0x7f.1:PORT/",
    "http://0x7f.0x0.0x0.0x1:PORT/",
    "http://0x7f000001:PORT/",
    "http://2130706433:PORT/",
    "http://017700000001:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.0.0.01:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://127.000.000.001:PORT/",
    "http://0.0.0.0:PORT/",
    "http://0:PORT/",
    "http://0.1:PORT/",
    "http://127.127.127.127:PORT/",
    "http://[::]:PORT/",
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[::ffff:169.254.169.254]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[64:ff9b::7f00:1]:PORT/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2001:0:7f00:1::]:PORT/",
    "http://[fe80::1%25lo]:PORT/",
    "http://[::1%lo]:PORT/",
    "http://[fd00:ec2::254]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://100.100.100.200/",
    "http://10.0.0.1/",
    "http://192.168.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://allowed.example@127.0.0.1:PORT/",
    "http://allowed.example:80@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@allowed.example/",
    "http://127.0.0.1:PORT?@allowed.example/",
    "http://127.0.0.1:PORT/@allowed.example/",
    "http://allowed.example\\@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT\\@allowed.example/",
    "http://127.0.0.1:PORT\\.allowed.example/",
    "http://allowed.example.evil.test:PORT/",
    "http://evil-allowed.example:PORT/",
    "http://evilallowed.example:PORT/",
    "http://sub.allowed.example:PORT/",
    "http://allowed.example.:PORT/",
    "http://allowed.example%00.evil.test:PORT/",
    "http://allowed%2eexample:PORT/",
    "http://127%2e0%2e0%2e1:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://127.0.0.1%09:PORT/",
    "http://127.0.0\t.1:PORT/",
    "http://127.0.0.1\n:PORT/",
    "http://127.0.0.1\r\n:PORT/",
    "\thttp://127.0.0.1:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://１２７.０.０.１:PORT/",
    "http://127。0。0。1:PORT/",
    "http://127．0．0．1:PORT/",
    "http://loc\u00adalhost:PORT/",
    "http://ⓛocalhost:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST:PORT/",
    "http://localhost.:PORT/",
    "http://localhost6:PORT/",
    "http://localhost.localdomain:PORT/",
    "http://ip6-localhost:PORT/",
    "http://127.0.0.1.nip.io:PORT/",
    "gopher://127.0.0.1:PORT/_GET",
    "gopher://allowed.example:PORT/_GET",
    "file:///etc/passwd",
    "file://allowed.example/etc/passwd",
    "ftp://allowed.example:PORT/",
    "dict://allowed.example:PORT/",
    "ldap://allowed.example:PORT/",
    "tftp://allowed.example:PORT/",
    "data:text/html,hello",
    "javascript:alert(1)",
    "http:127.0.0.1:PORT",
    "http:\\\\127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "127.0.0.1:PORT",
    "http://allowed.example:22/",
    "http://allowed.example:443/",
    "https://allowed.example:80/",
    "http://allowed.example:0PORT/",
    "http://allowed.example:PORT:80/",
    "http://allowed.example:65536/",
    "http://allowed.example: PORT/",
    "http://allowed.example:PORT\r\nHost: evil/",
    "http://allowed.example/\r\nX-Injected: 1",
    "http://allowed.example/" + "a" * 10_000,
    "http://" + "a" * 4000 + ".allowed.example/",
]


@pytest.mark.parametrize("wide", [False, True], ids=["one-host", "all-names"])
@pytest.mark.parametrize("url", CORPUS)
async def test_no_connection_is_made(trap: Bench, url: str, wide: bool) -> None:
    trap.names = Names()
    trap.names.known |= {
        name: ["127.0.0.1"]
        for name in (
            "localhost6",
            "localhost.localdomain",
            "ip6-localhost",
            "127.0.0.1.nip.io",
            "sub.allowed.example",
            "allowed.example.evil.test",
            "evil-allowed.example",
            "evilallowed.example",
        )
    }
    if wide:
        trap.allow = [f"*:{trap.origin.port}", "*"]
    for tool, args in (("get", {}), ("request", {"method": "POST", "body": "x"})):
        outcome = await trap.call(tool, {"url": url.replace("PORT", str(trap.origin.port)), **args})
        assert outcome.failed
        assert outcome.text.startswith(("Not sent: ", "Wrong arguments"))
        assert outcome.structured is not None
        assert "in_doubt" not in outcome.structured
    assert trap.network.asked == []
    assert trap.origin.connections == 0


ANSWERS = [
    ["127.0.0.1"],
    ["::1"],
    ["169.254.169.254"],
    ["::ffff:127.0.0.1"],
    ["10.0.0.1"],
    ["0.0.0.0"],
    ["64:ff9b::7f00:1"],
    [PUBLIC, "127.0.0.1"],
    ["127.0.0.1", PUBLIC],
    [PUBLIC, "2606:4700::1", "fd00:ec2::254"],
    ["fe80::1%lo"],
    ["not an address"],
    [],
    [f"8.8.{number}.8" for number in range(40)],
]


@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_name_is_refused_for_any_of_its_addresses(trap: Bench, answer: list[str]) -> None:
    trap.names = Names(allowed_example=answer)
    outcome = await trap.call("get", {"url": f"http://allowed.example:{trap.origin.port}/"})
    assert outcome.failed
    assert trap.network.asked == []
    assert trap.origin.connections == 0


@pytest.mark.parametrize("answer", [["169.254.169.254"], ["::ffff:10.0.0.1"], ["0.0.0.0"], ["100.100.100.200"]])
async def test_private_networks_are_no_metadata_services(trap: Bench, answer: list[str]) -> None:
    trap.names, trap.private = Names(allowed_example=answer), True
    assert (await trap.call("get", {"url": f"http://allowed.example:{trap.origin.port}/"})).failed
    assert trap.network.asked == []


async def test_a_name_that_changes_its_mind_is_asked_once(bench: Bench) -> None:
    bench.origin.routes["/"] = reply(b"ok")
    bench.names = Names(site_example=[[PUBLIC], ["127.0.0.1"]])
    assert not (await bench.get("/")).failed
    assert bench.names.asked == ["site.example"]
    assert bench.network.asked == [(PUBLIC, 80)]
    refused = await bench.get("/")
    assert refused.failed
    assert "this machine itself" in refused.text
    assert bench.network.asked == [(PUBLIC, 80)]


async def test_proxies_of_the_environment_play_no_part(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    bench.origin.routes["/"] = reply(b"ok")
    assert not (await bench.get("/")).failed
    assert bench.network.asked == [(PUBLIC, 80)]


HOSTS = st.sampled_from(
    [
        "allowed.example",
        "sub.wild.example",
        "wild.example",
        "evil.test",
        "127.0.0.1",
        "10.1.0.7",
        "10.2.0.7",
        "localhost",
        "[::1]",
        "127.1",
        "169.254.169.254",
        "[::ffff:10.1.0.7]",
        "allowed.example.",
        "①27.0.0.1",
        "a@allowed.example",
        "allowed.example\\@evil.test",
    ]
)
PORTS = st.sampled_from(["", ":80", ":443", ":9000", ":8443", ":22", ":"])
URLS = st.one_of(
    st.tuples(
        st.sampled_from(["http://", "https://", "HTTP://", "ftp://", "//", ""]), HOSTS, PORTS, st.text(max_size=4)
    ).map("".join),
    st.text(max_size=30).map(lambda text: f"http://{text}"),
)
LEADS_TO = st.lists(
    st.sampled_from([PUBLIC, "8.8.8.8", "2606:4700::1", "127.0.0.1", "10.1.0.9", "10.3.0.9", "::1", "169.254.169.254"]),
    max_size=3,
)


class NoNetwork(Network):
    async def connect_tcp(self, host: str, port: int, *more: Any, **named: Any) -> Any:
        import httpcore

        self.asked.append((host, port))
        raise httpcore.ConnectError("nobody there")


def test_connections_go_to_allowed_hosts_at_permitted_addresses() -> None:
    with asyncio.Runner() as runner:

        @settings(max_examples=400, deadline=None)
        @given(URLS, LEADS_TO)
        def holds(url: str, leads_to: list[str]) -> None:
            network, looked_up = NoNetwork(), []

            async def resolve(host: str, port: int) -> list[str]:
                looked_up.append((host, port))
                return leads_to

            allow = ["allowed.example", "*.wild.example:8443", "10.1.0.0/16:9000"]
            bench = Bench(Origin(), network, cast(Any, resolve), allow)
            assert runner.run(bench.call("get", {"url": url})).failed
            check(looked_up, network.asked, leads_to)

        holds()


def check(looked_up: list[tuple[str, int]], connected: list[tuple[str, int]], leads_to: list[str]) -> None:
    """What was looked up was allowed by name; what was connected to came from there, or was allowed as an address."""
    for host, port in looked_up:
        plain = host == "allowed.example" and port in (80, 443)
        assert plain or (host.endswith(".wild.example") and port == 8443)
    for text, port in connected:
        if looked_up:
            assert looked_up == [(looked_up[0][0], port)]
            assert text in leads_to
            assert all(ip_address(other).is_global for other in leads_to)
        else:
            assert text.startswith("10.1.")
            assert port == 9000
