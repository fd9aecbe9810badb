"""An OpenAI-compatible server on this machine: answers, tool calls, every kind of failure."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from interlock.config import ModelConfig, PriceConfig
from interlock.inference import Models
from interlock.model import (
    CallRequest,
    InterlockError,
    ModelAnswer,
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

KEY = "sk-very-secret-0123456789abcdef"
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
READ = ToolDefinition(ToolRef("workspace", "read"), None, "Read a file.", SCHEMA)
HIDDEN = ToolDefinition(ToolRef("workspace", "snapshot"), None, "Not for models.", SCHEMA, internal=True)
Open = Callable[..., Models]


def ask(*turns: Turn, **options: Any) -> ModelRequest:
    return ModelRequest("here", "Be brief.", turns or (RequestTurn("hi"),), (READ, HIDDEN), **options)


def message(text: str | None = "Hello.", calls: list[dict[str, Any]] | None = None, finish: str = "stop") -> Reply:
    said: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        said["tool_calls"] = [{"id": one["id"], "type": "function", "function": one["function"]} for one in calls]
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls" if calls else finish}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    return Reply(
        body={"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    )


def call(name: str, arguments: str, call_id: str = "c1") -> dict[str, Any]:
    return {"id": call_id, "function": {"name": name, "arguments": arguments}}


def here(provider: Provider, open_models: Open, **options: Any) -> Models:
    settings = {"provider": "openai", "model": "tiny", "base_url": f"{provider.url}/v1", "api_key_env": "HERE_KEY"}
    price = PriceConfig(input_usd_per_mtok=1, output_usd_per_mtok=10)
    config = ModelConfig.model_validate(settings | {"price": price} | options)
    return open_models("here", config, {"HERE_KEY": KEY, "OPENAI_API_KEY": "sk-another-one"})


async def test_an_answer(provider: Provider, open_models: Open) -> None:
    provider.script = [message()]
    models = here(provider, open_models)
    answer = await models.request(ask(RequestTurn("hi", {"n": 1}), max_output_tokens=77))
    assert (answer.text, answer.calls, answer.model) == ("Hello.", (), "here")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (1000, 100)
    assert answer.cost_usd == pytest.approx(0.002)
    sent = provider.asked[0]
    assert provider.paths == ["/v1/chat/completions"]
    assert provider.headers[0]["authorization"] == f"Bearer {KEY}"
    assert (sent["model"], sent["max_tokens"], sent.get("stream")) == ("tiny", 77, False)
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert '"n": 1' in sent["messages"][1]["content"]
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["workspace__read"]
    assert sent["tools"][0]["function"]["parameters"] == SCHEMA


async def test_a_conversation_with_tools(provider: Provider, open_models: Open) -> None:
    calls = [call("workspace__read", '{"path": "a"}', "x1"), call("workspace__read", '{"path": "b"}', "x2")]
    provider.script = [message("Reading\nboth.", calls), message("Done.")]
    models = here(provider, open_models)
    first = await models.request(ask())
    assert [(one.tool, one.args, one.reason, one.provider_call_id) for one in first.calls] == [
        ("workspace.read", {"path": "a"}, "Reading both.", "x1"),
        ("workspace.read", {"path": "b"}, "Reading both.", "x2"),
    ]
    turn = turned(first)
    again = ask(
        RequestTurn("hi"),
        turn,
        NoteTurn("a person approved"),
        Observation(6, "workspace.read", False, "denied"),
        Observation(5, "workspace.read", True, "text of a"),
    )
    assert (await models.request(again)).text == "Done."
    roles = [(one["role"], one.get("tool_call_id")) for one in provider.asked[1]["messages"]]
    assert roles == [
        ("system", None),
        ("user", None),
        ("assistant", None),
        ("tool", "x1"),
        ("tool", "x2"),
        ("user", None),
    ]
    texts = [one["content"] for one in provider.asked[1]["messages"]]
    assert texts[3] == "text of a"
    assert "denied" in texts[4]
    assert texts[5].endswith("a person approved")


def turned(answer: ModelAnswer) -> ModelTurn:
    requests = tuple(
        CallRequest(5 + index, one.tool, one.args, one.reason, one.provider_call_id)
        for index, one in enumerate(answer.calls)
    )
    return ModelTurn(answer.text, requests, answer.model, answer.usage, answer.provider)


@pytest.mark.parametrize("provider_json", [None, {"source": "anthropic/x/y", "messages": [1]}, {"source": 1}, "junk"])
async def test_history_of_another_model_is_rebuilt(provider: Provider, open_models: Open, provider_json: Any) -> None:
    provider.script = [message()]
    lost = CallRequest(4, "workspace.read", {"path": "b"}, "", "same")
    turn = ModelTurn(
        "hm", (CallRequest(3, "workspace.read", {"path": "a"}, "", "same"), lost), "m", provider=provider_json
    )
    await here(provider, open_models).request(ask(RequestTurn("hi"), turn, Observation(3, "workspace.read", True, "A")))
    assistant, first, second = provider.asked[0]["messages"][2:5]
    assert [one["id"] for one in assistant["tool_calls"]] == ["call_3", "call_4"]
    assert assistant["tool_calls"][0]["function"]["name"] == "workspace__read"
    assert (first["tool_call_id"], first["content"]) == ("call_3", "A")
    assert (second["tool_call_id"], "No result" in second["content"]) == ("call_4", True)


async def test_ids_that_a_server_repeats_are_replaced(provider: Provider, open_models: Open) -> None:
    calls = [call("workspace__read", '{"path": "a"}', "call_0"), call("workspace__read", '{"path": "b"}', "call_0")]
    provider.script = [message(None, calls), message()]
    models = here(provider, open_models)
    turn = turned(await models.request(ask()))
    seen = [Observation(5, "workspace.read", True, "A"), Observation(6, "workspace.read", True, "B")]
    await models.request(ask(RequestTurn("hi"), turn, *seen))
    results = [one for one in provider.asked[1]["messages"] if one["role"] == "tool"]
    assert [(one["tool_call_id"], one["content"]) for one in results] == [("call_5", "A"), ("call_6", "B")]


@pytest.mark.parametrize(
    ("name", "arguments", "tool", "args"),
    [
        ("nope", "{}", "nope", {}),
        ("workspace.read", "{}", "workspace.read", {}),
        ("workspace.snapshot", "{}", "workspace__snapshot", {}),
        ("workspace__snapshot", "{}", "workspace__snapshot", {}),
        ("workspace__read", '{"path": ', "workspace.read", {"_malformed": '{"path": '}),
        ("workspace__read", "[1]", "workspace.read", {"_malformed": "[1]"}),
        ("workspace__read", "", "workspace.read", {}),
        ("workspace__read", '{"n": 1e999}', "workspace.read", {"_malformed": '{"n": 1e999}'}),
        ("workspace__read", '{"\\ud800": 1}', "workspace.read", {"_malformed": '{"\\ud800": 1}'}),
    ],
)
async def test_odd_calls(
    provider: Provider, open_models: Open, name: str, arguments: str, tool: str, args: dict[str, Any]
) -> None:
    provider.script = [message("", [call(name, arguments)])]
    answer = await here(provider, open_models).request(ask())
    assert [(one.tool, one.args) for one in answer.calls] == [(tool, args)]


def failure(status: int, text: str, **headers: str) -> Reply:
    return Reply(status, {"error": {"message": text, "type": "x", "code": None}}, headers)


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (failure(401, f"Incorrect API key provided: {KEY}."), ModelRefused, "does not accept the key"),
        (failure(403, "no"), ModelRefused, "does not accept the key"),
        (failure(400, "bad field"), ModelRefused, "bad field"),
        (failure(402, "pay first"), ModelRefused, "quota"),
        (failure(404, "no such model"), UnknownModel, "not known"),
        (failure(429, "slow down", **{"retry-after": "7"}), ModelBusy, "wait 7 s"),
        (failure(408, "timeout"), ModelUnavailable, "HTTP 408"),
        (failure(500, "oops"), ModelUnavailable, "HTTP 500"),
        (failure(503, "loading"), ModelUnavailable, "HTTP 503"),
        (Reply(500, b"<html>no JSON</html>", {"content-type": "text/html"}), ModelUnavailable, "HTTP 500"),
        (Reply(200, b'{"choices": [', {}), ModelUnavailable, "can't be read"),
        (Reply(200, b"hello", {"content-type": "text/plain"}), ModelUnavailable, "can't be read"),
        (Reply(200, {"choices": []}), ModelUnavailable, "can't be read"),
        (Reply(200, {"nothing": 1}), ModelUnavailable, "can't be read"),
        (Reply(200, b'{"choices"', cut=True), ModelUnavailable, "connection broke"),
        (Reply(302, b"", {"location": "http://127.0.0.1:1/"}), ModelUnavailable, "here"),
        (message(""), ModelUnavailable, "nothing"),
        (message("", finish="content_filter"), ModelRefused, "content filter"),
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
    assert caught.value.__cause__ is None
    assert len(provider.asked) == 1  # one request is one call, whatever the answer


async def test_how_long_to_wait_is_kept(provider: Provider, open_models: Open) -> None:
    provider.script = [failure(429, "slow down", **{"retry-after": "7"}), failure(429, "slow down")]
    models = here(provider, open_models)
    for expected in (7.0, None):
        with pytest.raises(ModelBusy) as caught:
            await models.request(ask())
        assert caught.value.retry_after_s == expected
        assert caught.value.retryable


async def test_a_server_that_hangs(provider: Provider, open_models: Open) -> None:
    provider.script = [message(), Reply(hang_s=30), message()]
    models = here(provider, open_models)
    await models.request(ask())
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match=r"in time|within"):
        await models.request(ask(timeout_s=0.3))
    assert time.monotonic() - began < 2
    assert (await models.request(ask())).text == "Hello."


async def test_nobody_listens(open_models: Open, provider: Provider) -> None:
    models = here(provider, open_models, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ModelUnavailable, match="can't be reached"):
        await models.request(ask())


async def test_an_endless_answer_is_cut_off(
    provider: Provider, open_models: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    import interlock.inference.bounded_http as bounded

    monkeypatch.setattr(bounded, "MAX_ANSWER_BYTES", 10_000)
    provider.script = [message("x" * 20_000)]
    with pytest.raises(ModelUnavailable, match="connection broke"):
        await here(provider, open_models).request(ask())


async def test_a_cut_off_answer_says_so(provider: Provider, open_models: Open) -> None:
    provider.script = [message("The list is", finish="length")]
    answer = await here(provider, open_models).request(ask(max_output_tokens=5))
    assert answer.text == "The list is\n[cut off at 5 tokens]"


async def test_half_characters_do_not_get_into_the_history(provider: Provider, open_models: Open) -> None:
    provider.script = [message("broken \ud800 pair")]
    answer = await here(provider, open_models).request(ask())
    assert answer.text == "broken ? pair"
    assert answer.provider is None


async def test_a_server_that_does_not_count_costs_the_estimate(provider: Provider, open_models: Open) -> None:
    reply = message()
    del reply.body["usage"]
    provider.script = [reply]
    models = here(provider, open_models)
    answer = await models.request(ask(max_output_tokens=100))
    assert answer.cost_usd == pytest.approx(models.quote(ask(max_output_tokens=100)))


async def test_no_price_no_request(provider: Provider, open_models: Open) -> None:
    models = here(provider, open_models, price=None)
    with pytest.raises(ModelRefused, match="no price known"):
        await models.request(ask())
    assert provider.asked == []


async def test_no_bound_no_request(provider: Provider, open_models: Open) -> None:
    with pytest.raises(ModelRefused, match="max_output_tokens"):
        await here(provider, open_models).request(ask(max_output_tokens=0))
    assert provider.asked == []


async def test_a_local_server_needs_no_key_and_costs_nothing(provider: Provider, open_models: Open) -> None:
    provider.script = [message()]
    models = here(provider, open_models, api_key_env=None, zone="local", price=None)
    answer = await models.request(ask())
    assert answer.cost_usd == 0
    assert provider.headers[0]["authorization"] == "Bearer none"
