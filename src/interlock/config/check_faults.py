"""Faults of the checks of an agent: names that nothing declares, schemas that are none, servers that can't be meant."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from interlock.config.check_schema import CheckConfig
from interlock.config.fault_parts import Fault, Known, expect_faults, pattern_faults, tool_faults
from interlock.config.problems import quoted
from interlock.config.yaml_marks import Loc
from interlock.config.yaml_models import describe_fault, did_you_mean
from interlock.model import UserError

if TYPE_CHECKING:
    from interlock.config.schema import AgentConfig, Config

HINT = "see docs/verification.md for the kinds of checks"
KIND_OF_SERVER = {"file": "workspace", "command": "shell"}
MORE_EXPECTATIONS = {"file": ("exists",), "command": ("exit_status",)}


def servers_for(check: CheckConfig, agent: "AgentConfig", config: "Config") -> list[str]:
    """The servers that a check of a file or a command can mean: the named one, or those of the kind that the agent has."""
    if check.server is not None:
        return [check.server]
    kind = KIND_OF_SERVER[check.subject]
    granted = {pattern.partition(".")[0] for pattern in agent.tools}
    return sorted(name for name in granted if name in config.tools and config.tools[name].builtin == kind)


def read_checks(given: list[Any], agent: "AgentConfig", config: "Config") -> tuple[CheckConfig, ...]:
    """The checks of one task, as somebody sent them.

    Raises:
        UserError: one is none; the message names its place and key.
    """
    from pydantic import ValidationError

    checks = []
    known = Known(frozenset(config.tools), {}, frozenset())
    for index, body in enumerate(given):
        try:
            check = CheckConfig.model_validate(body, by_alias=True, by_name=False)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            words = describe_fault(fault, CheckConfig.model_json_schema(by_alias=True), CheckConfig)
            raise UserError(f"{_place(('checks', index, *fault['loc']))}: {words}", hint=HINT) from error
        for loc, words in check_faults(check, agent, config, known, ("checks", index)):
            raise UserError(f"{_place(loc)}: {words}", hint=HINT)
        checks.append(check)
    return tuple(checks)


def _place(loc: Loc) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def check_faults(check: CheckConfig, agent: "AgentConfig", config: "Config", known: Known, loc: Loc) -> Iterator[Fault]:
    """What is wrong with one check of an agent."""
    subject = check.subject
    yield from expect_faults(check.expect, (*loc, "expect"), MORE_EXPECTATIONS.get(subject, ()))
    if check.tool is not None:
        yield from tool_faults(check.tool, known, (*loc, "tool"))
    elif subject in KIND_OF_SERVER:
        yield from _server_faults(check, agent, config, loc)
    elif check.json_schema is not None:
        yield from _schema_faults(check, loc)
    elif check.effect is not None:
        yield from _effect_faults(check, agent, known, loc)
    elif check.judge is not None and check.judge not in config.agents:
        wanted = did_you_mean(check.judge, sorted(config.agents)) or "expected one that is"
        yield (*loc, "judge"), f"no agent {quoted(check.judge)} is configured; {wanted}"
    elif check.judge is not None and config.agents[check.judge] is agent:
        yield (*loc, "judge"), f"found {quoted(check.judge)} itself; expected another agent"


def _server_faults(check: CheckConfig, agent: "AgentConfig", config: "Config", loc: Loc) -> Iterator[Fault]:
    kind = KIND_OF_SERVER[check.subject]
    found = servers_for(check, agent, config)
    if len(found) != 1:
        held = f"the agent has {' and '.join(found)}" if found else f"the agent has no server of the kind `{kind}`"
        yield (*loc, check.subject), f"{held}; expected `server` to say whose {check.subject} it is"
    elif found[0] not in config.tools or config.tools[found[0]].builtin != kind:
        yield (*loc, "server"), f"found {quoted(found[0])}; expected a server that is `builtin: {kind}`"


def _schema_faults(check: CheckConfig, loc: Loc) -> Iterator[Fault]:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(check.json_schema or {})
    except SchemaError as error:
        yield (*loc, "schema"), f"it is no JSON Schema: {error.message[:200]}"
    if "$ref" in str(check.json_schema) and "#" not in str(check.json_schema):
        yield (*loc, "schema"), "it refers to something outside itself; expected references such as #/$defs/name"


def _effect_faults(check: CheckConfig, agent: "AgentConfig", known: Known, loc: Loc) -> Iterator[Fault]:
    pattern = check.effect or ""
    yield from tool_faults(pattern, known, (*loc, "effect"), wildcard=True)
    if not any(fnmatchcase(pattern, mine) or fnmatchcase(mine, pattern) for mine in agent.tools):
        yield (*loc, "effect"), f"{quoted(pattern)} is not among the agent's tools, so no run could pass"
    for argument, value in check.args.items():
        if isinstance(value, dict) and set(value) == {"pattern"}:
            yield from pattern_faults(value["pattern"], (*loc, "args", argument, "pattern"))
