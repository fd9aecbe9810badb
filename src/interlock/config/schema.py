"""The shape of `interlock.yaml`: what people write, checked before anything starts.

Unknown keys are errors everywhere. Durations are texts such as `90s`, `5m`, `2h` or plain seconds.
"""

import inspect
import math
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

MAX_DURATION_S = 10 * 366 * 86_400.0
_DURATION = r"\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(ms|s|m|h|d)?\s*"
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NAME = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"


def parse_duration_s(value: Any) -> float:
    """Read `90`, `1.5`, `10s`, `5m`, `2h`, `1d` or `250ms` as seconds.

    Raises:
        ValueError: the text is no duration, or it is negative, not finite or above ten years.
    """
    found = re.fullmatch(_DURATION, value) if isinstance(value, str) else None
    if found:
        seconds = float(found[1]) * _UNIT_S[found[2] or "s"]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(min(value, MAX_DURATION_S + 1))
    else:
        shown = f"'{value[:40]}'" if isinstance(value, str) and value.isprintable() else "a value that is none"
        raise ValueError(f"found {shown}; expected a duration such as 30s, 5m or 2h")
    if math.isnan(seconds) or seconds < 0:
        raise ValueError("found a duration below zero; expected one such as 30s, 5m or 2h")
    if seconds > MAX_DURATION_S:
        raise ValueError("found a duration above ten years; expected one such as 30s, 5m or 2h")
    return seconds


def _positive_duration_s(value: Any) -> float:
    seconds = parse_duration_s(value)
    if seconds == 0:
        raise ValueError("found a duration of zero; expected one such as 30s, 5m or 2h")
    return seconds


_DURATION_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_DURATION}$"}]}
)
DurationS = Annotated[float, BeforeValidator(parse_duration_s), _DURATION_SCHEMA]
PositiveDurationS = Annotated[float, BeforeValidator(_positive_duration_s), _DURATION_SCHEMA]
Name = Annotated[str, Field(pattern=_NAME)]
ClassName = Literal["read", "write", "destructive"]


def describe_block(schema: dict[str, Any], block: type[BaseModel]) -> None:
    """Move what a block's docstring says of its attributes to the properties of its JSON Schema."""
    summary, _, attributes = inspect.cleandoc(block.__doc__ or "").partition("Attributes:\n")
    schema["description"] = " ".join(summary.split())
    for entry in re.split(r"\n(?=    \w)", attributes.rstrip()):
        names, _, words = entry.strip().partition(":")
        for name in names.split(", "):
            known = block.model_fields.get(name)
            found = schema.get("properties", {}).get((known and known.alias) or name)
            if found is not None:
                found["description"] = " ".join(words.split())
    for found in schema.get("properties", {}).values():
        if "patternProperties" in found:
            found["additionalProperties"] = False


class Strict(BaseModel):
    """A block that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, json_schema_extra=describe_block)


class DatabaseConfig(Strict):
    """Where Postgres is; nothing here means the embedded one.

    Attributes:
        url: DSN that workers and the server use; `INTERLOCK_DATABASE_URL` wins over it.
        owner_url: DSN of the role that migrates; default: the same.
    """

    url: str | None = None
    owner_url: str | None = None


class PriceConfig(Strict):
    """USD per million tokens.

    Attributes:
        input_usd_per_mtok: what a million tokens of the prompt cost.
        output_usd_per_mtok: what a million tokens of the answer cost.
    """

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
        timeout: how long one answer may take.
    """

    provider: Literal["anthropic", "openai"]
    model: str
    base_url: str | None = None
    api_key_env: str | None = None
    price: PriceConfig | None = None
    zone: Literal["local", "private", "public"] = "public"
    timeout: PositiveDurationS = 120.0


class ModelsConfig(Strict):
    """Models by alias and the tiers they serve.

    Attributes:
        aliases: models by a name of yours, which agents, metrics and budgets use.
        tiers: the aliases that serve a tier, the first one first.
        default: the model of an agent that names none: an alias, `playbook:NAME`, `anthropic:…` or `openai:…`.
    """

    aliases: dict[Name, ModelConfig] = {}
    tiers: dict[Literal["small", "medium", "large"], list[str]] = {}
    default: str | None = None


