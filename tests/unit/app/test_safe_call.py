"""Which call is made to see whether a server works: never one that might change something."""

from typing import Any

import pytest

from interlock.app.tool_tests import safe_call
from interlock.config import ToolServerConfig
from interlock.guardrails import refuse_unsafe_checks
from interlock.model import ConfigError, ToolDefinition, ToolRef

LISTS = "Lists the tickets of a project."


def tool(name: str, description: str = LISTS, *, hint: bool | None = None, **schema: Any) -> ToolDefinition:
    annotations = {} if hint is None else {"readOnlyHint": hint}
    return ToolDefinition(ToolRef("s", name), None, description, {"type": "object", **schema}, annotations=annotations)


def config(**more: Any) -> ToolServerConfig:
    return ToolServerConfig(command="x", **more)


def chosen(server: ToolServerConfig, *tools: ToolDefinition) -> str | None:
    found = safe_call("s", server, tools)
    return None if found is None else str(found[0])


def test_a_declared_read_without_arguments_is_called() -> None:
    server = config(contracts={"get_b": {"class": "read", "egress": False}, "get_a": {"class": "read"}})
    assert chosen(server, tool("get_a"), tool("get_b"), tool("get_c", hint=True)) == "s.get_b"
    assert chosen(server, tool("get_a", required=["id"]), tool("get_c", hint=True)) == "s.get_c"


def test_an_undeclared_tool_must_say_twice_that_it_reads() -> None:
    assert chosen(config(), tool("list_tickets", hint=True)) == "s.list_tickets"
    assert chosen(config(), tool("list_tickets")) is None, "its server does not say so"
    assert chosen(config(), tool("list_tickets", "Deletes all tickets.", hint=True)) is None, "its words say otherwise"
    assert chosen(config(contracts={"*": {"class": "destructive"}}), tool("list_tickets", hint=True)) is None


def test_the_configured_call_wins() -> None:
    server = config(contracts={"get": {"class": "read"}}, test={"tool": "get", "args": {"id": 1}})
    assert safe_call("s", server, [tool("list_tickets", hint=True)]) == (ToolRef("s", "get"), {"id": 1})


def test_a_configured_call_must_be_a_declared_read() -> None:
    refuse_unsafe_checks({"s": config(contracts={"get": {"class": "read"}}, test={"tool": "get"})})
    refuse_unsafe_checks(
        {"s": ToolServerConfig.model_validate({"builtin": "workspace", "root": "x", "test": {"tool": "list"}})}
    )
    for server in (
        config(test={"tool": "get"}),
        config(contracts={"get": {"class": "write"}}, test={"tool": "get"}),
        config(trusted_hints=True, test={"tool": "get"}),
    ):
        with pytest.raises(ConfigError, match=r"tools\.s\.test: get is not declared as a read"):
            refuse_unsafe_checks({"s": server})
