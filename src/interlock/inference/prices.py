"""What a model call costs: the configured price, else the table that comes with `genai-prices` (no network).

A cloud model without a known price is refused: a budget can't hold for a price nobody knows.
"""

import json
import math

from interlock.inference.resolved import ResolvedModel
from interlock.model import ModelRefused, ModelRequest, ModelTurn, RequestTurn, Turn, Usage

BYTES_PER_TOKEN = 3  # low on purpose: English text has about 4
_PER_PART = 16  # tokens that a provider adds around a turn or a tool
_PER_REQUEST = 500  # tokens that a provider adds for the use of tools
_MTOK = 1_000_000


def _price_refused(resolved: ResolvedModel) -> ModelRefused:
    return ModelRefused(
        f"no price known for model '{resolved.model}' ({resolved.alias}), so no budget can hold",
        hint=f"set models.aliases.{resolved.alias}.price in interlock.yaml (or zone: local if it costs nothing)",
    )


def cost_usd(resolved: ResolvedModel, usage: Usage) -> float:
    """What `usage` costs in USD; 0 for playbooks and for the local zone without a price.

    Raises:
        ModelRefused: no price is configured, and the table does not know the model.
    """
    config = resolved.config
    if config is None:
        return 0.0
    if config.price is not None:
        paid = usage.input_tokens * config.price.input_usd_per_mtok
        return (paid + usage.output_tokens * config.price.output_usd_per_mtok) / _MTOK
    if resolved.zone == "local":
        return 0.0
    if config.base_url is not None:  # another seller may use the same name at another price
        raise _price_refused(resolved)
    return _table_usd(resolved, usage)


def _table_usd(resolved: ResolvedModel, usage: Usage) -> float:
    from genai_prices import Usage as PricedUsage
    from genai_prices import calc_price

    counted = PricedUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    try:
        return float(calc_price(counted, resolved.model, provider_id=resolved.kind).total_price)
    except LookupError as error:
        raise _price_refused(resolved) from error


def _turn_bytes(turn: Turn) -> int:
    if isinstance(turn, RequestTurn):
        return len(turn.text.encode()) + len(json.dumps(turn.inputs, default=str))
    if isinstance(turn, ModelTurn):
        opaque = len(json.dumps(turn.provider, default=str)) if turn.provider is not None else 0
        calls = sum(len(call.tool) + len(json.dumps(call.args, default=str)) for call in turn.calls)
        return max(opaque, len(turn.text.encode()) + calls)
    return len(turn.text.encode())


def estimated_input_tokens(request: ModelRequest) -> int:
    """A high estimate of what a provider will count as input."""
    size = len(request.instructions.encode()) + sum(map(_turn_bytes, request.turns))
    for tool in request.tools:
        size += len(tool.description.encode()) + len(json.dumps(tool.input_schema, default=str))
    parts = len(request.turns) + len(request.tools)
    return math.ceil(size / BYTES_PER_TOKEN) + parts * _PER_PART + _PER_REQUEST


def quote_usd(resolved: ResolvedModel, request: ModelRequest) -> float:
    """The most that a request can cost in USD, by estimate: its input and all the output it may have.

    Raises:
        ModelRefused: no price is known.
    """
    if resolved.config is None:
        return 0.0
    return cost_usd(resolved, Usage(estimated_input_tokens(request), request.max_output_tokens))