class ContractConfig(Strict):
    """What the operator declares of one tool; it wins over what the server says.

    Attributes:
        action_class: read, write or destructive; without it the classifier decides.
        egress: whether data can leave the machine; without it the classifier decides.
        control: arguments that decide where or on what the call acts.
        paths: arguments that name files.
        output: whether what it returns may be believed.
        idempotent: a repeat with the same key has no further effect.
        verify: how to find out whether a call took effect: `{tool, args, expect}`.
        inverse: a call that takes it back: `{tool, args}`.
    """

    model_config = ConfigDict(populate_by_name=True)

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

    Without `builtin` and `command` it extends the server of that name in `.mcp.json` or `tools/`.

    Attributes:
        builtin: name of a server that comes with interlock.
        root: the folder of the built-in workspace server, relative to interlock.yaml.
        command, args, env, cwd: as in `.mcp.json`; may hold `${NAME}` or `${NAME:-default}`.
        required: without it a run that is granted its tools does not start.
        trusted_hints: its MCP hints may lower a class; by default they only raise.
        start_timeout: how long it may take until it lists its tools.
        call_timeout: how long one call may take.
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
    start_timeout: PositiveDurationS = 60.0
    call_timeout: PositiveDurationS = 60.0
    contracts: dict[str, ContractConfig] = {}

    @field_validator("env")
    @classmethod
    def _env_names(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if not name or "=" in name or "\0" in name + value:
                raise ValueError("found a name or value that no environment can hold; expected NAME: text")
        return env

    @field_validator("args", "command", "cwd", "root")
    @classmethod
    def _no_zero(cls, value: list[str] | str | None) -> list[str] | str | None:
        if "\0" in "".join(value or ""):
            raise ValueError("found a zero character; expected a text without it")
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> "ToolServerConfig":
        if self.builtin and self.command is not None:
            raise ValueError("found both `builtin` and `command`; expected one of them")
        if self.builtin and not self.root:
            raise ValueError("`root` is missing; expected the folder that `builtin: workspace` may touch")
        if self.root and not self.builtin:
            raise ValueError("found `root` without `builtin`; expected `builtin: workspace` beside it")
        if self.args and self.command is None:
            raise ValueError("found `args` without `command`; expected the command that takes them")
        if self.command is not None and not self.command.strip():
            raise ValueError("found an empty `command`; expected a program")
        return self

    @property
    def extends(self) -> bool:
        """Whether it only adds to a server that is declared in `.mcp.json` or `tools/`."""
        return self.builtin is None and self.command is None


class PlanEntryConfig(Strict):
    """A call that the task is expected to make: control arguments by value or pattern, and how often.

    Attributes:
        tool: `server.name`.
        args: an argument's value, or `{pattern: regex}` over its text.
        count: how often at most.
    """

    tool: str
    args: dict[str, Any] = {}
    count: Annotated[int, Field(ge=1, le=10_000)] = 1


class CheckConfig(Strict):
    """A check of a finished run, made by a read-only call through the gate.

    Attributes:
        tool: `server.name`.
        args: what it is called with.
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

    max_duration: PositiveDurationS = 900.0
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
        instructions: what it is told before every task.
        model: an alias, `playbook:NAME`, `anthropic:MODEL` or `openai:MODEL`; default: `models.default`.
        tools: what it may see: `server.name` or `server.*`.
        plan: the write and egress calls it is expected to make; others ask.
        verify: checks of its result.
        limits: bounds of one task.
        approval_ttl: how long a question to a person stays open.
    """

    instructions: str = ""
    model: str | None = None
    tools: list[str] = []
    plan: list[PlanEntryConfig] = []
    verify: list[CheckConfig] = []
    limits: LimitsConfig = LimitsConfig()
    approval_ttl: PositiveDurationS = 86_400.0


class RuleWhen(Strict):
    """Conditions of a rule; all that are named must hold. Names may end in `*`.

    Attributes:
        tool: `server.name`, or the beginning of it and `*`.
        agent: an agent's name, or the beginning of it and `*`.
        action_class: read, write or destructive.
        egress: whether data can leave the machine.
        tainted: whether untrusted content had a say in the call.
        planned: whether the call is in the plan.
        reversible: whether the call can be undone.
    """

    model_config = ConfigDict(populate_by_name=True)

    tool: str | None = None
    agent: str | None = None
    action_class: ClassName | None = Field(default=None, alias="class")
    egress: bool | None = None
    tainted: bool | None = None
    planned: bool | None = None
    reversible: bool | None = None


class RuleConfig(Strict):
    """One rule; the strictest of all that match wins: deny, then ask, then allow.

    No rule lets a destructive call through without a person: `then: allow` with `class: destructive` is refused,
    and `then: allow` without a `class` speaks of reads and writes only.

    Attributes:
        id: a name of its own, shown with every decision it takes part in.
        when: conditions that must all hold.
        then: allow, ask (a person decides) or deny.
        reason: why, for whoever is asked or denied.
    """

    id: Name
    when: RuleWhen
    then: Literal["allow", "ask", "deny"]
    reason: str = ""


class PolicyConfig(Strict):
    """Rules on top of the built-in defaults.

    Attributes:
        version: of this format.
        rules: in any order.
    """

    version: Literal[1] = 1
    rules: list[RuleConfig] = []


class ServerConfig(Strict):
    """The HTTP server and the workers that `up` starts.

    Attributes:
        port: on the loopback interface; 0 takes any free one.
        workers: processes that run agents.
        concurrency: runs that one worker does at a time.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 7440
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8


class Config(Strict):
    """All of interlock.yaml. Blocks of later releases are refused by name until they do something.

    Attributes:
        database: where Postgres is.
        models: models and tiers.
        tools: tool servers by name.
        agents: agents by name.
        policy: rules on top of the built-in ones; more can be in policy.yaml.
        server: the HTTP server and its workers.
    """

    later_blocks: ClassVar[frozenset[str]] = frozenset({"memory", "schedules", "budgets", "alerts"})

    database: DatabaseConfig = DatabaseConfig()
    models: ModelsConfig = ModelsConfig()
    tools: dict[Name, ToolServerConfig] = {}
    agents: dict[Name, AgentConfig] = {}
    policy: PolicyConfig = PolicyConfig()
    server: ServerConfig = ServerConfig()


def config_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of interlock.yaml, with a description of every key."""
    schema = Config.model_json_schema(by_alias=True)
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **schema, "title": "interlock.yaml"}
