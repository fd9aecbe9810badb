"""What each route asks of the control plane, and how errors and bad bodies are answered."""

import json
import logging
from typing import Any

import httpx
import pytest

from interlock.model import AuditBroken, Conflict, DatabaseUnavailable, DeniedError, Exhausted, NotFound, UserError

TASK = {"agent": "writer", "text": "say hello"}
HASH = "a" * 64
ADMIN = "person:admin"


async def test_submitting_makes_a_task_once(http: httpx.AsyncClient, control: Any) -> None:
    first = await http.post("/api/v1/tasks", json=TASK)
    second = await http.post("/api/v1/tasks", json=TASK)
    assert (first.status_code, second.status_code) == (201, 200)
    assert (first.json()["created"], second.json()["created"]) == (True, False)
    assert first.json()["id"] == second.json()["id"]
    assert control.asked[0] == ("submit", (TASK, ADMIN)), "only what was sent is passed on"


@pytest.mark.parametrize("header", ["order-17", '"order-17"', " order-17 "])
async def test_the_idempotency_key_is_the_dedupe_key(http: httpx.AsyncClient, control: Any, header: str) -> None:
    await http.post("/api/v1/tasks", json=TASK, headers={"Idempotency-Key": header})
    assert control.asked[0][1][0]["dedupe_key"] == "order-17"


async def test_a_dedupe_key_in_the_body_wins(http: httpx.AsyncClient, control: Any) -> None:
    await http.post("/api/v1/tasks", json={**TASK, "dedupe_key": "body"}, headers={"Idempotency-Key": "header"})
    assert control.asked[0][1][0]["dedupe_key"] == "body"


@pytest.mark.parametrize("header", ["", '""', "x" * 201])
async def test_an_idempotency_key_must_be_one(http: httpx.AsyncClient, header: str) -> None:
    answer = await http.post("/api/v1/tasks", json=TASK, headers={"Idempotency-Key": header})
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "asked"),
    [
        ("GET", "/tasks?state=queued&agent=w&cursor=abcd&limit=7", None, 200, ("tasks", ("queued", "w", "abcd", 7))),
        ("GET", "/tasks", None, 200, ("tasks", (None, None, None, 50))),
        ("GET", "/tasks/abcd", None, 200, ("task", ("abcd",))),
        ("GET", "/tasks/abcd/calls", None, 200, ("calls", ("abcd",))),
        ("GET", "/tasks/abcd/export", None, 200, ("export_task", ("abcd", None))),
        ("GET", "/tasks/abcd/export?run=2", None, 200, ("export_task", ("abcd", 2))),
        ("POST", "/tasks/abcd/cancel", None, 200, ("cancel", ("abcd", ADMIN))),
        ("POST", "/tasks/abcd/cancel", {}, 200, ("cancel", ("abcd", ADMIN))),
        ("POST", "/tasks/abcd/retry", None, 200, ("retry", ("abcd", "", ADMIN))),
        ("POST", "/tasks/abcd/retry", {"reason": "anew"}, 201, ("retry", ("abcd", "anew", ADMIN))),
        ("POST", "/tasks/abcd/resolve", {"resolution": "accept", "reason": "fine"}, 200,
         ("resolve", ("abcd", {"resolution": "accept", "reason": "fine"}, ADMIN))),
        ("POST", "/tasks/abcd/undo", None, 201, ("undo", ("abcd", ADMIN, "task", False))),
        ("POST", "/tasks/abcd/undo?dry_run=true", None, 200, ("undo", ("abcd", ADMIN, "task", True))),
        ("GET", "/approvals", None, 200, ("approvals", (True,))),
        ("GET", "/approvals?all=true", None, 200, ("approvals", (False,))),
        ("GET", "/approvals/abcd", None, 200, ("approval", ("abcd",))),
        ("POST", "/approvals/abcd/decision", {"decision": "approve", "binding_sha256": HASH}, 200,
         ("decide", ("abcd", {"decision": "approve", "binding_sha256": HASH}, ADMIN))),
        ("GET", "/calls/abcd", None, 200, ("call", ("abcd",))),
        ("POST", "/calls/abcd/undo?dry_run=1", None, 200, ("undo", ("abcd", ADMIN, "call", True))),
        ("POST", "/calls/abcd/resolve", {"outcome": "done", "reason": "saw it"}, 200,
         ("resolve_call", ("abcd", {"outcome": "done", "reason": "saw it"}, ADMIN))),
        ("GET", "/ids/abcd", None, 200, ("which", ("abcd",))),
        ("GET", "/audit?task=abcd&limit=3", None, 200, ("audit", ("abcd", 3))),
        ("GET", "/audit/verify", None, 200, ("verify_audit", (None,))),
        ("GET", f"/audit/verify?number=4&link={HASH}", None, 200, ("verify_audit", ((4, HASH),))),
        ("POST", "/halt", {"scope": "all", "reason": "smoke"}, 200, ("halt", ("all", "smoke", ADMIN))),
        ("POST", "/halt", {"scope": "all", "reason": "x", "stop": True}, 200, ("halt", ("all", "x", ADMIN, "stops"))),
        ("POST", "/resume", {"scope": "all"}, 200, ("halt", ("all", None, ADMIN))),
        ("GET", "/status", None, 200, ("status", ())),
    ],
)  # fmt: skip
async def test_a_route_asks_the_control_plane(
    http: httpx.AsyncClient, control: Any, method: str, path: str, body: Any, status: int, asked: tuple[str, Any]
) -> None:
    answer = await http.request(method, f"/api/v1{path}", **({} if body is None else {"json": body}))
    assert answer.status_code == status, answer.text
    assert control.asked == [asked]


