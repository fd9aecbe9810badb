"""Which model answers, with which key, at what price; and that importing the room stays cheap."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.config import ModelConfig, ModelsConfig, PriceConfig
from interlock.inference import Models, ResolvedModel
from interlock.inference.keys import is_loopback, provider_key
from interlock.inference.prices import cost_usd, estimated_input_tokens
from interlock.model import (
    ModelRefused,
    ModelRequest,
    PlaybookError,
    PlaybookFailed,
    RequestTurn,
    ToolDefinition,
    ToolRef,
    UnknownModel,
    Usage,
)

PRICE = PriceConfig(input_usd_per_mtok=1, output_usd_per_mtok=5)


def models(playbooks: dict[str, Path] | None = None, **aliases: ModelConfig) -> Models:
    config = ModelsConfig(aliases=aliases, tiers={"small": ["cheap"]}, default="playbook:p")
    return Models(config, playbooks or {}, {})


def request(model: str, **options: int) -> ModelRequest:
    return ModelRequest(model, "be brief", (RequestTurn("x" * 3000),), (), **options)


def test_names(tmp_path: Path) -> None:
    known = models({"p": tmp_path / "p.yaml"}, cheap=ModelConfig(provider="anthropic", model="claude-haiku-4-5"))
    assert known.resolve("cheap").kind == "anthropic"
    assert known.resolve("small").alias == "cheap"
    assert known.resolve("").path == tmp_path / "p.yaml"
    playbook = known.resolve("playbook:p")
    assert (playbook.kind, playbook.alias, playbook.zone) == ("playbook", "playbook:p", "local")
    direct = known.resolve("openai:gpt-4o-mini")
    assert (direct.kind, direct.model, direct.alias, direct.zone) == (
        "openai",
        "gpt-4o-mini",
        "openai:gpt-4o-mini",
        "public",
    )


@pytest.mark.parametrize("name", ["nope", "playbook:none", "large", "openai:", "cohere:x"])
def test_unknown_names_say_what_there_is(name: str, tmp_path: Path) -> None:
    known = models({"p": tmp_path / "p.yaml"}, cheap=ModelConfig(provider="openai", model="m"))
    with pytest.raises(UnknownModel, match=r"there are:.*p"):
        known.resolve(name)


def test_no_default() -> None:
    with pytest.raises(UnknownModel, match="default"):
        Models(ModelsConfig(), {}, {}).resolve("")


async def test_a_playbook_answers_and_is_read_again_when_it_changes(write: Callable[[str], Path]) -> None:
    path = write("version: 1\nsteps: [{say: a}]\nresult: one\n")
    known = models({"p": path, "other": path})
    assert (await known.request(request("playbook:p"))).text == "a\none"
    assert (await known.request(request("playbook:other"))).model == "playbook:other"
    resolved = known.resolve("playbook:p")
    assert known.playbook(resolved).steps is known.playbook(resolved).steps
    write("version: 1\nsteps: [{say: a}]\nresult: another\n")
    assert (await known.request(request(""))).text == "a\nanother"
    write("version: 1\nsteps: [{fail: no}]\n")
    with pytest.raises(PlaybookFailed, match="playbook 'p'"):
        await known.request(request(""))
    path.unlink()
    with pytest.raises(PlaybookError, match="can't be read"):
        await known.request(request(""))


def test_the_quote_is_the_worst_case() -> None:
    known = models(cheap=ModelConfig(provider="openai", model="m", price=PRICE))
    quote = known.quote(request("cheap", max_output_tokens=1000))
    assert quote == pytest.approx((estimated_input_tokens(request("cheap")) + 5000) / 1e6)
    assert estimated_input_tokens(request("cheap")) > 1000
    assert known.quote(request("cheap", max_output_tokens=2000)) > quote


def test_tools_and_languages_count_in_the_estimate() -> None:
    tool = ToolDefinition(ToolRef("s", "t"), None, "d" * 300, {"type": "object"})
    bare = ModelRequest("m", "", (RequestTurn("漢" * 100),), ())
    assert estimated_input_tokens(bare) >= 100
    with_tool = ModelRequest("m", "", (RequestTurn("漢" * 100),), (tool,))
    assert estimated_input_tokens(with_tool) >= estimated_input_tokens(bare) + 100


def test_prices() -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=100_000)

    def of(**options: object) -> float:
        config = ModelConfig.model_validate({"provider": "anthropic", "model": "claude-haiku-4-5"} | options)
        return cost_usd(ResolvedModel(config.provider, "a", config.zone, config.model, config), usage)

    assert of() == pytest.approx(1.5)
    assert of(price=PRICE) == pytest.approx(1.5)
    assert of(zone="local", base_url="http://127.0.0.1:1") == 0
    assert of(zone="local", base_url="http://127.0.0.1:1", price=PRICE) == pytest.approx(1.5)
    for unknown in ({"model": "claude-unheard-of"}, {"base_url": "https://elsewhere.example"}, {"provider": "openai"}):
        with pytest.raises(ModelRefused, match="no price known") as caught:
            of(**unknown)
        assert "models.aliases.a.price" in caught.value.next_step


def test_cached_tokens_are_priced_from_the_table() -> None:
    resolved = models().resolve("anthropic:claude-haiku-4-5")
    usage = Usage(input_tokens=100_000, output_tokens=2_000, cache_read_tokens=80_000, cache_write_tokens=10_000)
    assert cost_usd(resolved, usage) == pytest.approx(0.0405)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8080/v1", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:80", True),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("https://user:127.0.0.1@example.com", False),
        ("nonsense", False),
    ],
)
def test_loopback(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


def key(env: dict[str, str], **options: object) -> str:
    config = ModelConfig.model_validate({"provider": "openai", "model": "m"} | options)
    return provider_key(ResolvedModel("openai", "a", config.zone, "m", config), config, env)


def test_keys() -> None:
    env = {"OPENAI_API_KEY": " vendor ", "MINE": "mine", "EMPTY": ""}
    assert key(env) == "vendor"
    assert key(env, api_key_env="MINE") == "mine"
    assert key(env, base_url="https://x.example", api_key_env="MINE") == "mine"
    assert key(env, base_url="http://localhost:1") == "none"
    assert key(env, base_url="http://ollama:11434", zone="local") == "none"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "OPENAI_API_KEY is not set"),
        ({"api_key_env": "EMPTY"}, "EMPTY is not set"),
        ({"api_key_env": "GONE", "base_url": "http://localhost:1"}, "GONE is not set"),
        ({"base_url": "https://x.example"}, "no key"),
        ({"api_key_env": "ODD"}, "ODD holds characters"),
    ],
)
def test_missing_keys(options: dict[str, object], said: str) -> None:
    with pytest.raises(ModelRefused, match=said):
        key({"EMPTY": "", "ODD": "sk-…"}, **options)


def test_the_vendors_key_never_goes_to_another_address() -> None:
    with pytest.raises(ModelRefused):
        key({"OPENAI_API_KEY": "vendor"}, base_url="https://x.example")


def test_importing_the_room_does_not_import_a_provider_library() -> None:
    code = (
        "import sys, time; import interlock.model; began = time.process_time(); import interlock.inference; "
        "took = time.process_time() - began; "
        "print(took, [m for m in ('pydantic_ai', 'pydantic', 'openai', 'anthropic', 'genai_prices', 'httpx2') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    took, _, loaded = done.stdout.strip().partition(" ")
    assert loaded == "[]"
    assert float(took) < 0.5
