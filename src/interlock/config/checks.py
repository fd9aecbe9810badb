"""Checks across blocks, after the shape holds: every name that one block uses is declared by another."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from interlock.config.check_faults import check_faults
from interlock.config.fault_parts import Fault, Known, expect_faults, pattern_faults, tool_faults
from interlock.config.machines import two_hosts
from interlock.config.problems import Problem, quoted
from interlock.config.schema import Config, PlanEntryConfig, RuleConfig
from interlock.config.secrets import SECRET, secret_fault
from interlock.config.tool_schema import ContractConfig, SandboxConfig, ToolServerConfig
from interlock.config.yaml_marks import Loc, Locator
from interlock.config.yaml_models import did_you_mean

PROVIDERS = ("anthropic", "openai")
_BUILT_IN_AGENTS = frozenset({"undo"})
_BUILT_IN_SERVERS = frozenset({"shell", "sql", "interlock"})


@dataclass(frozen=True)
class PlacedRule:
    """A policy rule and where it stands."""

    rule: RuleConfig
    locate: Locator
    loc: Loc

    def problem(self, text: str, *below: str) -> Problem:
        """A problem of this rule, or of a key below it."""
        return self.locate.problem((*self.loc, *below), text)


def config_problems(config: Config, known: Known, locate: Locator) -> list[Problem]:
    """Names in agents, models and tools that nothing declares, patterns that can't be used, parts that don't fit."""
    faults = [
        *_model_faults(config, known),
        *_agent_faults(config, known),
        *_contract_faults(config, known),
        *_server_faults(config),
        *_task_faults(config),
    ]
    return [locate.problem(loc, text) for loc, text in faults]


def rule_problems(rules: Iterable[PlacedRule]) -> Iterator[tuple[Locator, Problem]]:
    """Repeated rule ids, and rules that would let a destructive call through without a person."""
    first: dict[str, PlacedRule] = {}
    for placed in rules:
        rule = placed.rule
        if rule.id in first:
            other = first[rule.id]
            where = f"{other.locate.path.name}:{other.locate((*other.loc, 'id'))}"
            text = f"the rule id {quoted(rule.id)} is repeated (first in {where}); expected an id of its own"
            yield placed.locate, placed.problem(text, "id")
        else:
            first[rule.id] = placed
        if rule.then == "allow" and rule.when.action_class == "destructive":
            text = "no rule may let a destructive call through without a person; expected then: ask, or then: deny"
            yield placed.locate, placed.problem(text, "then")


def rule_notes(rules: Iterable[PlacedRule], config: Config, known: Known) -> Iterator[tuple[Locator, Problem]]:
    """Rules that can match nothing as things are, because they name no configured agent or server."""
    agents = {*config.agents, *_BUILT_IN_AGENTS}
    servers = {*known.servers, *_BUILT_IN_SERVERS}
    for placed in rules:
        when = placed.rule.when
        if when.agent is not None and not _matches_any(when.agent, agents):
            text = f"no agent {quoted(when.agent)} is configured; {did_you_mean(when.agent, sorted(agents))}"
            yield placed.locate, placed.problem(text, "when", "agent")
        if when.tool is not None:
            server, dot, _ = when.tool.partition(".")
            if not _matches_any(server if dot else when.tool, servers):
                text = f"no tool server {quoted(server)} is configured; {did_you_mean(server, sorted(servers))}"
                yield placed.locate, placed.problem(text, "when", "tool")


def _matches_any(pattern: str, names: Iterable[str]) -> bool:
    if pattern.endswith("*"):
        return any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names


def _model_faults(config: Config, known: Known) -> Iterator[Fault]:
    models = config.models
    for tier, aliases in models.tiers.items():
        for index, alias in enumerate(aliases):
            if alias not in models.aliases:
                wanted = did_you_mean(alias, list(models.aliases)) or "expected one that models.aliases declares"
                yield ("models", "tiers", tier, index), f"no model alias {quoted(alias)}; {wanted}"
    named: list[tuple[Loc, str | None]] = [(("models", "default"), models.default)]
    for name, agent in config.agents.items():
        named.append((("agents", name, "model"), agent.model))
        named += [(("agents", name, "stronger", index), other) for index, other in enumerate(agent.stronger)]
    for loc, model in named:
        fault = _model_fault(model, config, known) if model is not None else None
        if fault:
            yield loc, fault


def _model_fault(model: str, config: Config, known: Known) -> str | None:
    if model in config.models.aliases or any(model == tier and found for tier, found in config.models.tiers.items()):
        return None
    kind, colon, name = model.partition(":")
    if not colon:
        wanted = did_you_mean(model, list(config.models.aliases)) or "models.aliases declares none"
        return f"no model alias {quoted(model)}; {wanted}, or playbook:NAME, anthropic:MODEL, openai:MODEL"
    if kind == "playbook":
        if name in known.playbooks:
            return None
        wanted = did_you_mean(name, sorted(known.playbooks)) or f"expected the file playbooks/{name}.yaml"
        return f"no playbook {quoted(name)}; {wanted}"
    if kind in PROVIDERS and name.strip():
        return None
    return f"found {quoted(model)}; expected an alias, playbook:NAME, anthropic:MODEL or openai:MODEL"


def _agent_faults(config: Config, known: Known) -> Iterator[Fault]:
    for name, agent in config.agents.items():
        loc: Loc = ("agents", name)
        for index, tool in enumerate(agent.tools):
            yield from tool_faults(tool, known, (*loc, "tools", index), wildcard=True)
        for index, other in enumerate(agent.delegates):
            if other not in config.agents:
                wanted = did_you_mean(other, sorted(config.agents)) or "expected one that is"
                yield (*loc, "delegates", index), f"no agent {quoted(other)} is configured; {wanted}"
        apart = two_hosts(agent, config)
        if apart is not None:
            one, other = (f"{server} (on {config.tools[server].host})" for server in apart)
            yield (*loc, "tools"), f"found tools of {one} and of {other}; expected those of one machine"
        for index, entry in enumerate(agent.plan):
            yield from _plan_faults(entry, known, (*loc, "plan", index))
        for index, check in enumerate(agent.verify):
            yield from check_faults(check, agent, config, known, (*loc, "verify", index))


def _task_faults(config: Config) -> Iterator[Fault]:
    """Agents of tasks that come by themselves."""
    named = [(("schedules", name, "agent"), schedule.agent) for name, schedule in config.schedules.items()]
    named += [(("triggers", name, "agent"), trigger.agent) for name, trigger in config.triggers.items()]
    for loc, agent in named:
        if agent not in config.agents:
            wanted = did_you_mean(agent, sorted(config.agents)) or "expected one that is"
            yield loc, f"no agent {quoted(agent)} is configured; {wanted}"


def _plan_faults(entry: PlanEntryConfig, known: Known, loc: Loc) -> Iterator[Fault]:
    yield from tool_faults(entry.tool, known, (*loc, "tool"))
    for argument, value in entry.args.items():
        if isinstance(value, dict) and set(value) == {"pattern"}:
            yield from pattern_faults(value["pattern"], (*loc, "args", argument, "pattern"))


def _contract_faults(config: Config, known: Known) -> Iterator[Fault]:
    for server, declared in config.tools.items():
        for tool, contract in declared.contracts.items():
            loc: Loc = ("tools", server, "contracts", tool)
            yield from _one_contract(contract, known, loc)
            for index, fallback in enumerate(contract.fallbacks):
                yield from tool_faults(fallback.tool, known, (*loc, "fallbacks", index, "tool"))
            if contract.dry_run == {}:
                yield (*loc, "dry_run"), "found an empty mapping; expected arguments such as {dry_run: true}"
    yield from _fallback_circles(config)


def _fallback_circles(config: Config) -> Iterator[Fault]:
    """Fallbacks by which a tool would, over others or at once, stand in for itself."""
    steps = {
        f"{server}.{tool}": [fallback.tool for fallback in contract.fallbacks]
        for server, declared in config.tools.items()
        for tool, contract in declared.contracts.items()
    }
    for start, nexts in steps.items():
        server, _, tool = start.partition(".")
        for index, name in enumerate(nexts):
            loc: Loc = ("tools", server, "contracts", tool, "fallbacks", index, "tool")
            if name == start:
                yield loc, f"found {quoted(name)} itself; expected another tool"
            elif start in _reached(name, steps):
                yield loc, f"found {quoted(name)}, which falls back to {start} again; expected no circle"


def _reached(start: str, steps: Mapping[str, list[str]]) -> set[str]:
    """All that can be reached from a name, without the name unless it leads to itself."""
    seen: set[str] = set()
    pending = list(steps.get(start, ()))
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += steps.get(name, ())
    return seen


def _server_faults(config: Config) -> Iterator[Fault]:
    for name, server in config.tools.items():
        loc: Loc = ("tools", name)
        if name == "interlock":
            yield loc, "the name 'interlock' is kept for tools of its own; expected another one"
        yield from _twin_faults(name, server, config, loc)
        yield from _kind_faults(server, loc)
        yield from _reference_faults(server, loc)
        if config.policy.sandbox == "required" and server.sandbox.mode in ("off", "preferred"):
            yield (
                (*loc, "sandbox", "mode"),
                f"found '{server.sandbox.mode}' where the policy says sandbox: required; expected 'required', or no mode",
            )


def _twin_faults(name: str, server: ToolServerConfig, config: Config, loc: Loc) -> Iterator[Fault]:
    twin = server.staging
    if twin is None:
        return
    if twin == name:
        yield (*loc, "staging"), f"found {quoted(twin)} itself; expected another server"
    elif twin not in config.tools:
        wanted = did_you_mean(twin, sorted(other for other in config.tools if other != name))
        yield (*loc, "staging"), f"no tool server {quoted(twin)} is configured; {wanted or 'expected one that is'}"
    elif config.tools[twin].staging is not None:
        yield (*loc, "staging"), f"found {quoted(twin)}, which has a `staging` of its own; expected one without"


_LAUNCHERS = frozenset({"npx", "npx.cmd", "npm", "uvx", "uv", "cmd"})


def _kind_faults(server: ToolServerConfig, loc: Loc) -> Iterator[Fault]:
    """Parts that mean nothing for the kind of server that it is; an entry that extends one can't know it by itself."""
    if server.remote:
        stray = {
            "scope": server.scope == "run",
            "sandbox": server.sandbox != SandboxConfig(),
            "env": bool(server.env),
            "cwd": server.cwd is not None,
        }
        for key in (key for key, given in stray.items() if given):
            yield (*loc, key), f"found `{key}` beside `url`; expected it to be left out, as no process is started here"
    elif server.headers or server.transport != "http":
        key = "headers" if server.headers else "transport"
        yield (*loc, key), f"found `{key}` without `url`; expected the address that it belongs to"
    installed = server.package is not None or (server.command or "").rpartition("/")[2] in _LAUNCHERS
    for key in ("overrides", "entry"):
        if getattr(server, key) and not installed:
            yield (*loc, key), f"found `{key}` without `package`; expected the package that it belongs to"