async def test_agents_tools_metrics_and_export(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/v1/agents")).json() == {"items": [{"name": "writer"}]}
    assert (await http.get("/api/v1/agents/writer")).json() == {"name": "writer"}
    missing = await http.get("/api/v1/agents/wirter")
    assert (missing.status_code, missing.json()["detail"]) == (
        404,
        "there is no agent 'wirter'; configured are: writer",
    )
    assert len((await http.get("/api/v1/tools?server=workspace")).json()["items"]) == 2
    assert (await http.get("/api/v1/tools/workspace.read")).json() == {"tool": "workspace.read"}
    accepted = {"accepted": ["workspace"], "by": ADMIN, "seen": None}
    assert (await http.post("/api/v1/tools/workspace/pin")).json() == accepted
    seen = {"workspace.read": HASH}
    assert (await http.post("/api/v1/tools/workspace/pin", json={"seen": seen})).json() == {**accepted, "seen": seen}
    assert (await http.post("/api/v1/tools/workspace/restart")).json()["by"] == ADMIN
    metrics = await http.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert metrics.text == "interlock_build_info 1\n"
    answer = await http.get("/api/v1/tasks/abcd/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["n"] for line in answer.text.splitlines()] == [1, 2]
    assert (await http.get("/api/v1/tasks/abcd/export?run=0")).status_code == 422
    lines = (await http.get("/api/v1/audit/export")).text.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2]


async def test_shutting_down_sets_the_event(http: httpx.AsyncClient, app: Any) -> None:
    assert not app.state.stop.is_set()
    assert (await http.post("/api/v1/shutdown")).status_code == 202
    assert app.state.stop.is_set()


async def test_health_checks(stranger: httpx.AsyncClient, control: Any) -> None:
    assert (await stranger.get("/healthz")).json() == {"ok": True}
    assert (await stranger.get("/readyz")).json() == {"ready": True}
    control.failure = DatabaseUnavailable("Postgres does not answer: host db.internal, user secret")
    answer = await stranger.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert "db.internal" not in answer.text
    assert (await stranger.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (NotFound("there is no task abcd", hint="interlock tasks list"), 404),
        (Conflict("no"), 409),
        (UserError("no"), 422),
        (DeniedError("no"), 403),
        (Exhausted("no"), 429),
        (DatabaseUnavailable("no"), 503),
        (AuditBroken("no"), 500),
    ],
)
async def test_errors_are_problems(http: httpx.AsyncClient, control: Any, failure: Any, status: int) -> None:
    control.failure = failure
    answer = await http.get("/api/v1/tasks/abcd")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body == {
        "type": f"docs/errors.md#{failure.code}",
        "title": body["title"],
        "status": status,
        "detail": failure.message,
        "code": failure.code,
        "hint": failure.next_step,
        "retryable": failure.retryable,
    }
    assert body["title"]
    assert not body["title"].endswith(".")


