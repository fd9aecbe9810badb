"""`interlock tools`: list, show, pin, restart."""

import sys
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json, Yes
from interlock.cli.output import asked_yes, emit, interactive, paint_for, progress, terminal_width
from interlock.cli.views.tools import pin_question, tool_page, tools_table
from interlock.cli.words import clean, count, one_line

ToolName: TypeAlias = Annotated[str, Parameter(help="A tool as server.name, or a tool server.")]


def list_tools(
    *,
    server: Annotated[str | None, Parameter(help="Only the tools of this server.")] = None,
    json: Json = False,
) -> int:
    """Every tool with its class and pin."""
    with connected() as client:
        items = client.tools(server)
    paint, width = paint_for(sys.stdout), terminal_width(sys.stdout)
    emit({"items": items}, tools_table(items, paint, width), as_json=json)
    return edge.OK


def show(name: ToolName, /, *, json: Json = False) -> int:
    """One tool with its definition, or one server with its health and its tools."""
    with connected() as client:
        found = client.tool(name)
    emit(found, tool_page(found, paint_for(sys.stdout)), as_json=json)
    return edge.OK


def pin(name: ToolName, /, *, yes: Yes = False, json: Json = False) -> int:
    """Accept the present definition of a tool, or of all tools of a server; or that an accepted one is gone.

    Shows how it differs from what was accepted, then asks. What is accepted is what was shown, or nothing.
    A tool whose definition has changed is refused until then, because a description is read by a model.
    """
    with connected() as client:
        found = client.tool(name)
        meaning, seen = pin_question(found)
        if not json:
            progress("\n".join([*tool_page(found, paint_for(sys.stderr)), "", f"this would {meaning}"]))
        if not yes and interactive() and not asked_yes("Accept it?"):
            progress("nothing was accepted")
            return edge.FAILED
        accepted = client.pin(name, seen=seen)
    dropped = sorted(seen.keys() - set(accepted))
    lines = [f"accepted {count(len(accepted), 'tool')}: {', '.join(accepted)}"] if accepted else []
    lines += [f"forgot {count(len(dropped), 'tool')}: {', '.join(dropped)}"] if dropped else []
    emit({"accepted": accepted, "dropped": dropped}, [clean(line) for line in lines], as_json=json)
    return edge.OK


def restart(name: Annotated[str, Parameter(help="A tool server.")], /, *, json: Json = False) -> int:
    """Start a tool server anew, even one that is parked, and close the breakers of its tools.

    Calls that are under way at it are lost. Exit status 5 if it does not get ready.
    """
    with connected() as client:
        health = client.restart_tools(name)
    paint = paint_for(sys.stdout)
    number = f" with {count(int(health['tools']), 'tool')}" if health["state"] == "ready" else ""
    lines = [f"{health['server']} is {paint.state(health['state'])}{number}"]
    if health["state"] != "ready":
        lines += [f"why: {one_line(health['reason'], 400)}", f"next: interlock tools show {health['server']}"]
    emit(health, lines, as_json=json)
    return edge.OK if health["state"] == "ready" else edge.UNAVAILABLE
