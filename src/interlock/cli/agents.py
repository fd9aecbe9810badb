"""`interlock agents`: list, show."""

import sys
from typing import Annotated

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json
from interlock.cli.output import emit, paint_for, terminal_width
from interlock.cli.views.agents import agent_page, agents_table


def list_agents(*, json: Json = False) -> int:
    """The configured agents."""
    with connected() as client:
        items = client.agents()
    emit({"items": items}, agents_table(items, paint_for(sys.stdout), terminal_width(sys.stdout)), as_json=json)
    return edge.OK


def show(name: Annotated[str, Parameter(help="An agent's name.")], /, *, json: Json = False) -> int:
    """One agent: model, tools, plan, checks, limits."""
    with connected() as client:
        found = client.agent(name)
    emit(found, agent_page(found, paint_for(sys.stdout)), as_json=json)
    return edge.OK
