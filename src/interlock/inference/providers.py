"""Asks a provider through the direct layer of Pydantic AI: one request is one call.

No tools that run at the provider, no sampling, no streaming, no retries. Importing this module costs seconds (the
provider library), so `Models` does it at the first request, off the event loop.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from pydantic import ValidationError
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import AgentRunError, UserError
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings

from interlock.config import ModelConfig
from interlock.inference.bounded_http import provider_client
from interlock.inference.keys import provider_key
from interlock.inference.messages import Answered, from_response, request_parameters, to_messages
from interlock.inference.prices import cost_usd, estimated_input_tokens, quote_usd
from interlock.inference.provider_errors import translated
from interlock.inference.resolved import ResolvedModel
from interlock.model import Bug, ModelAnswer, ModelRefused, ModelRequest, ModelUnavailable, Usage

_OPENAI_URL = "https://api.openai.com/v1"
_ANTHROPIC_URL = "https://api.anthropic.com"


@dataclass(frozen=True)
class _Client:
    """One model and its connections, which belong to one event loop."""

    model: "Model[Any]"
    http: httpx2.AsyncClient
    loop: asyncio.AbstractEventLoop
    key: str = field(repr=False)


def _openai_model(resolved: ResolvedModel, config: ModelConfig, key: str, http: httpx2.AsyncClient) -> "Model[Any]":
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    if config.base_url is None:
        provider = OpenAIProvider(base_url=_OPENAI_URL, api_key=key, http_client=http)
        return OpenAIChatModel(config.model, provider=provider)
    other = OpenAICompatibleProvider(resolved.alias, base_url=config.base_url, api_key=key, http_client=http)
    # Most servers that speak this format know only the older name of the field.
    profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False)
    return OpenAIChatModel(config.model, provider=other, profile=profile)


def _anthropic_model(config: ModelConfig, key: str, http: httpx2.AsyncClient) -> "Model[Any]":
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    provider = AnthropicProvider(api_key=key, base_url=config.base_url or _ANTHROPIC_URL, http_client=http)
    return AnthropicModel(config.model, provider=provider)


def load_kind(kind: str) -> "type[Model[Any]]":
    """Import the library of one kind of provider, and the price table; safe to run in a thread."""
    from genai_prices.data_snapshot import get_snapshot

    get_snapshot()
    if kind == "openai":
        from pydantic_ai.models.openai import OpenAIChatModel

        return OpenAIChatModel
    from pydantic_ai.models.anthropic import AnthropicModel

    return AnthropicModel


class Providers:
    """The clients of all configured providers, made at their first request."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._clients: dict[str, _Client] = {}

    def _client(self, resolved: ResolvedModel, config: ModelConfig) -> _Client:
        loop = asyncio.get_running_loop()
        key = provider_key(resolved, config, self._env)
        known = self._clients.get(resolved.alias)
        if known is not None and known.loop is loop and known.key == key:
            return known
        http = provider_client(config.timeout)
        if config.provider == "openai":
            model = _openai_model(resolved, config, key, http)
        else:
            model = _anthropic_model(config, key, http)
        self._clients[resolved.alias] = _Client(model, http, loop, key)
        return self._clients[resolved.alias]

    async def ask(self, resolved: ResolvedModel, request: ModelRequest, timeout_s: float) -> ModelAnswer:
        """Make one request.

        Raises:
            ModelUnavailable: the provider does not answer, or refuses for now (`ModelBusy`).
            ModelRefused: the provider rejects the request, there is no key, or no price is known.
            UnknownModel: the provider does not know the model.
        """
        config = resolved.config
        if config is None:
            raise Bug(f"{resolved.alias} is no provider's model")
        quote_usd(resolved, request)  # refuses what has no known price before it costs anything
        client = self._client(resolved, config)
        source = f"{resolved.kind}/{resolved.alias}/{resolved.model}"
        settings = ModelSettings(max_tokens=request.max_output_tokens, timeout=timeout_s, max_retries=0)
        try:
            response = await model_request(
                client.model,
                to_messages(request, source),
                model_settings=settings,
                model_request_parameters=request_parameters(request.tools),
                instrument=False,
            )
        except (AgentRunError, UserError, ValidationError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            # Not chained: the provider's error quotes bodies and headers, which may hold a key.
            raise translated(error, resolved, client.key) from None
        return _answer(resolved, request, response, from_response(response, request, source))

    async def close(self) -> None:
        """Close all connections of the running event loop."""
        loop = asyncio.get_running_loop()
        clients, self._clients = self._clients, {}
        for client in clients.values():
            if client.loop is loop:
                await client.http.aclose()


def _usage(request: ModelRequest, response: ModelResponse) -> Usage:
    counted = response.usage
    if counted.unmeasured_requests or not (counted.input_tokens or counted.output_tokens):
        # The server does not count: the estimate stands, as the reservation did.
        return Usage(estimated_input_tokens(request), request.max_output_tokens)
    return Usage(counted.input_tokens, counted.output_tokens, counted.cache_read_tokens, counted.cache_write_tokens)


def _answer(resolved: ResolvedModel, request: ModelRequest, response: ModelResponse, answered: Answered) -> ModelAnswer:
    text = answered.text
    if response.finish_reason == "content_filter":
        raise ModelRefused(f"model '{resolved.alias}': the provider's content filter stopped the answer")
    if not text and not answered.calls:
        raise ModelUnavailable(f"model '{resolved.alias}' answered nothing")
    if response.finish_reason == "length" and not answered.calls:
        text += f"\n[cut off at {request.max_output_tokens} tokens]"
    usage = _usage(request, response)
    return ModelAnswer(text, answered.calls, resolved.alias, usage, cost_usd(resolved, usage), answered.provider)
