"""The shape of `interlock.yaml`: what people write, checked before anything starts.

Unknown keys are errors everywhere. Durations are texts such as `90s`, `5m`, `2h` or plain seconds.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NAME = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"


def parse_duration_s(value: Any) -> float:
    """Read `90`, `1.5`, `10s`, `5m`, `2h`, `1d` or `250ms` as seconds.

    Raises:
        ValueError: the text is no duration, or it is negative.
    """
    if isinstance(value, bool):
        raise ValueError("expected a duration such as 30s, 5m or 2h")
    if isinstance(value, int | float):
        seconds = float(value)
    else:
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*", str(value))
        if not found:
            raise ValueError(f"'{value}' is no duration: expected one such as 30s, 5m or 2h")
        seconds = float(found[1]) * _UNIT_S[found[2] or "s"]
    if seconds < 0:
        raise ValueError("a duration can't be negative")
    return seconds


DurationS = Annotated[float, BeforeValidator(parse_duration_s)]
Name = Annotated[str, Field(pattern=_NAME)]
ClassName = Literal["read", "write", "destructive"]


class Strict(BaseModel):
    """A block that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseConfig(Strict):
    """Where Postgres is; nothing here means the embedded one.

    Attributes:
        url: DSN that workers and the server use; `INTERLOCK_DATABASE_URL` wins over it.
        owner_url: DSN of the role that migrates; default: the same.
    """

    url: str | None = None
    owner_url: str | None = None


class PriceConfig(Strict):
    """USD per million tokens."""

    input_usd_per_mtok: Annotated[float, Field(ge=0)]
    output_usd_per_mtok: Annotated[float, Field(ge=0)]


class ModelConfig(Strict):
    """One model under an alias of ours.

    Attributes:
        provider: `anthropic`, or `openai` for anything that speaks its wire format.
        model: the provider's own name of it.
        base_url: where an OpenAI-compatible server listens.
        api_key_env: the environment variable with the key; default: the vendor's usual one.
        price: overrides the price table; needed for a model it does not know.
        zone: where the prompt goes.
    """

    provider: Literal["anthropic", "openai"]
    model: str
    base_url: str | None = None
    api_key_env: str | None = None
    price: PriceConfig | None = None
    zone: Literal["local", "private", "public"] = "public"
    timeout: DurationS = 120.0


class ModelsConfig(Strict):
    """Models by alias and the tiers they serve."""

    aliases: dict[Name, ModelConfig] = {}
    tiers: dict[Literal["small", "medium", "large"], list[str]] = {}
    default: str | None = None


class ContractConfig(Strict):
    """What the operator declares of one tool; it wins over what the server says."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    action_class: ClassName | None = Field(default=None, alias="class")
    egress: bool | None = None
    control: list[str] = []
    paths: list[str] = []
    output: Literal["trusted", "untrusted"] = "untrusted"
    idempotent: bool = False
    verify: dict[str, Any] | None = None
    inverse: dict[str, Any] | None = None


class ToolServerConfig(Strict):
    """One MCP server: a built-in one with its folder, or a command that speaks MCP over stdio.

    Attributes:
        builtin: name of a server that comes with interlock.
        root: the folder of the built-in workspace server, relative to interlock.yaml.
        command, args, env, cwd: as in `.mcp.json`; `env` values may be `${NAME}` or `${NAME:-default}`.
        required: without it a run that is granted its tools does not start.
        trusted_hints: its MCP hints may lower a class; by default they only raise.
        contracts: by tool name.
    """

    builtin: Literal["workspace"] | None = None
    root: str | None = None
    command: str | None = None
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None
    required: bool = True
    trusted_hints: bool = False
    start_timeout: DurationS = 60.0
    call_timeout: DurationS = 60.0
    contracts: dict[str, ContractConfig] = {}

    @model_validator(mode="after")
    def _one_kind(self) -> "ToolServerConfig":
        if (self.builtin is None) == (self.command is None):
            raise ValueError("expected either `builtin: workspace` with `root`, or a `command`")
        if self.builtin and not self.root:
            raise ValueError("`builtin: workspace` needs `root`, the folder it may touch")
        return self


class PlanEntryConfig(Strict):
    """A call that the task is expected to make: control arguments by value or pattern, and how often.

    `args` maps an argument to a value, or to `{pattern: regex}` over its text.
    """

    tool: str
    args: dict[str, Any] = {}
    count: Annotated[int, Field(ge=1, le=10_000)] = 1


class CheckConfig(Strict):
    """A check of a finished run, made by a read-only call through the gate.

    Attributes:
        tool: `server.name`.
        expect: what its text or structured result must hold: `{contains}`, `{matches}`, `{equals}`, `{ok}`.
    """

    tool: str
    args: dict[str, Any] = {}
    expect: dict[str, Any] = {"ok": True}


class LimitsConfig(Strict):
    """Bounds of one task of an agent; a call that would pass one asks a person, or is denied.

    Attributes:
        max_duration: working time of a task, waiting not counted.
        max_runs: tries before a person decides.
        max_turns: model answers in one run.
        calls_per_minute: tool calls in any one minute.
        files: files changed by a task.
        services: tool servers other than the workspace that a task may change something at.
        cost_usd: money for models in one task.
        retry_delay: before the second run; doubled for each further one.
    """

    max_duration: DurationS = 900.0
    max_runs: Annotated[int, Field(ge=1, le=100)] = 3
    max_turns: Annotated[int, Field(ge=1, le=1000)] = 50
    calls_per_minute: Annotated[int, Field(ge=1)] = 120
    files: Annotated[int, Field(ge=0)] = 20
    services: Annotated[int, Field(ge=0)] = 3
    cost_usd: Annotated[float, Field(ge=0)] = 2.0
    retry_delay: DurationS = 2.0


class AgentConfig(Strict):
    """An agent is data: what it is told, which model, which tools, and its bounds.

    Attributes:
        tools: what it may see: `server.name` or `server.*`.
        plan: the write and egress calls it is expected to make; others ask.
        verify: checks of its result.
        approval_ttl: how long a question to a person stays open.
    """

    instructions: str = ""
    model: str | None = None
    tools: list[str] = []
    plan: list[PlanEntryConfig] = []
    verify: list[CheckConfig] = []
    limits: LimitsConfig = LimitsConfig()
    approval_ttl: DurationS = 86_400.0


class RuleWhen(Strict):
    """Conditions of a rule; all that are named must hold. Names may end in `*`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    tool: str | None = None
    agent: str | None = None
    action_class: ClassName | None = Field(default=None, alias="class")
    egress: bool | None = None
    tainted: bool | None = None
    planned: bool | None = None
    reversible: bool | None = None


class RuleConfig(Strict):
    """One rule; the strictest of all that match wins: deny, then ask, then allow."""

    id: Name
    when: RuleWhen
    then: Literal["allow", "ask", "deny"]
    reason: str = ""


class PolicyConfig(Strict):
    """Rules on top of the built-in defaults."""

    version: Literal[1] = 1
    rules: list[RuleConfig] = []


class ServerConfig(Strict):
    """The HTTP server and the workers that `up` starts."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 7440
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8


class Config(Strict):
    """All of interlock.yaml. Blocks of later releases are refused by name until they do something."""

    database: DatabaseConfig = DatabaseConfig()
    models: ModelsConfig = ModelsConfig()
    tools: dict[Name, ToolServerConfig] = {}
    agents: dict[Name, AgentConfig] = {}
    policy: PolicyConfig = PolicyConfig()
    server: ServerConfig = ServerConfig()
