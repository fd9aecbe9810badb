"""The shape of `interlock.yaml`: what people write, checked before anything starts.

Unknown keys are errors everywhere. Durations are texts such as `90s`, `5m`, `2h` or plain seconds.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from interlock.config.check_schema import CheckConfig
from interlock.config.schedule_schema import ScheduleConfig
from interlock.config.shapes import ClassName, DurationS, KeptS, Name, PositiveDurationS, RateText, Strict
from interlock.config.tool_schema import SandboxMode, ToolServerConfig
from interlock.config.trigger_schema import TriggerConfig


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


class LimitsConfig(Strict):
    """Bounds of one task of an agent; a call that would pass one asks a person, or is denied.

    Attributes:
        max_duration: working time of a task, waiting not counted.
        max_runs: tries before a person decides.
        max_turns: model answers in one run.
        calls_per_minute: tool calls in any one minute.
        agent_rate: tool calls of all tasks of the agent together, such as `600/h burst 50`.
        files: files changed by a task.
        services: tool servers other than the workspace that a task may change something at.
        cost_usd: money for models in one task.
        retry_delay: before the second run; doubled for each further one.
        same_call: how often the same call may give the same answer before the run counts as a loop.
        stuck_turns: model answers in a row that bring nothing new before it counts as one.
        cost_usd_per_minute: money for models in any one minute; more of it, and a person decides.
        children: tasks that a task may give to other agents.
        depth: how deep tasks may be nested below it; with 1, those that it gives away can give nothing away.
    """

    max_duration: PositiveDurationS = 900.0
    max_runs: Annotated[int, Field(ge=1, le=100)] = 3
    max_turns: Annotated[int, Field(ge=1, le=1000)] = 50
    calls_per_minute: Annotated[int, Field(ge=1)] = 120
    agent_rate: RateText | None = None
    files: Annotated[int, Field(ge=0)] = 20
    services: Annotated[int, Field(ge=0)] = 3
    cost_usd: Annotated[float, Field(ge=0)] = 2.0
    retry_delay: DurationS = 2.0
    same_call: Annotated[int, Field(ge=2, le=1000)] = 5
    stuck_turns: Annotated[int, Field(ge=2, le=1000)] = 8
    cost_usd_per_minute: Annotated[float, Field(ge=0)] | None = None
    children: Annotated[int, Field(ge=1, le=1000)] = 10
    depth: Annotated[int, Field(ge=1, le=10)] = 3


class AgentConfig(Strict):
    """An agent is data: what it is told, which model, which tools, and its bounds.

    Attributes:
        instructions: what it is told before every task.
        model: an alias, a tier, `playbook:NAME`, `anthropic:MODEL` or `openai:MODEL`; default: `models.default`.
        stronger: models for the runs after a result that was not accepted, in order; of a tier, the tiers above it.
        tools: what it may see: `server.name` or `server.*`.
        plan: the write and egress calls it is expected to make; others ask.
        verify: checks of its result, which is none until it has passed them.
        delegates: agents that it may give parts of its work to, with the tool `interlock.delegate`.
        limits: bounds of one task, and of all together that it gives away.
        concurrency: how many of its tasks may run at a time, over all workers; the others wait in the queue.
        backlog: how many tasks may wait for it; more are refused until some have begun.
        approval_ttl: how long a question to a person stays open.
    """

    instructions: str = ""
    model: str | None = None
    stronger: list[str] = []
    tools: list[str] = []
    plan: list[PlanEntryConfig] = []
    verify: list[CheckConfig] = []
    delegates: list[str] = []
    limits: LimitsConfig = LimitsConfig()
    concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = None
    backlog: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
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
        sandbox: `required` refuses to start a tool server that can't be confined; `preferred` starts it and says so.
        rules: in any order.
    """

    version: Literal[1] = 1
    sandbox: SandboxMode = "preferred"
    rules: list[RuleConfig] = []


class RetentionConfig(Strict):
    """How long what is over is kept. The audit record always is.

    Attributes:
        tasks: final tasks with their runs, calls, approvals, artifacts and snapshots, from their end; without their
            snapshots nothing can be undone, so this is also how long undo reaches back. An hour or more, or `forever`.
    """

    tasks: KeptS = 90 * 86_400.0


class ServerConfig(Strict):
    """The HTTP server and the workers that `up` starts.

    Attributes:
        port: on the loopback interface; 0 takes any free one.
        workers: processes that run agents.
        concurrency: runs that one worker does at a time.
        running: tasks of all agents together that may run at a time, over all workers.
        retention: how long what is over is kept.
        lost_host_after: without a worker of a machine for so long, the tasks that can only run there go to a person.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 7440
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    running: Annotated[int, Field(ge=1, le=100_000)] | None = None
    retention: RetentionConfig = RetentionConfig()
    lost_host_after: PositiveDurationS = 300.0


class Config(Strict):
    """All of interlock.yaml. Blocks of later releases are refused by name until they do something.

    Attributes:
        database: where Postgres is.
        models: models and tiers.
        tools: tool servers by name.
        agents: agents by name.
        schedules: tasks that are submitted again and again, by name.
        triggers: tasks that signed requests of other programs start, by name.
        policy: rules on top of the built-in ones; more can be in policy.yaml.
        server: the HTTP server and its workers.
    """

    later_blocks: ClassVar[frozenset[str]] = frozenset({"memory", "budgets", "alerts"})

    database: DatabaseConfig = DatabaseConfig()
    models: ModelsConfig = ModelsConfig()
    tools: dict[Name, ToolServerConfig] = {}
    agents: dict[Name, AgentConfig] = {}
    schedules: dict[Name, ScheduleConfig] = {}
    triggers: dict[Name, TriggerConfig] = {}
    policy: PolicyConfig = PolicyConfig()
    server: ServerConfig = ServerConfig()


def config_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of interlock.yaml, with a description of every key."""
    schema = Config.model_json_schema(by_alias=True)
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **schema, "title": "interlock.yaml"}
