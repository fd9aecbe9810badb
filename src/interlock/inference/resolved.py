"""Turns a model's name into what answers it: a playbook, or a provider's model with its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from interlock.model import UnknownModel

if TYPE_CHECKING:
    from interlock.config import ModelConfig, ModelsConfig

ModelKind: TypeAlias = Literal["playbook", "openai", "anthropic"]
Zone: TypeAlias = Literal["local", "private", "public"]


@dataclass(frozen=True)
class ResolvedModel:
    """A model that can be asked.

    Attributes:
        kind: who answers.
        alias: the name for answers, metrics and messages: `playbook:NAME`, the configured alias, or `kind:model`.
        zone: where the prompt goes.
        model: the provider's own name of it, or the playbook's name.
        config: the provider's settings; None for a playbook.
        path: the playbook's file; None for a provider.
    """

    kind: ModelKind
    alias: str
    zone: Zone
    model: str
    config: "ModelConfig | None" = None
    path: Path | None = None


def resolve_model(name: str, config: "ModelsConfig", playbooks: Mapping[str, Path]) -> ResolvedModel:
    """Find a model by alias, by tier (its first model), as `kind:name`, or the default one for an empty name.

    Raises:
        UnknownModel: nothing of that name is configured.
    """
    wanted = name or config.default or ""
    if wanted not in config.aliases:
        for tier, models in config.tiers.items():
            if tier == wanted and models:
                wanted = models[0]
    settings = config.aliases.get(wanted)
    if settings is not None:
        return ResolvedModel(settings.provider, wanted, settings.zone, settings.model, settings)
    kind, _, rest = wanted.partition(":")
    if kind == "playbook":
        if rest not in playbooks:
            raise UnknownModel(f"there is no playbook '{rest}'; there are: {_names(playbooks)}")
        return ResolvedModel("playbook", wanted, "local", rest, path=playbooks[rest])
    if kind in ("openai", "anthropic") and rest:
        from interlock.config import ModelConfig

        direct = ModelConfig(provider="openai" if kind == "openai" else "anthropic", model=rest)
        return ResolvedModel(direct.provider, wanted, direct.zone, rest, direct)
    if not wanted:
        raise UnknownModel("no model is named, and no default is set under models.default")
    known = _names([*config.aliases, *(f"playbook:{one}" for one in playbooks)])
    raise UnknownModel(f"there is no model '{wanted}'; there are: {known}")


def _names(names: Mapping[str, Path] | list[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:20]) + (" …" if len(ordered) > 20 else "") or "none"
