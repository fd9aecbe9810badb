"""Both clients: what each method sends, how errors come back, waiting, and following a task over broken streams."""

import asyncio
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest
from fastapi.routing import APIRoute

from interlock.app import Control
from interlock.client import AsyncClient, Client, streams
from interlock.model import (
    BindingChanged,
    DatabaseUnavailable,
    Exhausted,
    InterlockError,
    NotFound,
    ServerUnavailable,
    Unauthorized,
    Unavailable,
    UserError,
    catalog,
)
from interlock.server import create_app

URL = "http://127.0.0.1:7440"
TOKEN = "ilk_0123456789_abcdefghijklmnopqrstuvwxyzABCDEF"
HASH = "a" * 64
Answering = Callable[[httpx.Request], httpx.Response]

# every method, what it is called with, and the request that it makes
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, str, Any]] = [
    ("submit", ("hi",), {"agent": "w", "priority": 0, "delay": "5s"}, "POST", "/api/v1/tasks",
     {"text": "hi", "agent": "w", "priority": 0, "delay": "5s"}),
    ("tasks", (), {"state": "queued", "cursor": "abcd"}, "GET", "/api/v1/tasks?state=queued&cursor=abcd&limit=50", None),
    ("task", ("abcd",), {}, "GET", "/api/v1/tasks/abcd", None),
    ("task_calls", ("abcd",), {}, "GET", "/api/v1/tasks/abcd/calls", None),
    ("export_task", ("abcd",), {"run": 2}, "GET", "/api/v1/tasks/abcd/export?run=2", None),
    ("cancel", ("abcd",), {}, "POST", "/api/v1/tasks/abcd/cancel", None),
    ("retry", ("abcd",), {"reason": "x"}, "POST", "/api/v1/tasks/abcd/retry", {"reason": "x"}),
    ("resolve", ("abcd", "accept"), {"reason": "x"}, "POST", "/api/v1/tasks/abcd/resolve",
     {"resolution": "accept", "reason": "x"}),
    ("undo_task", ("abcd",), {"dry_run": True}, "POST", "/api/v1/tasks/abcd/undo?dry_run=true", None),
    ("approvals", (), {}, "GET", "/api/v1/approvals?all=false", None),
    ("approval", ("abcd",), {}, "GET", "/api/v1/approvals/abcd", None),
    ("decide", ("abcd", "deny"), {"binding_sha256": HASH, "reason": "no"}, "POST", "/api/v1/approvals/abcd/decision",
     {"decision": "deny", "binding_sha256": HASH, "reason": "no"}),
    ("call", ("abcd",), {}, "GET", "/api/v1/calls/abcd", None),
    ("undo_call", ("abcd",), {}, "POST", "/api/v1/calls/abcd/undo?dry_run=false", None),
    ("resolve_call", ("abcd", "done"), {"reason": "x"}, "POST", "/api/v1/calls/abcd/resolve",
     {"outcome": "done", "reason": "x"}),
    ("which", ("abcd",), {}, "GET", "/api/v1/ids/abcd", None),
    ("audit", (), {"task_id": "abcd"}, "GET", "/api/v1/audit?task=abcd&limit=100", None),
    ("verify_audit", ((3, HASH),), {}, "GET", f"/api/v1/audit/verify?number=3&link={HASH}", None),
    ("export_audit", (), {}, "GET", "/api/v1/audit/export", None),
    ("events", ("abcd",), {}, "GET", "/api/v1/tasks/abcd/events", None),
    ("halt", (), {"reason": "smoke"}, "POST", "/api/v1/halt", {"scope": "all", "reason": "smoke"}),
    ("resume", ("agent:w",), {}, "POST", "/api/v1/resume", {"scope": "agent:w"}),
    ("agents", (), {}, "GET", "/api/v1/agents", None),
    ("agent", ("w",), {}, "GET", "/api/v1/agents/w", None),
    ("tools", (), {}, "GET", "/api/v1/tools", None),
    ("tool", ("git.log",), {}, "GET", "/api/v1/tools/git.log", None),
    ("pin", ("a/b c",), {}, "POST", "/api/v1/tools/a%2Fb%20c/pin", None),
    ("pin", ("git",), {"seen": {"git.log": "a"}}, "POST", "/api/v1/tools/git/pin", {"seen": {"git.log": "a"}}),
    ("restart_tools", ("git",), {}, "POST", "/api/v1/tools/git/restart", None),
    ("artifact", ("c1", "abcd"), {}, "GET", "/api/v1/calls/c1/artifacts/abcd", None),
    ("create_token", ("w",), {"expires": "30d"}, "POST", "/api/v1/tokens", {"agent": "w", "expires": "30d"}),
    ("tokens", (), {}, "GET", "/api/v1/tokens", None),
    ("schedules", (), {}, "GET", "/api/v1/schedules", None),
    ("pause_schedule", ("s",), {}, "POST", "/api/v1/schedules/s/pause", None),
    ("resume_schedule", ("s",), {}, "POST", "/api/v1/schedules/s/resume", None),
    ("trigger_schedule", ("s",), {}, "POST", "/api/v1/schedules/s/trigger", None),
    ("triggers", (), {}, "GET", "/api/v1/triggers", None),
    ("deliver", ("t", b'{"a": 1}', {"X-Proof": "x"}), {}, "POST", "/api/v1/triggers/t", {"a": 1}),
    ("revoke_token", ("0123456789",), {}, "POST", "/api/v1/tokens/0123456789/revoke", None),
    ("status", (), {}, "GET", "/api/v1/status", None),
    ("ready", (), {}, "GET", "/readyz", None),
    ("metrics", (), {}, "GET", "/metrics", None),
    ("shutdown", (), {}, "POST", "/api/v1/shutdown", None),
]  # fmt: skip
END = "event: end\ndata: {}\n\n"
ANSWER = {"items": [], "kind": "task", "accepted": [], "id": "abcd"}


