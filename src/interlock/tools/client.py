"""One life of one tool server as the MCP client sees it: handshake, list, calls, end.

The only module besides `wire` that imports the SDK, which takes a second: it is loaded when a server is started.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from mcp import Client, MCPError
from mcp.client.session import IncomingMessage
from mcp.types import (
    REQUEST_TIMEOUT,
    CallToolResult,
    Implementation,
    InputRequiredResult,
    RequestParamsMeta,
    ToolListChangedNotification,
)

from interlock.model import VERSION, InterlockError, ToolLost, ToolResult, ToolTimeout, ToolUnavailable
from interlock.observability import redact
from interlock.resilience import Deadline
from interlock.tools.catalogue import Catalogue, read_catalogue
from interlock.tools.expectation import Expectation
from interlock.tools.process import ServerProcess
from interlock.tools.results import misfit, read_result, refused, wants_input, without
from interlock.tools.wire import Sending, Wire, current_sending

IDEMPOTENCY_KEY = "interlock/idempotency_key"
EXPECT_STATE = "interlock/expect_state_sha256"
MAX_CALLS = 64  # under way at one server; more wait for their turn
_LIST_TIMEOUT_S = 30.0
_LAST_WORDS_S = 0.5  # for the exit status of a process whose pipes just closed
_SHOWN_LINES = 3
_SHOWN_LINE_CHARS = 200


@dataclass(frozen=True)
class ToolCall:
    """One call as it is to be sent.

    Attributes:
        timeout_s: for the answer, from when it is sent.
        trace: a W3C `traceparent`.
        expect: what must still hold.
    """

    name: str
    args: dict[str, Any]
    timeout_s: float
    idempotency_key: str | None = None
    trace: str | None = None
    expect: Expectation = field(default_factory=Expectation)

    @property
    def meta(self) -> RequestParamsMeta:
        """What travels beside the arguments."""
        meta: dict[str, Any] = {}
        if self.idempotency_key is not None:
            meta[IDEMPOTENCY_KEY] = self.idempotency_key
        if self.trace is not None:
            meta["traceparent"] = self.trace
        if self.expect.state_sha256 is not None:
            meta[EXPECT_STATE] = self.expect.state_sha256
        return cast(RequestParamsMeta, meta)


class Connection:
    """A server that is ready, until it is not."""

    def __init__(self, server: str, client: Client, wire: Wire, *, builtin: bool) -> None:
        self.server = server
        self.catalogue = Catalogue((), {})
        self.answers = 0
        self._client = client
        self._wire = wire
        self._builtin = builtin
        self._slots = asyncio.Semaphore(MAX_CALLS)

    @property
    def over(self) -> bool:
        """Whether the server is gone; whoever restarts it may not have noticed yet."""
        return self._wire.process.broken

    async def relist(self) -> Catalogue:
        """Read the definitions again.

        Raises:
            ToolUnavailable: it does not list them, or they can't be used.
        """
        try:
            self.catalogue = await read_catalogue(self._client, self.server, builtin=self._builtin)
        except (MCPError, RuntimeError, ValueError) as error:
            raise ToolUnavailable(f"tool server '{self.server}' does not list its tools: {error}") from error
        return self.catalogue

    async def call(self, call: ToolCall) -> ToolResult:
        """Send one call and read its answer.

        Raises:
            ToolUnavailable: it was not sent.
            ToolLost: the server died after it was sent.
            ToolTimeout: it was sent and not answered in time.
        """
        definition = self.catalogue.find(call.name)
        if definition is None:
            raise ToolUnavailable(f"tool server '{self.server}' has no tool '{call.name}'")
        if call.expect.pin_sha256 not in (None, self.catalogue.pins[call.name]):
            raise ToolUnavailable(f"{definition.ref} has changed since the call was judged; it was not sent")
        deadline = Deadline.after(call.timeout_s)
        try:
            async with asyncio.timeout(deadline.remaining_s):
                await self._slots.acquire()
        except TimeoutError:
            raise ToolUnavailable(
                f"tool server '{self.server}' has {MAX_CALLS} calls under way; this one was not sent"
            ) from None
        try:
            return await self._send(call, deadline, bounded=not definition.internal)
        finally:
            self._slots.release()

    async def _send(self, call: ToolCall, deadline: Deadline, *, bounded: bool) -> ToolResult:
        sending = Sending(deadline, call.expect.still)
        token = current_sending.set(sending)
        try:
            answer = await self._client.session.call_tool(
                call.name,
                call.args,
                read_timeout_seconds=max(0.001, deadline.remaining_s),
                meta=call.meta,
                allow_input_required=True,
            )
        except MCPError as error:
            late = error.code == REQUEST_TIMEOUT and deadline.passed
            if sending.answered and not late:
                return refused(error.code, error.message)
            raise await self._unanswered(call, sending, late=late) from error
        except (RuntimeError, ValueError) as error:
            # The SDK looks at the result after the tool has acted: what it finds wrong is no sign of "not done".
            if sending.answered:
                return misfit(str(error))
            raise await self._unanswered(call, sending, late=False) from error
        finally:
            current_sending.reset(token)
            self._wire.forget(sending)
            self.answers += sending.answered
        return self._read(answer, bounded=bounded)

    def _read(self, answer: "CallToolResult | InputRequiredResult", *, bounded: bool) -> ToolResult:
        if isinstance(answer, InputRequiredResult):
            return wants_input()
        return without(read_result(answer, bounded=bounded), self._wire.process.credentials)

    async def _unanswered(self, call: ToolCall, sending: Sending, *, late: bool) -> InterlockError:
        process = self._wire.process
        tool = f"{self.server}.{call.name}"
        if process.broken:
            await process.exited_within(_LAST_WORDS_S)
        if not sending.started:
            if sending.withheld:
                return ToolUnavailable(f"this worker was silent for too long; the call of {tool} was not sent")
            why = process.ending or "does not read its input"
            return ToolUnavailable(f"tool server '{self.server}' {why}; the call of {tool} was not sent")
        if late:
            return ToolTimeout(f"{tool} gave no answer within {call.timeout_s:g} s; whether it acted is unknown")
        why = process.ending or "was stopped"
        return ToolLost(f"tool server '{self.server}' {why} during the call of {tool}; whether it acted is unknown")


@dataclass(frozen=True)
class Session:
    """What a life of a server needs from its supervisor.

    Attributes:
        on_ready: told once the server has listed its tools; the life lasts until it returns.
        on_stale: told when the server says that its tools have changed.
    """

    server: str
    builtin: bool
    on_ready: Callable[[Connection], Awaitable[None]]
    on_stale: Callable[[], None]

    async def run(self, process: ServerProcess) -> None:
        """Shake hands, list, and hold the connection until `on_ready` returns.

        Everything is entered and left in the calling task, as the SDK's scopes demand.

        Raises:
            ToolUnavailable: the server can't be used; a sentence with its last words.
        """
        wire = Wire(process)
        when = " before it was ready"
        try:
            async with self._client(wire) as client:
                connection = Connection(self.server, client, wire, builtin=self.builtin)
                await connection.relist()
                when = ""
                await self.on_ready(connection)
        except (MCPError, RuntimeError, ValueError, OSError, ToolUnavailable) as error:
            raise await self._unusable(wire, error, when) from error
        except ExceptionGroup as group:  # the SDK's task group wraps what is raised inside
            expected, others = group.split((MCPError, RuntimeError, ValueError, OSError, ToolUnavailable))
            if expected is None or others is not None:
                raise
            raise await self._unusable(wire, _first(expected), when) from group

    def _client(self, wire: Wire) -> Client:
        async def on_message(message: IncomingMessage) -> None:
            if isinstance(message, ToolListChangedNotification):
                self.on_stale()

        return Client(
            wire.streams(),
            mode="auto",
            cache=None,
            read_timeout_seconds=_LIST_TIMEOUT_S,
            message_handler=on_message,
            client_info=Implementation(name="interlock", version=VERSION),
        )

    async def _unusable(self, wire: Wire, error: BaseException, when: str) -> ToolUnavailable:
        process = wire.process
        if process.over:
            await process.exited_within(_LAST_WORDS_S)
        garbage = f"printed text that is no MCP message ('{wire.garbage}') and " if wire.garbage else ""
        if process.ending is not None:
            sentence = f"tool server '{self.server}' {garbage}{process.ending}{when if process.verdict is None else ''}"
        elif isinstance(error, ToolUnavailable):
            sentence = error.message
        else:
            sentence = f"tool server '{self.server}' {garbage}can't be talked to: {error}"
        return ToolUnavailable(redact(sentence, process.stderr.secrets) + last_words(process))


def last_words(process: ServerProcess) -> str:
    """The last lines of its standard error as the end of a sentence; empty when there are none."""
    lines = [line[:_SHOWN_LINE_CHARS] for line in process.stderr.lines()[-_SHOWN_LINES:]]
    return f"; its last output: {' | '.join(lines)}" if lines else ""


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
