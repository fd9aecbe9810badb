"""Who may call what: every route that there is, foreign hosts and pages, and what goes out with every answer."""

import inspect
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from interlock.app import Control, Fleet, Tokens, Triggers
from interlock.model import UserError
from interlock.server import OPEN_PATHS, create_app

UNSAFE = {"Content-Type": "application/json"}
OPEN = ("get_healthz", "get_readyz", "post_triggers_one")  # the last one asks for a proof of its own


def inventory(app: FastAPI) -> list[tuple[str, str]]:
    """Every method and path; a route of a kind that is not understood fails the test."""
    found = []
    for route in app.routes:
        assert isinstance(route, APIRoute), f"{route} is no plain route: its access can't be checked"
        path = route.path
        for name in route.param_convertors:
            path = path.replace("{" + name + "}", "0123abcd")
        found += [(method, path) for method in sorted(route.methods or ())]
    return found


def test_the_inventory_sees_the_routes(app: FastAPI) -> None:
    found = inventory(app)
    assert len(found) >= 30
    assert ("POST", "/api/v1/tasks") in found
    assert {path for _, path in found if path in OPEN_PATHS} == OPEN_PATHS == {"/healthz", "/readyz"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic cGVyc29uOmFkbWlu"},
        {"Authorization": "ilk_0123456789_abcdefghijklmnopqrstuvwxyzABCDEF"},
        {"Authorization": "Bearer ilk_0123456789_abcdefghijklmnopqrstuvwxyzABCDEf"},
        {"Cookie": "token=ilk_0123456789_abcdefghijklmnopqrstuvwxyzABCDEF"},
    ],
)
async def test_every_route_needs_the_token(
    app: FastAPI, control: Any, stranger: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for method, path in inventory(app):
        answer = await stranger.request(method, path, headers=headers)
        if path in OPEN_PATHS:
            assert answer.status_code == 200
            continue
        assert answer.status_code == 401, f"{method} {path} answers {answer.status_code}"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["code"] == "unauthorized"
    assert [name for name, _ in control.asked] == ["ready"], "the control plane was asked"


async def test_nothing_of_a_body_is_read_before_the_token_was_checked(stranger: httpx.AsyncClient) -> None:
    for content in (b"{", b"x" * 3_000_000):
        answer = await stranger.post("/api/v1/tasks", content=content, headers=UNSAFE)
        assert answer.status_code == 401


async def test_a_token_in_the_url_is_no_token(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/api/v1/status?token=ilk_0123456789_abcdefghijklmnopqrstuvwxyzABCDEF")
    assert answer.status_code == 401


async def test_what_the_token_does_is_done_by_the_admin(http: httpx.AsyncClient, control: Any) -> None:
    await http.post("/api/v1/tasks/0123abcd/cancel")
    assert control.asked == [("cancel", ("0123abcd", "person:admin"))]


def test_a_short_token_is_refused(control: Any) -> None:
    with pytest.raises(UserError, match="fewer than 16"):
        create_app(control, token="short")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7440", "127.0.0.1.evil.example", "localhost.", "x/health?", "x/health#", "x?a=",
             "127.0.0.1@evil", "[::2]", "127.0.0.1:", "127.0.0.1:7440x", "0.0.0.0:7440", ""]
)  # fmt: skip
async def test_other_hosts_are_refused(http: httpx.AsyncClient, host: str) -> None:
    for path in ("/healthz", "/api/v1/status", "/nowhere"):
        answer = await http.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "Host" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost:7440", "LOCALHOST", "[::1]:7440", "[::1]"])
async def test_the_loopback_interface_is_ours(http: httpx.AsyncClient, host: str) -> None:
    assert (await http.get("/api/v1/status", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:7441"},
        {"Origin": "http://localhost:7440"},
        {"Origin": "http://127.0.0.1:7440.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_pages_of_other_origins_change_nothing(
    http: httpx.AsyncClient, control: Any, headers: dict[str, str]
) -> None:
    answer = await http.post("/api/v1/halt", json={"scope": "all", "reason": "x"}, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == "denied"
    assert control.asked == []


async def test_pages_of_other_origins_follow_no_stream(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v1/tasks/0123abcd/events", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


async def test_our_own_page_may(http: httpx.AsyncClient) -> None:
    headers = {"Origin": "http://127.0.0.1:7440", "Sec-Fetch-Site": "same-origin"}
    answer = await http.post("/api/v1/halt", json={"scope": "all", "reason": "x"}, headers=headers)
    assert answer.status_code == 200
    assert not any(name.startswith("access-control") for name in answer.headers)


async def test_preflights_get_no_leave(http: httpx.AsyncClient) -> None:
    headers = {"Origin": "http://127.0.0.1:7440", "Access-Control-Request-Method": "POST"}
    answer = await http.request("OPTIONS", "/api/v1/tasks", headers=headers)
    assert answer.status_code == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/healthz", {}), ("/api/v1/status", {}), ("/nowhere", {}), ("/healthz", {"Host": "evil"}), ("/metrics", {}),
     ("/api/v1/tasks/0123abcd/events", {})],
)  # fmt: skip
async def test_every_answer_has_the_security_headers(
    http: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    answer = await http.get(path, headers=headers)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_zero_characters_in_the_url_are_refused(http: httpx.AsyncClient) -> None:
    for path in ("/api/v1/tasks/%00", "/api/v1/tasks?agent=%00"):
        assert (await http.get(path)).status_code == 400


def test_the_fake_is_shaped_like_the_real_one(control: Any) -> None:
    """What the tests stand on must not drift from what the routes are given."""
    pairs = ((control, Control), (control.fleet, Fleet), (control.tokens, Tokens), (control.triggers, Triggers))
    for fake, real in pairs:
        for name, method in inspect.getmembers(type(fake), inspect.isfunction):
            if not name.startswith("_"):
                assert inspect.signature(method) == inspect.signature(getattr(real, name)), name


async def test_openapi_describes_every_route_and_takes_no_command(app: FastAPI, http: httpx.AsyncClient) -> None:
    described = (await http.get("/api/openapi.json")).json()
    routes = {(m.lower(), r.path) for r in app.routes if isinstance(r, APIRoute) for m in r.methods or ()}
    assert {(m, path) for path, found in described["paths"].items() for m in found} == routes
    fields = set()
    for found in described["paths"].values():
        for operation in found.values():
            secured = operation.get("security")
            expected: list[dict[str, list[str]]] = (
                [{"agent": []}] if operation["operationId"] == "post_mcp" else [{"token": []}]
            )
            assert secured == expected or operation["operationId"] in OPEN
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            fields |= set(body.get("properties", {}))
    assert {"text", "agent", "binding_sha256"} <= fields
    assert not fields & {"command", "args", "env", "cwd", "code", "script"}


def test_operations_have_names_of_their_own(app: FastAPI) -> None:
    names = [route.operation_id for route in app.routes if isinstance(route, APIRoute)]
    assert len(set(names)) == len(names)