def event(name: str, data: Any) -> str:
    return f": beat\n\nid: x\nevent: {name}\ndata: {json.dumps(data)}\n\n"


def record(number: int) -> str:
    return event("record", {"id": f"r{number}", "event": "call.done"})


def problem(error: InterlockError, status: int) -> httpx.Response:
    body = {"code": error.code, "detail": error.message, "hint": error.next_step, "status": status,
            "retryable": error.retryable}  # fmt: skip
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})


def opened(answering: Answering, **given: Any) -> Client:
    return Client(URL, TOKEN, transport=httpx.MockTransport(answering), **given)


def replying(*texts: str | Exception) -> Answering:
    """One stream after the other; the last one again and again."""
    left = list(texts)

    def answer(request: httpx.Request) -> httpx.Response:
        text = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(text, Exception):
            raise text
        return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})

    return answer


async def result_of(client: Client | AsyncClient, method: str, args: Any, named: Any) -> Any:
    """What a method gives, whatever kind it is."""
    found = getattr(client, method)(*args, **named)
    if inspect.isawaitable(found):
        found = await found
    if inspect.isasyncgen(found):
        return [part async for part in found]
    return list(found) if inspect.isgenerator(found) else found


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(("method", "args", "named", "verb", "url", "body"), CALLS, ids=[call[0] for call in CALLS])
async def test_a_method_makes_its_request(
    kind: type[Client] | type[AsyncClient], method: str, args: Any, named: Any, verb: str, url: str, body: Any
) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if url.endswith("/events"):
            return httpx.Response(200, text=END)
        return httpx.Response(200, json=ANSWER)

    client = kind(URL, TOKEN, transport=httpx.MockTransport(answer))
    await result_of(client, method, args, named)
    assert [(request.method, str(request.url)) for request in seen] == [(verb, URL + url)]
    assert seen[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert (json.loads(seen[0].content) if seen[0].content else None) == body
    assert seen[0].extensions["timeout"]["connect"] == 5.0
    assert seen[0].extensions["timeout"]["read"] >= 10.0


def test_every_method_and_every_route_is_tried() -> None:
    """Nothing the server offers is missing in the client, and nothing in the client asks for what there is not."""
    app = create_app(cast(Control, type("Nothing", (), {"version": "0", "gateway": None})()), token=TOKEN)
    found = [route for route in app.routes if isinstance(route, APIRoute)]
    routes = {(method, route.path_regex) for route in found for method in route.methods or ()}
    untried = {
        (method, regex.pattern)
        for method, regex in routes
        if not any(method == call[3] and regex.match(call[4].partition("?")[0].replace("%2F", "_")) for call in CALLS)
    }
    assert untried == {("GET", "^/healthz$"), ("GET", r"^/api/openapi\.json$"), ("POST", "^/mcp$")}
    methods = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert methods - {"close", "wait"} == {call[0] for call in CALLS}


def test_both_clients_offer_the_same() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if name.startswith("_"):
            continue
        other = inspect.signature(getattr(AsyncClient, name))
        assert other.parameters == inspect.signature(method).parameters, name
        assert inspect.getdoc(getattr(AsyncClient, name)) == inspect.getdoc(method), name


@pytest.mark.parametrize("error", catalog().values(), ids=lambda error: error.code)
def test_an_error_comes_back_as_what_it_was(error: type[InterlockError]) -> None:
    client = opened(lambda request: problem(error("it broke", hint="interlock this"), 499))
    with pytest.raises(InterlockError) as found:
        client.task("abcd")
    assert type(found.value) is error
    assert (found.value.message, found.value.next_step) == ("it broke", "interlock this")


def test_an_error_of_a_newer_server_is_the_nearest_one() -> None:
    def body(**given: Any) -> Answering:
        given |= {"code": "made_later", "detail": "it broke"}
        return lambda request: httpx.Response(400, json=given, headers={"Content-Type": "application/problem+json"})

    with pytest.raises(Unavailable, match="it broke"):
        opened(body(retryable=True)).status()
    with pytest.raises(UserError, match="it broke"):
        opened(body(retryable=False)).status()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, text="<h1>not here</h1>", headers={"Content-Type": "text/html"}),
        httpx.Response(200, text="<h1>welcome</h1>", headers={"Content-Type": "text/html"}),
        httpx.Response(200, text="{", headers={"Content-Type": "application/json"}),
        httpx.Response(302, headers={"Location": "http://evil.example/"}),
        httpx.Response(500, text="[]", headers={"Content-Type": "application/problem+json"}),
    ],
)
def test_another_program_on_the_port_is_told_apart(answer: httpx.Response) -> None:
    with pytest.raises(ServerUnavailable, match="no interlock server") as found:
        opened(lambda request: answer).status()
    assert "INTERLOCK_URL" in found.value.next_step


