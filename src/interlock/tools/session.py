"""One life of one tool server: handshake, list, and the connection for as long as it is held."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx2
from mcp import Client, MCPError
from mcp.client.session import IncomingMessage
from mcp.types import Implementation, ToolListChangedNotification

from interlock.model import VERSION, ToolUnavailable
from interlock.observability import redact
from interlock.tools.client import Connection, Terms
from interlock.tools.peer import Peer, last_words

_LIST_TIMEOUT_S = 30.0
_LISTEN_AGAIN_S = 5.0
_LISTEN_AGAIN_CAP_S = 300.0
_EXPECTED = (MCPError, RuntimeError, ValueError, OSError, ToolUnavailable, httpx2.HTTPError)


@dataclass(frozen=True)
class Session:
    """What a life of a server needs from its supervisor.

    Attributes:
        on_ready: told once the server has listed its tools; the life lasts until it returns.
        on_stale: told when the server says that its tools have changed.
    """

    terms: Terms
    on_ready: Callable[[Connection], Awaitable[None]]
    on_stale: Callable[[], None]

    async def run(self, peer: Peer) -> None:
        """Shake hands, list, and hold the connection until `on_ready` returns.

        Everything is entered and left in the calling task, as the SDK's scopes demand.

        Raises:
            ToolUnavailable: the server can't be used; a sentence with its last words.
        """
        when = " before it was ready"
        try:
            async with self._client(peer) as client:
                connection = Connection(client, peer, self.terms)
                await connection.relist()
                peer.mark_ready()
                when = ""
                async with self._news(client):
                    await self.on_ready(connection)
        except _EXPECTED as error:
            raise await self._unusable(peer, error, when) from error
        except ExceptionGroup as group:  # the SDK's task group wraps what is raised inside
            expected, others = group.split(_EXPECTED)
            if expected is None or others is not None:
                raise
            raise await self._unusable(peer, _first(expected), when) from group

    def _client(self, peer: Peer) -> Client:
        async def on_message(message: IncomingMessage) -> None:
            if isinstance(message, ToolListChangedNotification):
                self.on_stale()

        return Client(
            peer.streams(),
            mode="auto",
            cache=None,
            read_timeout_seconds=_LIST_TIMEOUT_S,
            message_handler=on_message,
            client_info=Implementation(name="interlock", version=VERSION),
        )

    @contextlib.asynccontextmanager
    async def _news(self, client: Client) -> AsyncIterator[None]:
        """Meanwhile listen for changes of the list, where the server must be asked to tell them."""
        tools = client.server_capabilities.tools
        if client.session.initialize_result is not None or tools is None or not tools.list_changed:
            yield
            return
        listening = asyncio.create_task(self._listen(client), name=f"news of tool server {self.terms.server}")
        try:
            yield
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def _listen(self, client: Client) -> None:
        wait_s = _LISTEN_AGAIN_S
        while True:
            try:
                async with client.listen(tools_list_changed=True) as news:
                    self.on_stale()  # what changed before is not told
                    async for _ in news:
                        wait_s = _LISTEN_AGAIN_S
                        self.on_stale()
            except (MCPError, RuntimeError, ValueError, TimeoutError):  # among them: the stream was lost
                wait_s = min(_LISTEN_AGAIN_CAP_S, 2 * wait_s)
            await asyncio.sleep(wait_s)

    async def _unusable(self, peer: Peer, error: BaseException, when: str) -> ToolUnavailable:
        await peer.settled()
        server = self.terms.server
        garbage = f"printed text that is no MCP message ('{peer.garbage}') and " if peer.garbage else ""
        if peer.ending is not None:
            sentence = f"tool server '{server}' {garbage}{peer.ending}{when if not peer.blamed else ''}"
        elif isinstance(error, ToolUnavailable) and error.message.startswith("tool server"):
            sentence = error.message
        else:
            sentence = f"tool server '{server}' {garbage}{peer.reason_of(error)}"
        return ToolUnavailable(redact(sentence, peer.secrets) + last_words(peer))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
