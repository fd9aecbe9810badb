"""Which key a provider gets: the named variable's, and never one that was meant for another address."""

import ipaddress
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from interlock.inference.resolved import ResolvedModel
from interlock.model import ModelRefused

if TYPE_CHECKING:
    from interlock.config import ModelConfig

_USUAL = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
NO_KEY = "none"  # the provider libraries demand one; a local server does not read it


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine, by its text alone."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def provider_key(resolved: ResolvedModel, config: "ModelConfig", env: Mapping[str, str]) -> str:
    """The key for a provider.

    The vendor's usual variable is only read for the vendor's own address; for a `base_url` the configuration names
    the variable, or there is no key.

    Raises:
        ModelRefused: a key is needed, and there is none.
    """
    name = config.api_key_env or (_USUAL[config.provider] if config.base_url is None else None)
    key = env.get(name, "").strip() if name else ""
    if key and not re.fullmatch(r"[\x21-\x7e]+", key):
        raise ModelRefused(
            f"model '{resolved.alias}': {name} holds characters that no key has", hint=f"export {name}=…"
        )
    if key:
        return key
    if name is None and config.base_url and (is_loopback(config.base_url) or resolved.zone == "local"):
        return NO_KEY
    if name is None:
        raise ModelRefused(
            f"model '{resolved.alias}' has a base_url and no key",
            hint=f"set models.aliases.{resolved.alias}.api_key_env to the variable that holds its key",
        )
    raise ModelRefused(f"model '{resolved.alias}' has no key: {name} is not set", hint=f"export {name}=…")
