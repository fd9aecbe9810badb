"""Anthropic's messages format, spoken by a server on this machine: thinking survives, failures are told apart."""

from collections.abc import Callable
from typing import Any

import pytest

from interlock.config import ModelConfig
from interlock.inference import Models
from interlock.model import (
    CallRequest,
    InterlockError,
    ModelBusy,
    ModelRefused,
    ModelRequest,
    ModelTurn,
    ModelUnavailable,
    NoteTurn,
    Observation,
    RequestTurn,
    ToolDefinition,
    ToolRef,
    Turn,
    UnknownModel,
)

from .conftest import Provider, Reply

pytestmark = pytest.mark.integration

KEY = "sk-ant-very-secret-0123456789"
READ = ToolDefinition(ToolRef("workspace", "read"), None, "Read a file.", {"type": "object", "properties": {}})
Open = Callable[..., Models]


def message(*content: dict[str, Any], stop: str = "end_turn") -> Reply:
    usage = {
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_input_tokens": 500,
        "cache_creation_input_tokens": 0,
    }
    return Reply(
        body={
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5",
            "content": list(content),
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": usage,
        }
    )


def here(provider: Provider, open_models: Open) -> Models:
    price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 5}
    config = ModelConfig.model_validate(
        {
            "provider": "anthropic",
            "model": "claude-haiku-4-5",
            "base_url": provider.url,
            "api_key_env": "KEY",
            "price": price,
        }
    )
    return open_models("here", config, {"KEY": KEY})


def ask(*turns: Turn) -> ModelRequest:
    return ModelRequest("here", "Be brief.", turns or (RequestTurn("hi"),), (READ,), max_output_tokens=500)


async def test_thinking_survives_a_round_trip(provider: Provider, open_models: Open) -> None:
    thinking = {"type": "thinking", "thinking": "let me see", "signature": "c2lnbmF0dXJl"}
    use = {"type": "tool_use", "id": "toolu_1", "name": "workspace__read", "input": {"path": "a"}}
    provider.script = [
        message(thinking, {"type": "text", "text": "I read it."}, use, stop="tool_use"),
        message({"type": "text", "text": "Done."}),
    ]
    models = here(provider, open_models)
    first = await models.request(ask())
    assert first.text == "I read it."
    assert [(one.tool, one.args, one.reason) for one in first.calls] == [
        ("workspace.read", {"path": "a"}, "I read it.")
    ]
    assert (first.usage.input_tokens, first.usage.cache_read_tokens) == (1500, 500)
    assert first.cost_usd == pytest.approx(0.002)
    sent = provider.asked[0]
    assert provider.paths[0].startswith("/v1/messages")
    assert KEY in provider.headers[0].get("x-api-key", "") + provider.headers[0].get("authorization", "")
    assert (sent["max_tokens"], sent["model"]) == (500, "claude-haiku-4-5")
    assert "Be brief." in str(sent["system"])
    call = CallRequest(1, "workspace.read", {"path": "a"}, "", first.calls[0].provider_call_id)
    turn = ModelTurn(first.text, (call,), first.model, first.usage, first.provider)
    second = await models.request(
        ask(RequestTurn("hi"), turn, Observation(1, "workspace.read", False, "gone"), NoteTurn("hurry"))
    )
    assert second.text == "Done."
    assistant, results = provider.asked[1]["messages"][1:3]
    assert assistant["content"][0] == thinking
    assert assistant["content"][2]["id"] == "toolu_1"
    assert results["content"][0]["tool_use_id"] == "toolu_1"
    assert results["content"][0]["is_error"] is True
    assert "hurry" in str(results["content"][1])


async def test_a_tool_that_the_provider_ran_itself_is_refused(provider: Provider, open_models: Open) -> None:
    ran = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    page = {
        "type": "web_search_result",
        "title": "t",
        "url": "https://x.example",
        "encrypted_content": "e",
        "page_age": None,
    }
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [page]}
    provider.script = [message(ran, result, {"type": "text", "text": "found"})]
    with pytest.raises(ModelRefused, match="not asked for"):
        await here(provider, open_models).request(ask())


def failure(status: int, kind: str, text: str = "because", **headers: str) -> Reply:
    return Reply(status, {"type": "error", "error": {"type": kind, "message": text}}, headers)


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (failure(401, "authentication_error", f"invalid x-api-key {KEY}"), ModelRefused, "does not accept the key"),
        (failure(400, "invalid_request_error", "max_tokens: too large"), ModelRefused, "too large"),
        (failure(404, "not_found_error", "model: x"), UnknownModel, "not known"),
        (failure(429, "rate_limit_error", **{"retry-after": "30"}), ModelBusy, "wait 30 s"),
        (failure(529, "overloaded_error"), ModelBusy, "busy"),
        (failure(500, "api_error"), ModelUnavailable, "HTTP 500"),
        (Reply(200, b'{"type": "mess'), ModelUnavailable, "can't be read"),
        (message({"type": "text", "text": ""}), ModelUnavailable, "nothing"),
        (message({"type": "text", "text": "I can't"}, stop="refusal"), ModelRefused, "content filter"),
    ],
)
async def test_failures(
    provider: Provider, open_models: Open, reply: Reply, error: type[InterlockError], said: str
) -> None:
    provider.script = [reply]
    with pytest.raises(InterlockError) as caught:
        await here(provider, open_models).request(ask())
    assert type(caught.value) is error, caught.value.message
    assert said in caught.value.message
    assert "secret" not in repr(caught.value)
    assert len(provider.asked) == 1


async def test_a_client_lives_with_its_event_loop(provider: Provider, open_models: Open) -> None:
    provider.script = [message({"type": "text", "text": "one"}), message({"type": "text", "text": "two"})]
    models = here(provider, open_models)
    await models.warm_up()
    assert (await models.request(ask())).text == "one"
    await models.close()
    assert (await models.request(ask())).text == "two"