@pytest.mark.parametrize(
    ("failure", "words", "hint"),
    [
        (httpx.ConnectError("refused"), "no interlock server answers at http://127.0.0.1:7440", "interlock up"),
        (httpx.ConnectTimeout("slow"), "did not answer in time", "interlock doctor"),
        (httpx.ReadTimeout("slow"), "did not answer in time", "interlock doctor"),
        (httpx.RemoteProtocolError("cut"), "broke", "interlock status"),
        (httpx.ReadError("cut"), "broke", "interlock status"),
    ],
)
async def test_no_server_is_told_with_what_to_do(failure: Exception, words: str, hint: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise failure

    for client in (opened(fail), AsyncClient(URL, TOKEN, transport=httpx.MockTransport(fail))):
        with pytest.raises(ServerUnavailable, match=words) as found:
            await result_of(client, "status", (), {})
        assert found.value.next_step == hint


def test_a_server_that_is_really_not_there() -> None:
    with Client("http://127.0.0.1:9", TOKEN) as client, pytest.raises(ServerUnavailable) as found:
        client.status()
    assert found.value.next_step == "interlock up"


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("127.0.0.1:7440", TOKEN), ("ftp://127.0.0.1", TOKEN), ("http://", TOKEN), ("http://u:p@127.0.0.1", TOKEN),
        ("http://127.0.0.1:99999", TOKEN), ("http://127.0.0.1?x=1", TOKEN), ("http://[::1", TOKEN),
        (URL, ""), (URL, "a b"), (URL, "a\r\nX: y"), (URL, "schlüssel"),
    ],
)  # fmt: skip
def test_what_can_not_be_an_address_or_a_token_is_refused(url: str, token: str) -> None:
    with pytest.raises(UserError) as found:
        Client(url, token)
    assert token == "" or token not in str(found.value)


@pytest.mark.parametrize("task_id", ["", ".", ".."])
def test_an_id_that_would_be_another_path_is_refused(task_id: str) -> None:
    with pytest.raises(UserError, match="no id"):
        opened(lambda request: httpx.Response(200)).task(task_id)


def test_the_environment_says_where_and_with_what() -> None:
    with Client.from_env({"INTERLOCK_URL": "http://127.0.0.1:1234/", "INTERLOCK_TOKEN": f" {TOKEN}\n"}) as client:
        assert client._target.url == "http://127.0.0.1:1234"
        assert client._target.token == TOKEN
        assert TOKEN not in repr(client._target)
    with Client.from_env({"INTERLOCK_TOKEN": TOKEN}) as client:
        assert client._target.url == URL
    with pytest.raises(Unauthorized, match="INTERLOCK_TOKEN is not set"):
        Client.from_env({"INTERLOCK_TOKEN": " "})


def test_a_server_on_this_machine_is_not_asked_through_a_proxy() -> None:
    for url, trusts in (
        (URL, False),
        ("http://localhost", False),
        ("http://[::1]:1", False),
        ("https://x.example", True),
    ):
        with Client(url, TOKEN) as client:
            assert client._http.trust_env is trusts


