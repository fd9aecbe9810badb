"""The streams that the MCP client reads and writes, over one child process.

Ours instead of the SDK's, because the gate must know of each call whether it can have reached the server: a call
that was not sent may be made again, one that was sent and not answered is in doubt.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCRequest, JSONRPCResponse, RequestId, jsonrpc_message_adapter

from interlock.resilience import Deadline
from interlock.tools.process import ServerProcess

_WRITE_S = 30.0  # how long a message that belongs to no call may wait for the server to read
_SHOWN_CHARS = 80


@dataclass
class Sending:
    """The fate of one call: whether a byte of it may have reached the server, whether an answer came.

    Attributes:
        still: asked just before it is written; when it says no, it is not, and `withheld` is set.
    """

    deadline: Deadline
    still: Callable[[], bool] | None = None
    withheld: bool = False
    started: bool = False
    answered: bool = False
    request_id: RequestId | None = None


# The SDK writes a request in the task of its caller, which is how the stream knows which call it belongs to.
current_sending: ContextVar[Sending | None] = ContextVar("current_sending", default=None)


class _Stream:
    """What the client expects of each end; closing is up to who started the process."""

    async def aclose(self) -> None:
        """Nothing to do."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None


class Wire:
    """Both ends, and the calls that are under way."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self.garbage: str | None = None
        self._under_way: dict[RequestId, Sending] = {}

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[tuple["Inbox", "Outbox"]]:
        """The pair of streams for `mcp.Client`."""
        yield Inbox(self), Outbox(self)

    def began(self, sending: Sending, request_id: RequestId) -> None:
        """Remember which request carries the call."""
        sending.started, sending.request_id = True, request_id
        self._under_way[request_id] = sending

    def answered(self, request_id: RequestId | None) -> None:
        """An answer came."""
        sending = self._under_way.get(request_id) if request_id is not None else None
        if sending is not None:
            sending.answered = True

    def forget(self, sending: Sending) -> None:
        """The caller is through with the call."""
        if sending.request_id is not None:
            self._under_way.pop(sending.request_id, None)


class Inbox(_Stream):
    """Messages from the server; lines that are none are skipped, the first is remembered."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        while (line := await self._wire.process.next_line()) is not None:
            message = self._read(line)
            if message is not None:
                return message
        raise StopAsyncIteration

    async def receive(self) -> SessionMessage | Exception:
        """The next message.

        Raises:
            anyio.EndOfStream: there will be no more.
        """
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise anyio.EndOfStream from None

    def _read(self, line: bytes) -> SessionMessage | None:
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            if self._wire.garbage is None and line.strip():
                self._wire.garbage = line.decode(errors="replace").strip()[:_SHOWN_CHARS]
            return None
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self._wire.answered(message.id)
        return SessionMessage(message)


class Outbox(_Stream):
    """Messages to the server; each is handed over whole, or not at all."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message.

        Raises:
            anyio.BrokenResourceError: nothing of it was sent, because the server is gone or does not read.
        """
        message = item.message
        line = message.model_dump_json(by_alias=True, exclude_unset=True).encode()
        sending = current_sending.get()
        deadline = sending.deadline if sending is not None else Deadline.after(_WRITE_S)
        process = self._wire.process
        if not await process.writable(deadline):
            raise anyio.BrokenResourceError
        # No await from here on: the line is sent, or it is known that it was not.
        if sending is not None and sending.still is not None and not sending.still():
            sending.withheld = True
            raise anyio.BrokenResourceError
        if not process.write_line(line):
            raise anyio.BrokenResourceError
        if sending is not None and isinstance(message, JSONRPCRequest) and message.method == "tools/call":
            self._wire.began(sending, message.id)
