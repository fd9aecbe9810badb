"""What becomes of outcomes in the words of the protocol, and how much one agent may have in hand."""

import datetime
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from interlock.app import MadeCall, OfferedTool, OutsideAgent
from interlock.config import new_token
from interlock.model import (
    ActionClass,
    Approval,
    ApprovalState,
    Exhausted,
    InDoubt,
    Observation,
    RateLimited,
    ToolDefinition,
    ToolRef,
)
from interlock.server.gateway import endpoint
from interlock.server.gateway.answers import carried, doubt_of, pending_of, read_carried, result_of, tool_of
from interlock.server.gateway.endpoint import Endpoint
from interlock.server.mcp_words import error_of
from interlock.store import AgentToken

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SHAPE = {"type": "object", "required": ["n"]}


def offered(action_class: ActionClass, *, checked_output: bool = False) -> OfferedTool:
    definition = ToolDefinition(ToolRef("db", "run"), "Run", "Runs.", {"type": "object"}, SHAPE, {"readOnlyHint": True})
    return OfferedTool("db__run", definition, action_class, True, False, checked_output)


def seen(structured: dict[str, Any] | None, *, ok: bool = True) -> Observation:
    return Observation(1, "db.run", ok, "text", structured)


@pytest.mark.parametrize("action_class", list(ActionClass))
def test_hints_are_the_gate_s_and_not_the_server_s(action_class: ActionClass) -> None:
    hints = tool_of(offered(action_class)).annotations
    assert hints is not None
    assert hints.read_only_hint == (action_class is ActionClass.READ)
    assert hints.destructive_hint != hints.read_only_hint


def test_a_shape_is_promised_only_where_breaking_the_promise_does_no_harm() -> None:
    write, read = offered(ActionClass.WRITE), offered(ActionClass.READ, checked_output=True)
    assert tool_of(write).output_schema is None
    assert tool_of(read).output_schema == SHAPE
    assert not result_of(write, seen(None)).is_error
    assert not result_of(read, seen({"n": 1})).is_error
    broken = result_of(read, seen(None))
    assert broken.is_error, "a client would refuse it, and throw the text away"
    assert result_of(read, seen(None, ok=False)).content == result_of(write, seen(None, ok=False)).content


def test_questions_doubts_and_errors_say_what_to_do() -> None:
    held = MadeCall("c", 7, InDoubt("c", "it died"))
    question = Approval("a", "t", "c", ApprovalState.PENDING, {}, "0" * 64, {}, NOW, NOW)
    pending = pending_of(held, question)
    assert pending.structured_content == {
        "status": "approval_pending",
        "approval": "a",
        "call": 7,
        "expires_at": "2026-01-01T00:00:00+00:00",
        "retry": "call again with the same arguments",
    }
    doubt = doubt_of(held, InDoubt("c", "it died"))
    error = error_of(RateLimited("enough", retry_after_s=1))
    assert (pending.is_error, doubt.is_error, error.is_error) == (True, True, True)
    assert isinstance(doubt.structured_content, dict)
    assert doubt.structured_content["status"] == "in_doubt"
    assert isinstance(error.structured_content, dict)
    assert (error.structured_content["code"], error.structured_content["retryable"]) == ("rate_limited", True)
    assert read_carried(carried("c", "a")) == ("c", "a")


def agent(name: str) -> OutsideAgent:
    return OutsideAgent(AgentToken(name, "coder", None, NOW, "person:ann", None))


def test_what_is_in_hand_is_bounded_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MAX_REQUESTS", 3)
    monkeypatch.setattr(endpoint, "MAX_REQUESTS_EACH", 2)
    monkeypatch.setattr(endpoint, "MAX_HELD_BYTES", 3 * endpoint.SMALL_BYTES)
    place = Endpoint(None, "1")
    for _ in range(2):
        with ExitStack() as stack:
            for name in ("a", "a"):
                stack.enter_context(place.place_for(agent(name), 10))
            with pytest.raises(Exhausted):
                stack.enter_context(place.place_for(agent("a"), 10))
            with pytest.raises(Exhausted, match="large"):
                stack.enter_context(place.place_for(agent("b"), 4 * endpoint.SMALL_BYTES))
            stack.enter_context(place.place_for(agent("b"), 2 * endpoint.SMALL_BYTES))
            with pytest.raises(Exhausted):
                stack.enter_context(place.place_for(agent("c"), 10))


async def test_a_server_without_a_gateway_says_so(app: FastAPI, stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/mcp", headers={"Authorization": f"Bearer {new_token()}"}, json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
