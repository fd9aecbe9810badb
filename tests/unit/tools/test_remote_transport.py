"""Which way requests to a remote server go."""

import ssl

import httpx2
import pytest

from interlock.tools.remote_transport import Transport, transport_to

FAR = httpx2.URL("https://tools.example.com/mcp")
NEAR = httpx2.URL("http://127.0.0.1:8000/mcp")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def way_to(url: httpx2.URL) -> Transport | None:
    return transport_to(url, ssl.create_default_context(), 4, 1.0)


def test_without_a_proxy_it_is_ours() -> None:
    assert isinstance(way_to(FAR), Transport)
    assert isinstance(way_to(NEAR), Transport)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_left_to_httpx2(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://proxy.example.com:3128")
    assert way_to(FAR) is None


def test_what_the_proxy_is_not_for_goes_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    assert isinstance(way_to(NEAR), Transport)
    assert way_to(FAR) is None