def test_each_record_comes_once_over_streams_that_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FIRST_PAUSE_S", 0.001)
    state = event("state", {"event": "state", "state": "running"})
    answer = replying(
        record(1) + state + 'id: r2\nevent: record\ndata: {"id": "r2"',  # cut in the middle of an event
        httpx.ReadError("cut"),
        record(1) + state + record(2),
        event("problem", {"code": "database_unavailable", "detail": "gone", "retryable": True}),
        record(1) + record(2) + record(3) + event("state", {"event": "state", "state": "completed"}) + END + record(4),
    )
    found = list(opened(answer).events("abcd"))
    assert [entry.get("id") or entry["state"] for entry in found] == ["r1", "running", "r2", "r3", "completed"]


async def test_the_same_for_the_async_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FIRST_PAUSE_S", 0.001)
    transport = httpx.MockTransport(replying(record(1), record(1) + record(2) + END))
    async with AsyncClient(URL, TOKEN, transport=transport) as client:
        assert [entry["id"] async for entry in client.events("abcd")] == ["r1", "r2"]


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (httpx.ConnectError("refused"), ServerUnavailable),
        ("", ServerUnavailable),
        ("data: {\n\n", ServerUnavailable),
        (record(1), ServerUnavailable),
        (event("problem", {"code": "database_unavailable", "detail": "gone", "retryable": True}), DatabaseUnavailable),
        (event("problem", {"code": "not_found", "detail": "gone", "retryable": False}), NotFound),
    ],
    ids=["refused", "empty", "garbage", "nothing-new", "database", "not-found"],
)
def test_following_gives_up_in_the_end(
    monkeypatch: pytest.MonkeyPatch, last: str | Exception, kind: type[InterlockError]
) -> None:
    monkeypatch.setattr(streams, "FIRST_PAUSE_S", 0.001)
    with pytest.raises(kind):
        list(opened(replying(last)).events("abcd"))


def test_following_an_unknown_task_fails_at_once() -> None:
    with pytest.raises(NotFound):
        next(opened(lambda request: problem(NotFound("no"), 404)).events("abcd"))


def looking(*states: str) -> Answering:
    left = list(states)

    def answer(request: httpx.Request) -> httpx.Response:
        state = left.pop(0) if len(left) > 1 else left[0]
        return httpx.Response(200, json={"id": "abcd", "state": state, "state_reason": "because"})

    return answer


async def test_waiting_ends_when_the_task_does_or_a_person_is_needed() -> None:
    assert opened(looking("queued", "completed")).wait("abcd", timeout_s=5)["state"] == "completed"
    assert opened(looking("waiting_approval")).wait("abcd", timeout_s=5)["state"] == "waiting_approval"
    answer = looking("escalated", "running", "failed")
    assert opened(answer).wait("abcd", timeout_s=5, final_only=True)["state"] == "failed"
    async with AsyncClient(URL, TOKEN, transport=httpx.MockTransport(looking("running", "failed"))) as client:
        assert (await client.wait("abcd", timeout_s=5))["state"] == "failed"


async def test_waiting_too_long_says_where_the_task_is() -> None:
    with pytest.raises(Exhausted, match="still running: because") as found:
        opened(looking("running")).wait("abcd", timeout_s=0.05)
    assert found.value.next_step == "interlock tasks watch abcd"
    async with AsyncClient(URL, TOKEN, transport=httpx.MockTransport(looking("running"))) as client:
        with pytest.raises(Exhausted):
            await asyncio.wait_for(client.wait("abcd", timeout_s=0.05), 5)


def test_a_binding_that_changed_can_be_told_from_other_conflicts() -> None:
    client = opened(lambda request: problem(BindingChanged("look again"), 409))
    with pytest.raises(BindingChanged):
        client.decide("abcd", "approve", binding_sha256=HASH)


def test_importing_the_package_costs_next_to_nothing() -> None:
    program = (
        "import sys, time; t = time.process_time(); import interlock; cost = time.process_time() - t;"
        "heavy = {'httpx', 'fastapi', 'pydantic', 'interlock.client', 'interlock.model'} & set(sys.modules);"
        "from interlock import AsyncClient, Client; import interlock.client as room;"
        "print(cost < 0.15, heavy, Client is room.Client, AsyncClient is room.AsyncClient, 'httpx' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60, env=dict(os.environ)
    )
    assert done.stdout.strip() == "True set() True True False"