async def test_what_breaks_shows_no_internals(
    http: httpx.AsyncClient, control: Any, caplog: pytest.LogCaptureFixture
) -> None:
    control.failure = ZeroDivisionError("secret of the inside")
    with caplog.at_level(logging.ERROR):
        answer = await http.get("/api/v1/tasks/abcd")
    assert (answer.status_code, answer.json()["code"]) == (500, "bug")
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "a request failed" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/", 404, "nothing at /"),
        ("GET", "/api/v1/nowhere", 404, "/api/v1/nowhere"),
        ("GET", "/api/v1/tasks/", 404, "nothing"),
        ("GET", "/docs", 404, "nothing"),
        ("DELETE", "/api/v1/tasks", 405, "DELETE"),
        ("GET", "/api/v1/halt", 405, "GET"),
        (
            "GET",
            "/api/v1/tasks?stat=queued",
            422,
            "stat: unknown query parameter; expected agent, cursor, limit, state",
        ),
        ("GET", "/api/v1/tasks?limit=0", 422, "limit: "),
        ("GET", "/api/v1/tasks?limit=many", 422, "limit: "),
        ("GET", "/api/v1/audit?limit=1001", 422, "limit: "),
        ("GET", "/api/v1/audit/verify?number=3", 422, "number and link"),
        ("GET", "/api/v1/audit/verify?number=3&link=zz", 422, "link: "),
        ("POST", "/api/v1/tasks/abcd/undo?dry_run=perhaps", 422, "dry_run: "),
    ],
)
async def test_wrong_requests_are_named(
    http: httpx.AsyncClient, control: Any, method: str, path: str, status: int, words: str
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert answer.json()["hint"]
    assert control.asked == []


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/tasks", {}, "agent: missing; text: missing"),
        ("/tasks", {**TASK, "prioritty": 1}, "prioritty: unknown field; expected agent, at, checks, dedupe_key"),
        ("/tasks", {**TASK, "text": 7}, "text: input should be a valid string"),
        ("/tasks", {**TASK, "priority": "5"}, "priority: "),
        ("/tasks", {**TASK, "priority": True}, "priority: "),
        ("/tasks", {**TASK, "priority": 10}, "priority: "),
        ("/tasks", {**TASK, "inputs": []}, "inputs: "),
        ("/tasks", {**TASK, "dedupe_key": ""}, "dedupe_key: "),
        ("/tasks", [], "body: "),
        ("/tasks", "text", "body: "),
        ("/tasks/abcd/cancel", {"reason": "x"}, "reason: unknown field; expected none"),
        ("/approvals/abcd/decision", {"decision": "approve"}, "binding_sha256: missing"),
        ("/approvals/abcd/decision", {"decision": "approve", "binding_sha256": ""}, "binding_sha256: "),
        ("/approvals/abcd/decision", {"decision": "approve", "binding_sha256": HASH, "reason": "x" * 2001}, "reason: "),
        ("/halt", {"scope": "all"}, "reason: missing"),
        ("/halt", {"scope": "all", "reason": "  "}, "reason: "),
        ("/halt", {"scope": "", "reason": "x"}, "scope: "),
    ],
)
async def test_wrong_fields_are_named(http: httpx.AsyncClient, control: Any, path: str, body: Any, words: str) -> None:
    answer = await http.post(f"/api/v1{path}", json=body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert control.asked == []


async def test_another_binding_is_a_conflict(http: httpx.AsyncClient) -> None:
    body = {"decision": "approve", "binding_sha256": "b" * 64}
    answer = await http.post("/api/v1/approvals/abcd/decision", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "binding_changed")


def raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        ('{"agent": "writer",\n "text" "x"}', 400, "line 2 column 9"),
        ("{", 400, "line 1 column 2"),
        (b'{"agent": "\xff"}', 400, "no UTF-8 at byte 11"),
        ('{"agent": "a", "agent": "b"}', 422, "agent: given twice"),
        ('{"text": NaN}', 422, "NaN"),
        ('{"inputs": {"x": 1e999}}', 422, "inputs.x: the number is too large"),
        ('{"inputs": {"x": [9007199254740993]}}', 422, "inputs.x.0: the whole number is beyond"),
        ('{"inputs": {"x": %s}}' % ("9" * 5000), 422, "too long"),
        ('{"text": "a\\u0000b"}', 422, "text: holds a zero character"),
        ('{"inputs": {"a\\u0000": 1}}', 422, "the key holds a zero character"),
        ('{"text": "\\ud800"}', 422, "text: holds half of a surrogate pair"),
        ('{"inputs": %s}' % ("[" * 100 + "]" * 100), 422, "nested deeper than 64"),
        ("[" * 100_000, 422, "nested deeper than 64"),
        (b"x" * (1024 * 1024 + 1), 413, "larger than 1048576 bytes"),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_bodies_that_are_no_good(
    http: httpx.AsyncClient, control: Any, content: str | bytes, status: int, words: str
) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = await http.post("/api/v1/tasks", content=raw(content), headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert control.asked == []


async def test_a_large_body_without_a_length_is_cut_off(http: httpx.AsyncClient, control: Any) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65_536

    headers = {"Content-Type": "application/json"}
    answer = await http.post("/api/v1/tasks", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert sent <= 20
    assert control.asked == []


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "text/json", ""])
async def test_only_json_is_taken(http: httpx.AsyncClient, control: Any, kind: str) -> None:
    answer = await http.post("/api/v1/tasks", content=json.dumps(TASK), headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["hint"]
    assert control.asked == []


async def test_an_artifact_is_saved_and_never_shown(http: httpx.AsyncClient, control: Any) -> None:
    answer = await http.get("/api/v1/calls/abcd/artifacts/0123")
    assert (answer.status_code, answer.content) == (200, b"<script>")
    assert control.asked == [("artifact", ("abcd", "0123"))]
    assert answer.headers["content-type"] == "application/octet-stream", "whatever kind it is said to be"
    assert answer.headers["content-disposition"] == 'attachment; filename="answer.html"'
    assert answer.headers["x-content-type-options"] == "nosniff"
