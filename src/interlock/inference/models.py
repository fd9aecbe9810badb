"""All models behind one door: `await Models(…).request(request)`, whoever answers."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interlock.inference.playbook import Playbook
from interlock.inference.playbook_file import load_playbook, stored_playbook
from interlock.inference.prices import quote_usd
from interlock.inference.replay import answer
from interlock.inference.resolved import ResolvedModel, resolve_model
from interlock.model import ModelAnswer, ModelRefused, ModelRequest, ModelUnavailable, PlaybookError

if TYPE_CHECKING:
    from interlock.config import ModelsConfig
    from interlock.inference.providers import Providers

TIERS: tuple[Literal["small", "medium", "large"], ...] = ("small", "medium", "large")
MAX_CACHED_PLAYBOOKS = 64
MIN_TIMEOUT_S = 0.05


def _load_providers(env: Mapping[str, str], kind: str) -> "Providers":
    from interlock.inference.providers import Providers, load_kind

    load_kind(kind)
    return Providers(env)


class Models:
    """The configured models and playbooks.

    Attributes:
        config: models by alias and tier.
        playbooks: the files of the playbooks, by name.
        env: where keys are looked up.
        stored: what playbooks say, by name, whatever their files say meanwhile.
    """

    def __init__(
        self,
        config: "ModelsConfig",
        playbooks: Mapping[str, Path],
        env: Mapping[str, str],
        stored: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        self.config = config
        self.playbooks = playbooks
        self.env = env
        self.stored = stored or {}
        self._kept: dict[str, Playbook] = {}
        self._cached: dict[tuple[Path, int, int], Playbook] = {}
        self._providers: Providers | None = None
        self._loaded: set[str] = set()

    def resolve(self, name: str) -> ResolvedModel:
        """Find a model: an alias, a tier, `playbook:NAME`, `openai:MODEL`, `anthropic:MODEL`, or empty for the default.

        Raises:
            UnknownModel: nothing of that name is configured.
        """
        return resolve_model(name, self.config, self.playbooks)

    def tiers_above(self, name: str) -> tuple[str, ...]:
        """The configured tiers above one, weakest first; none for a name that is no tier."""
        if name in self.config.aliases or name not in TIERS:
            return ()
        return tuple(tier for tier in TIERS[TIERS.index(name) + 1 :] if self.config.tiers.get(tier))

    def quote(self, request: ModelRequest) -> float:
        """The most that a request can cost in USD, by estimate; 0 for playbooks.

        Raises:
            UnknownModel: nothing of that name is configured.
            ModelRefused: no price is known.
        """
        return quote_usd(self.resolve(request.model), request)

    def playbook(self, resolved: ResolvedModel) -> Playbook:
        """The playbook of a resolved model: as it was stored, else as its file says, read again when that changed.

        Raises:
            PlaybookError: it is none, it can't be read, or it is wrong.
        """
        path = resolved.path
        if path is None:
            raise PlaybookError(f"'{resolved.alias}' is no playbook")
        if resolved.model in self.stored:
            if resolved.model not in self._kept:
                self._kept[resolved.model] = stored_playbook(path, self.stored[resolved.model], resolved.model)
            return self._kept[resolved.model]
        try:
            found = path.stat()
        except OSError as error:
            raise PlaybookError(f"{path}: can't be read: {error.strerror or error}") from error
        key = (path, found.st_mtime_ns, found.st_size)
        if key not in self._cached:
            playbook = load_playbook(path, resolved.model)
            if len(self._cached) >= MAX_CACHED_PLAYBOOKS:
                self._cached.pop(next(iter(self._cached)))
            self._cached[key] = playbook
        return replace(self._cached[key], name=resolved.model)

    async def request(self, request: ModelRequest) -> ModelAnswer:
        """Ask a model; the whole request is bounded by the smaller of its own and the model's timeout.

        Raises:
            UnknownModel: nothing of that name is configured, or the provider does not know it.
            PlaybookError: the playbook is wrong.
            PlaybookFailed: the playbook ends as a failure.
            ModelUnavailable: the provider does not answer in time, or refuses for now.
            ModelRefused: the provider rejects the request, there is no key, or no price is known.
        """
        resolved = self.resolve(request.model)
        if resolved.config is None:
            return answer(self.playbook(resolved), request)
        if request.max_output_tokens < 1:
            raise ModelRefused("a request needs max_output_tokens of at least 1, or its cost has no bound")
        timeout_s = max(min(request.timeout_s, resolved.config.timeout), MIN_TIMEOUT_S)
        try:
            async with asyncio.timeout(timeout_s):
                providers = await self._ready(resolved)
                return await providers.ask(resolved, request, timeout_s)
        except TimeoutError:
            raise ModelUnavailable(f"model '{resolved.alias}' did not answer within {timeout_s:g} s") from None

    async def _ready(self, resolved: ResolvedModel) -> "Providers":
        """The providers, with the library for this one imported in a thread."""
        if self._providers is None or resolved.kind not in self._loaded:
            loaded = await asyncio.to_thread(_load_providers, self.env, resolved.kind)
            self._providers = self._providers or loaded
            self._loaded.add(resolved.kind)
        return self._providers

    async def warm_up(self) -> None:
        """Import the libraries of all configured providers, so that the first request does not wait for it."""
        for name in self.config.aliases:
            await self._ready(self.resolve(name))

    async def close(self) -> None:
        """Close the connections to all providers."""
        if self._providers is not None:
            await self._providers.close()
