"""`interlock mcp serve`: the platform as an MCP server on stdin and stdout, for a person's own assistant."""

import asyncio
import sys

from interlock.cli import edge
from interlock.cli.connecting import way
from interlock.cli.options import Json
from interlock.model import VERSION


def serve(*, json: Json = False) -> int:
    """Offer interlock to an assistant: submit tasks, see how they are, decide questions, undo.

    It speaks MCP on stdin and stdout, and works with the rights of INTERLOCK_TOKEN, or of the token in the state
    folder, at INTERLOCK_URL. Approving needs the hash of what was shown. --json is about errors only.
    """
    del json
    url, token = way()
    if sys.stdin.isatty():
        print("interlock mcp serve speaks MCP on stdin: an MCP client starts it (docs/gateway.md)", file=sys.stderr)
    asyncio.run(_serve(url, token))
    return edge.OK


async def _serve(url: str, token: str) -> None:
    from interlock.client import AsyncClient
    from interlock.server import serve_assistant

    async with AsyncClient(url, token) as client:
        await serve_assistant(client, VERSION)
