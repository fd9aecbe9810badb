"""`interlock halt` and `resume`."""

from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json, Reason
from interlock.cli.output import emit
from interlock.model import UserError

Agent: TypeAlias = Annotated[str | None, Parameter(help="Only this agent.")]
Stop: TypeAlias = Annotated[bool, Parameter(negative="", help="Stop what is under way as well.")]
Tool: TypeAlias = Annotated[str | None, Parameter(help="Only this tool (server.name) or tool server.")]


def halt(*, agent: Agent = None, tool: Tool = None, stop: Stop = False, reason: Reason, json: Json = False) -> int:
    """Let no call start any more: of anyone, of one agent, or of one tool, until `interlock resume`.

    Calls under way end by themselves; with --stop they are stopped. Tasks wait, and go on where they were.
    """
    scope = scope_of(agent, tool)
    with connected() as client:
        found: dict[str, Any] = dict(client.halt(scope, reason=reason, stop=stop))
    emit(found, [f"halted: {scope}", f"next: interlock resume{_options(agent, tool)}"], as_json=json)
    return edge.OK


def resume(*, agent: Agent = None, tool: Tool = None, json: Json = False) -> int:
    """End a halt."""
    scope = scope_of(agent, tool)
    with connected() as client:
        found: dict[str, Any] = dict(client.resume(scope))
    emit(found, [f"resumed: {scope}" if found["changed"] else f"{scope} was not halted"], as_json=json)
    return edge.OK


def scope_of(agent: str | None, tool: str | None) -> str:
    """What a halt is about: `all`, `agent:NAME` or `tool:NAME`.

    Raises:
        UserError: both are named.
    """
    if agent is not None and tool is not None:
        raise UserError("expected --agent or --tool, not both", hint="interlock halt --agent A --reason TEXT")
    if agent is not None:
        return f"agent:{agent}"
    return "all" if tool is None else f"tool:{tool}"


def _options(agent: str | None, tool: str | None) -> str:
    return f" --agent {agent}" if agent else f" --tool {tool}" if tool else ""
