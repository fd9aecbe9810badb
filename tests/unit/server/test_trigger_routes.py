"""The routes of triggers: the proof lets in and nothing else does, and what senders read of refusals."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from interlock.model import BacklogFull, DatabaseUnavailable, RateLimited
from interlock.server.trigger_routes import MAX_READING

PATH = "/api/v1/triggers/alerts"
PROOF = {"X-Proof": "right"}


async def test_a_proof_lets_in_and_the_token_does_not(stranger: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    assert (await stranger.post(PATH, content=b'{"a": 1}', headers=PROOF)).status_code == 202
    assert (await http.post(PATH, content=b'{"a": 1}')).status_code == 401
    assert (await stranger.get("/api/v1/triggers", headers=PROOF)).status_code == 401
    assert (await http.get("/api/v1/triggers")).json() == {"items": [{"name": "alerts"}]}


async def test_an_unknown_trigger_answers_as_a_wrong_proof_does(stranger: httpx.AsyncClient) -> None:
    wrong = await stranger.post(PATH, content=b"{}", headers={"X-Proof": "wrong"})
    unknown = await stranger.post("/api/v1/triggers/others", content=b"{}", headers=PROOF)
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())
    assert dict(wrong.headers) == dict(unknown.headers)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "body: the body is no JSON at line 1 column 1"),
        (b"{", "body: the body is no JSON"),
        (b"\xff", "body: the body is no UTF-8 at byte 0"),
        (b'{"a": 1, "a": 2}', "a: given twice"),
        (b'{"a": NaN}', "body: NaN is no JSON"),
        (b'{"a": "\\u0000"}', "a: holds a zero character"),
        (b'{"a": 12345678901234567890}', "a: the whole number is beyond"),
    ],
)
async def test_what_is_no_json(stranger: httpx.AsyncClient, body: bytes, place: str) -> None:
    answer = await stranger.post(PATH, content=body, headers=PROOF)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(place)


async def test_a_large_body_is_refused_whoever_sends_it(stranger: httpx.AsyncClient) -> None:
    for headers in (PROOF, {}):
        answer = await stranger.post(PATH, content=b"x" * (1024 * 1024 + 1), headers=headers)
        assert answer.status_code == 413
    answer = await stranger.post(PATH, content=b'"' + b"x" * (1024 * 1024 - 2) + b'"', headers=PROOF)
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("failure", "status", "after"),
    [
        (RateLimited("too many", retry_after_s=12.2), 429, "13"),
        (RateLimited("too many", retry_after_s=0.0), 429, "1"),
        (BacklogFull("full"), 503, "30"),
        (DatabaseUnavailable("away"), 503, "5"),
    ],
)
async def test_refusals_say_when_to_come_again(
    stranger: httpx.AsyncClient, control: Any, failure: Exception, status: int, after: str | None
) -> None:
    control.triggers.failure = failure
    answer = await stranger.post(PATH, content=b"{}", headers=PROOF)
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == after
    assert answer.json()["retryable"]


async def test_headers_that_come_twice_are_one_that_fits_nothing(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post(PATH, content=b"{}", headers=[("X-Proof", "right"), ("X-Proof", "right")])
    assert answer.status_code == 401


async def test_only_so_many_are_read_at_a_time(app: FastAPI, stranger: httpx.AsyncClient) -> None:
    going_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await going_on.wait()
        yield b"}"

    held = [asyncio.create_task(stranger.post(PATH, content=slow(), headers=PROOF)) for _ in range(MAX_READING)]
    while app.state.deliveries < MAX_READING:
        await asyncio.sleep(0.01)
    answer = await stranger.post(PATH, content=b"{}", headers=PROOF)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    going_on.set()
    assert {found.status_code for found in await asyncio.gather(*held)} == {202}
    assert app.state.deliveries == 0
    assert (await stranger.post(PATH, content=b"{}", headers=PROOF)).status_code == 202
