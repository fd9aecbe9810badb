"""The streams that the MCP client reads and writes, over one child process.

Ours instead of the SDK's, because the gate must know of each call whether it can have reached the server: a call
that was not sent may be made again, one that was sent and not answered is in doubt.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

import anyio
from mcp import Client
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCRequest, JSONRPCResponse, RequestId, jsonrpc_message_adapter

from interlock.resilience import Deadline
from interlock.sandbox import Confinement
from interlock.tools.advice import advice
from interlock.tools.process import ServerProcess
from interlock.tools.sending import Sending, current_sending

_WRITE_S = 30.0  # how long a message that belongs to no call may wait for the server to read
_SHOWN_CHARS = 80
CUT_OFF_S = 1.0  # for a server to say that it has ended a call
_LAST_WORDS_S = 0.5  # for the exit status of a process whose pipes just closed


def _nobody() -> None:
    """Nobody is told."""


class _Stream:
    """What the client expects of each end; closing is up to who started the process."""

    async def aclose(self) -> None:
        """Nothing to do."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None


class Wire:
    """Both ends, and the calls that are under way: the `Peer` that is a child process."""

    polled = False
    trouble: str | None = None

    def __init__(
        self,
        process: ServerProcess,
        sandbox: str,
        confinement: Confinement | None = None,
        on_news: Callable[[], None] = _nobody,
    ) -> None:
        self.process = process
        self.works_on = False
        self._on_news = on_news
        self._cut_off: dict[RequestId, asyncio.TimerHandle] = {}
        self.sandbox = sandbox
        self._confinement = confinement
        self.garbage: str | None = None
        self._under_way: dict[RequestId, Sending] = {}

    def advice(self, server: str) -> str:
        """What to grant so that it starts, when its last words tell."""
        return advice(server, self.words(), self._confinement)

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
        if request_id is not None and (timer := self._cut_off.pop(request_id, None)) is not None:
            timer.cancel()
        sending = self._under_way.get(request_id) if request_id is not None else None
        if sending is not None:
            sending.answered = True

    def straight(self, client: Client) -> None:
        """None: there is one pair of pipes."""

    def cut_off(self, sending: Sending) -> None:
        """Give it a moment to answer; most servers answer nothing to a call that was cut off, whether they end it or not."""
        number = sending.request_id
        if number is not None and sending.started and not sending.answered:
            self._cut_off[number] = asyncio.get_running_loop().call_later(CUT_OFF_S, self._not_ended, number)

    def _not_ended(self, request_id: RequestId) -> None:
        del self._cut_off[request_id]
        self.works_on = True
        self._on_news()

    def forget(self, sending: Sending) -> None:
        """The caller is through with the call."""
        if sending.request_id is not None:
            self._under_way.pop(sending.request_id, None)

    # ---- its life --------------------

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self.process.pid

    @property
    def gone(self) -> bool:
        """Whether it can no longer be talked to, in one direction at least."""
        return self.process.broken

    @property
    def over(self) -> bool:
        """Whether no more lines will come."""
        return self.process.over

    @property
    def ending(self) -> str | None:
        """How it ended, as the rest of a sentence, or None while it runs."""
        return self.process.ending

    @property
    def blamed(self) -> bool:
        """Whether it was ended by us."""
        return self.process.verdict is not None

    def reason_of(self, error: BaseException) -> str:
        """What the client says of it."""
        return f"can't be talked to: {error}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not show up in messages."""
        return self.process.stderr.secrets

    @property
    def credentials(self) -> tuple[str, ...]:
        """Values that must not show up in results either."""
        return self.process.credentials

    def words(self) -> tuple[str, ...]:
        """The last lines of its standard error."""
        return self.process.stderr.lines()

    def mark_ready(self) -> None:
        """Nothing to do: what goes wrong with a process ends it."""

    def take_suspicion(self) -> bool:
        """Never: what goes wrong with a process ends it."""
        return False

    def on_kill(self, interrupt: Callable[[], None] | None) -> None:
        """Nothing to do: who waits for it is woken by the end of the process."""

    def condemn(self, ending: str) -> None:
        """Nothing to do: a process is ended at once."""

    def kill(self, verdict: str) -> None:
        """Send SIGKILL to it and its group."""
        if self.process.pid is not None:
            self.process.kill(verdict)

    async def settled(self) -> None:
        """Wait for the exit status of a process that can't be talked to any more."""
        if self.process.broken:
            await self.process.exited_within(_LAST_WORDS_S)

    async def end(self) -> None:
        """End it and all of its group."""
        for timer in self._cut_off.values():
            timer.cancel()
        self._cut_off.clear()
        await self.process.stop()


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
        is_call = isinstance(message, JSONRPCRequest) and message.method == "tools/call"
        deadline = sending.deadline if sending is not None else Deadline.after(_WRITE_S)
        process = self._wire.process
        if not await process.writable(deadline):
            raise anyio.BrokenResourceError
        # No await from here on: the line is sent, or it is known that it was not.
        if is_call and sending is not None and sending.still is not None and not sending.still():
            sending.withheld = True
            raise anyio.BrokenResourceError
        if not process.write_line(line):
            raise anyio.BrokenResourceError
        if sending is not None and isinstance(message, JSONRPCRequest) and is_call:
            self._wire.began(sending, message.id)
