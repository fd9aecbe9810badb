"""Asks a provider through the direct layer of Pydantic AI; its libraries are imported at the first request.

No tools that run at the provider, no sampling, no streaming, no retries in here: one request is one call.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from interlock.config import ModelConfig
from interlock.inference.resolved import ModelKind, ResolvedModel
from interlock.model import ModelRefused

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.models import Model

MAX_CONNECTIONS = 64
MAX_ANSWER_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT_S = 10.0
_DEFAULT_URL = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
_DEFAULT_KEY = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
_NO_KEY = "none"  # both SDKs demand one; a local server does not read it


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine, by its text alone."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def provider_key(resolved: ResolvedModel, config: ModelConfig, env: Mapping[str, str]) -> str:
    """The key for a provider.

    The vendor's usual variable is only read for the vendor's own address: a key never goes to another `base_url`
    unless the configuration names its variable.

    Raises:
        ModelRefused: a key is needed, and there is none.
    """
    own_address = config.base_url is None
    name = config.api_key_env or (_DEFAULT_KEY[resolved.kind] if own_address else None)
    key = env.get(name, "").strip() if name else ""
    if key:
        return key
    if config.base_url is not None and (is_loopback(config.base_url) or resolved.zone == "local"):
        return _NO_KEY
    if name is None:
        raise ModelRefused(
            f"model '{resolved.alias}' has a base_url and no key",
            hint=f"set models.aliases.{resolved.alias}.api_key_env to the variable with its key",
        )
    raise ModelRefused(f"model '{resolved.alias}' has no key: {name} is not set", hint=f"export {name}=…")


class _BoundedBody:
    """An answer's bytes, cut off with an error when there are too many."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        import httpx2

        size = 0
        async for chunk in self.inner:
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise httpx2.ReadError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass
class _Client:
    """One alias's model and its connections, which belong to one event loop."""

    model: "Model[Any]"
    http: "httpx2.AsyncClient"
    loop: asyncio.AbstractEventLoop
    key: str = field(repr=False)


def load_libraries(kind: ModelKind) -> None:
    """Import what a kind of provider needs: some seconds of CPU at the first time."""
    import genai_prices  # noqa
    import httpx2  # noqa
    import pydantic_ai.direct

    if kind == "openai":
        import pydantic_ai.models.openai
    elif kind == "anthropic":
        import pydantic_ai.models.anthropic  # noqa


