"""`interlock tokens`: let agents outside in, see who may, shut them out."""

import sys
from typing import Annotated, Any

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected, server_url
from interlock.cli.options import Json
from interlock.cli.output import emit, paint_for, terminal_width
from interlock.cli.views.tokens import new_token_lines, tokens_table
from interlock.config import SystemClock


def create(
    *,
    agent: Annotated[str, Parameter(help="Whose tools and limits it has.")],
    expires: Annotated[str | None, Parameter(help="When it ends, such as 30d; by default never.")] = None,
    task: Annotated[str | None, Parameter(help="The one task that it is for; by default calls get their own.")] = None,
    json: Json = False,
) -> int:
    """Make a token with which an agent outside may call tools at /mcp. It is shown this once."""
    with connected() as client:
        made: dict[str, Any] = dict(client.create_token(agent, expires=expires, task_id=task))
    url = f"{server_url()}/mcp"
    emit({**made, "url": url}, new_token_lines(made, url, paint_for(sys.stdout)), as_json=json)
    return edge.OK


def list_tokens(*, json: Json = False) -> int:
    """The tokens of agents outside, newest first; never the tokens themselves."""
    with connected() as client:
        items: list[dict[str, Any]] = [dict(item) for item in client.tokens()]
    paint, width = paint_for(sys.stdout), terminal_width(sys.stdout)
    emit({"items": items}, tokens_table(items, SystemClock().now(), paint, width), as_json=json)
    return edge.OK


def revoke(token: Annotated[str, Parameter(help="A token's id.")], /, *, json: Json = False) -> int:
    """End a token for good; calls with it are refused within two seconds."""
    with connected() as client:
        ended: dict[str, Any] = dict(client.revoke_token(token))
    emit(ended, [f"token {ended['id']} of {ended['agent']} is revoked"], as_json=json)
    return edge.OK
