"""Checks across blocks, after the shape holds: every name that one block uses is declared by another."""

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from interlock.config.problems import Problem, quoted
from interlock.config.schema import CheckConfig, Config, PlanEntryConfig, RuleConfig
from interlock.config.tool_schema import ContractConfig
from interlock.config.yaml_marks import Loc, Locator
from interlock.config.yaml_models import did_you_mean
from interlock.model import ToolRef, UserError

PROVIDERS = ("anthropic", "openai")
_BUILT_IN_AGENTS = frozenset({"undo"})
_BUILT_IN_SERVERS = frozenset({"shell", "sql"})
_EXPECTATIONS = ("contains", "matches", "equals", "ok")

Fault = tuple[Loc, str]


@dataclass(frozen=True)
class Known:
    """The names of a project that others may refer to.

    Attributes:
        servers: tool servers that can be started.
        skipped: servers of `.mcp.json` that can't, with the reason.
        playbooks: by stem.
    """

    servers: frozenset[str]
    skipped: Mapping[str, str]
    playbooks: frozenset[str]


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
    """Names in agents, models and contracts that nothing declares, and patterns that can't be used."""
    faults = [*_model_faults(config, known), *_agent_faults(config, known), *_contract_faults(config, known)]
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
    named += [(("agents", name, "model"), agent.model) for name, agent in config.agents.items()]
    for loc, model in named:
        fault = _model_fault(model, config, known) if model is not None else None
        if fault:
            yield loc, fault


def _model_fault(model: str, config: Config, known: Known) -> str | None:
    if model in config.models.aliases:
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
            yield from _tool_faults(tool, known, (*loc, "tools", index), wildcard=True)
        for index, entry in enumerate(agent.plan):
            yield from _plan_faults(entry, known, (*loc, "plan", index))
        for index, check in enumerate(agent.verify):
            yield from _check_faults(check, known, (*loc, "verify", index))


def _plan_faults(entry: PlanEntryConfig, known: Known, loc: Loc) -> Iterator[Fault]:
    yield from _tool_faults(entry.tool, known, (*loc, "tool"))
    for argument, value in entry.args.items():
        if isinstance(value, dict) and set(value) == {"pattern"}:
            yield from _pattern_faults(value["pattern"], (*loc, "args", argument, "pattern"))


def _check_faults(check: CheckConfig, known: Known, loc: Loc) -> Iterator[Fault]:
    yield from _tool_faults(check.tool, known, (*loc, "tool"))
    yield from _expect_faults(check.expect, (*loc, "expect"))


def _expect_faults(expect: dict[str, Any], loc: Loc) -> Iterator[Fault]:
    for key, value in expect.items():
        if key not in _EXPECTATIONS:
            yield (*loc, key), f"unknown expectation; {did_you_mean(key, list(_EXPECTATIONS))}"
        elif key == "matches":
            yield from _pattern_faults(value, (*loc, key))
        elif key == "ok" and not isinstance(value, bool):
            yield (*loc, key), "found a value that is no truth value; expected true or false"


def _pattern_faults(pattern: Any, loc: Loc) -> Iterator[Fault]:
    if not isinstance(pattern, str):
        yield loc, "found a value that is no text; expected a regular expression (put it in quotes)"
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield loc, f"found {quoted(pattern)}, no regular expression ({error}); expected one that Python's re takes"


def _contract_faults(config: Config, known: Known) -> Iterator[Fault]:
    for server, declared in config.tools.items():
        for tool, contract in declared.contracts.items():
            yield from _one_contract(contract, known, ("tools", server, "contracts", tool))


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
            yield from _tool_faults(tool, known, (*loc, key, "tool"))
        else:
            yield (*loc, key, "tool"), "missing or no text; expected server.name"
        for name in ("args", "expect"):
            if not isinstance(call.get(name, {}), dict):
                yield (*loc, key, name), "found a value that is no mapping; expected a mapping"
        if key == "verify" and isinstance(call.get("expect"), dict):
            yield from _expect_faults(call["expect"], (*loc, key, "expect"))


def _tool_faults(text: str, known: Known, loc: Loc, *, wildcard: bool = False) -> Iterator[Fault]:
    expected = "server.name" + (", or server.*" if wildcard else "")
    try:
        ref = ToolRef.parse(text)
    except UserError:
        yield loc, f"found {quoted(text)}; expected {expected}"
        return
    if "*" in ref.server or ("*" in ref.name and not (wildcard and ref.name == "*")):
        yield loc, f"found {quoted(text)}; expected {expected}"
    elif ref.server in known.servers:
        return
    elif ref.server in known.skipped:
        yield loc, f"the tool server {quoted(ref.server)} of .mcp.json can't be used: {known.skipped[ref.server]}"
    else:
        wanted = did_you_mean(ref.server, sorted(known.servers)) or "expected one that tools or .mcp.json declares"
        yield loc, f"no tool server {quoted(ref.server)} is configured; {wanted}"
