"""`interlock tools`: list, show, pin."""

import sys
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json, Yes
from interlock.cli.output import asked_yes, emit, interactive, paint_for, progress, terminal_width
from interlock.cli.views.tools import tool_page, tools_table
from interlock.cli.words import count

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
    """Accept the present definition of a tool, or of all tools of a server.

    A tool whose definition has changed is refused until then, because a description is read by a model.
    """
    with connected() as client:
        if not json:
            progress("\n".join(tool_page(client.tool(name), paint_for(sys.stderr))))
        if not yes and interactive() and not asked_yes("Accept it as it is now?"):
            progress("nothing was accepted")
            return edge.FAILED
        accepted = client.pin(name)
    emit({"accepted": accepted}, [f"accepted {count(len(accepted), 'tool')}: {', '.join(accepted)}"], as_json=json)
    return edge.OK
