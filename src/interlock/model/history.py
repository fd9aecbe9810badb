"""The history of a run: append-only turns in our own nouns, read by the agent loop and by model providers.

Each model turn also carries the provider's own message as opaque JSON that only `inference` reads.
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from interlock.model.tool import ToolDefinition


@dataclass(frozen=True)
class CallRequest:
    """A call that a model asked for; `call_no` is our own number, committed before any tool runs."""

    call_no: int
    tool: str
    args: dict[str, Any]
    reason: str = ""
    provider_call_id: str = ""


@dataclass(frozen=True)
class Usage:
    """Tokens of one model call; `input_tokens` includes cached ones."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True)
class RequestTurn:
    """What was asked: `text` is trusted, `inputs` are not."""

    text: str
    inputs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelTurn:
    """One answer of a model: text, calls, or both; with no calls the text is the result."""

    text: str
    calls: tuple[CallRequest, ...]
    model: str
    usage: Usage = Usage()
    provider: Any = None


@dataclass(frozen=True)
class Observation:
    """The answer to one call: `text` is what the model reads; `tool` is `server.name`."""

    call_no: int
    tool: str
    ok: bool
    text: str
    structured: dict[str, Any] | None = None
    trusted: bool = False


@dataclass(frozen=True)
class NoteTurn:
    """A line from the platform: why the last run failed, what a person answered, a lesson."""

    text: str


Turn: TypeAlias = RequestTurn | ModelTurn | Observation | NoteTurn


def unanswered(turns: tuple[Turn, ...]) -> tuple[CallRequest, ...]:
    """Calls of the last model turn that have no observation yet, in order."""
    answered: set[int] = set()
    for turn in reversed(turns):
        if isinstance(turn, Observation):
            answered.add(turn.call_no)
        elif isinstance(turn, ModelTurn):
            return tuple(call for call in turn.calls if call.call_no not in answered)
    return ()


@dataclass(frozen=True)
class ModelRequest:
    """One request to a model: `model` is `kind:name` (as `playbook:inspect`) or a configured alias."""

    model: str
    instructions: str
    turns: tuple[Turn, ...]
    tools: tuple[ToolDefinition, ...]
    max_output_tokens: int = 4096
    timeout_s: float = 120.0


@dataclass(frozen=True)
class CallProposal:
    """A call in a model's answer, before it has a number; `tool` is `server.name`."""

    tool: str
    args: dict[str, Any]
    reason: str = ""
    provider_call_id: str = ""


@dataclass(frozen=True)
class ModelAnswer:
    """What a model answered; with no calls the text is the result of the run."""

    text: str
    calls: tuple[CallProposal, ...]
    model: str
    usage: Usage = Usage()
    cost_usd: float = 0.0
    provider: Any = None