def _reference_faults(server: ToolServerConfig, loc: Loc) -> Iterator[Fault]:
    texts: list[tuple[Loc, str | None]] = [((key,), getattr(server, key)) for key in ("database", "url")]
    texts += [(("env", name), text) for name, text in server.env.items()]
    texts += [(("headers", name), text) for name, text in server.headers.items()]
    for host, headers in server.credentials.items():
        texts += [(("credentials", host, name), text) for name, text in headers.items()]
    for place, text in texts:
        fault = secret_fault(text) if text is not None else None
        if fault:
            yield (*loc, *place), fault
    for index, text in enumerate((server.command or "", server.cwd or "", *server.args)):
        if SECRET in text:
            place = ("command",) if index == 0 else ("cwd",) if index == 1 else ("args", index - 2)
            yield (*loc, *place), f"found {SECRET} where all users of the machine can see it; expected it in `env`"


def _one_contract(contract: ContractConfig, known: Known, loc: Loc) -> Iterator[Fault]:
    for key, call in (("verify", contract.verify), ("inverse", contract.inverse)):
        if call is None:
            continue
        allowed = ["tool", "args", "expect"] if key == "verify" else ["tool", "args"]
        for name in call:
            if name not in allowed:
                yield (*loc, key, name), f"unknown key; {did_you_mean(name, allowed)}"
        tool = call.get("tool")
        if isinstance(tool, str):
            yield from tool_faults(tool, known, (*loc, key, "tool"))
        else:
            yield (*loc, key, "tool"), "missing or no text; expected server.name"
        for name in ("args", "expect"):
            if not isinstance(call.get(name, {}), dict):
                yield (*loc, key, name), "found a value that is no mapping; expected a mapping"
        if key == "verify" and isinstance(call.get("expect"), dict):
            yield from expect_faults(call["expect"], (*loc, key, "expect"))
