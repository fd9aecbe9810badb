"""A tool server that is ready, as the MCP client sees it: its list, and calls.

With `session`, `wire` and `remote` the only modules that import the SDK, which takes a second: they are loaded when a
server is started.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from mcp import Client, MCPError
from mcp.types import (
    REQUEST_TIMEOUT,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    RequestParamsMeta,
)
from pydantic import TypeAdapter

from interlock.model import InterlockError, ToolBusy, ToolDefinition, ToolLost, ToolResult, ToolTimeout, ToolUnavailable
from interlock.observability import redact
from interlock.resilience import Deadline
from interlock.tools.catalogue import Catalogue, read_catalogue
from interlock.tools.expectation import Expectation
from interlock.tools.fitting import Fitting
from interlock.tools.peer import Peer
from interlock.tools.results import misfit, read_result, refused, wants_input, without
from interlock.tools.sending import Sending, current_sending

IDEMPOTENCY_KEY = "interlock/idempotency_key"
EXPECT_STATE = "interlock/expect_state_sha256"
_SAID_CHARS = 500
_LATE_S = 0.5  # how much later than the deadline a call ends when the SDK does not end it
_Answer: TypeAlias = CallToolResult | InputRequiredResult
_ANSWER: TypeAdapter[_Answer] = TypeAdapter(_Answer)


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


@dataclass(frozen=True)
class Terms:
    """What a connection needs to know of the configuration, and whom it tells.

    Attributes:
        concurrency: calls under way at one time; more wait for their turn.
        on_quiet: told when the last call under way has ended.
    """

    server: str
    builtin: bool
    concurrency: int
    on_quiet: Callable[[], None]


class Connection:
    """A server that is ready, until it is not."""

    def __init__(self, client: Client, peer: Peer, terms: Terms) -> None:
        self.server = terms.server
        self.catalogue = Catalogue((), {})
        self.answers = 0
        self.busy = 0
        self.used_s = self.listed_s = time.monotonic()
        self._client = client
        self._peer = peer
        self._terms = terms
        self._slots = asyncio.Semaphore(terms.concurrency)
        self._fitting = Fitting()
        self._straight = peer.straight(client)
        self._closed = False

    @property
    def over(self) -> bool:
        """Whether the server is gone or about to be; whoever restarts it may not have noticed yet."""
        return self._closed or self._peer.gone

    def close(self) -> None:
        """Take no more calls; those under way go on."""
        self._closed = True

    async def relist(self) -> Catalogue:
        """Read the definitions again.

        Raises:
            ToolUnavailable: it does not list them, or they can't be used.
        """
        try:
            self.catalogue = await read_catalogue(self._client, self.server, builtin=self._terms.builtin)
        except (MCPError, RuntimeError, ValueError) as error:
            said = redact(str(error), self._peer.secrets)[:_SAID_CHARS]
            raise ToolUnavailable(f"tool server '{self.server}' does not list its tools: {said}") from error
        self.listed_s = time.monotonic()
        return self.catalogue

    async def call(self, call: ToolCall) -> ToolResult:
        """Send one call and read its answer.

        Raises:
            ToolUnavailable: it was not sent, or turned away unread; `ToolBusy` if it may come again later.
            ToolLost: the server died after it was sent.
            ToolTimeout: it was sent and not answered in time.
        """
        definition = self.catalogue.find(call.name)
        if definition is None:
            raise ToolUnavailable(f"tool server '{self.server}' has no tool '{call.name}'")
        if call.expect.pin_sha256 not in (None, self.catalogue.pins[call.name]):
            raise ToolUnavailable(f"{definition.ref} has changed since the call was judged; it was not sent")
        if self._closed:
            raise ToolUnavailable(f"tool server '{self.server}' is being started anew; {call.name} was not sent")
        self.busy += 1
        try:
            return await self._in_turn(call, definition)
        finally:
            self.busy -= 1
            self.used_s = time.monotonic()
            if self.busy == 0:
                self._terms.on_quiet()

    async def _in_turn(self, call: ToolCall, definition: ToolDefinition) -> ToolResult:
        deadline = Deadline.after(call.timeout_s)
        try:
            async with asyncio.timeout(deadline.remaining_s):
                await self._slots.acquire()
        except TimeoutError:
            many = f"{self._terms.concurrency} calls under way"
            raise ToolUnavailable(f"tool server '{self.server}' has {many}; this one was not sent") from None
        try:
            return await self._send(call, definition, deadline)
        finally:
            self._slots.release()

    async def _send(self, call: ToolCall, definition: ToolDefinition, deadline: Deadline) -> ToolResult:
        sending = Sending(deadline, call.expect.still)
        try:
            answer = await self._exchange(call, definition, sending)
        except MCPError as error:
            late = error.code == REQUEST_TIMEOUT and deadline.passed
            if sending.answered and not late:
                return without(refused(error.code, error.message), self._peer.credentials)
            raise await self._unanswered(call, sending, late=late) from error
        except TimeoutError as error:
            raise await self._unanswered(call, sending, late=deadline.passed) from error
        except asyncio.CancelledError:
            self._peer.cut_off(sending)
            raise
        except (RuntimeError, ValueError) as error:
            # The SDK looks at the result after the tool has acted: what it finds wrong is no sign of "not done".
            if sending.answered:
                return without(misfit(str(error)), self._peer.credentials)
            raise await self._unanswered(call, sending, late=False) from error
        return without(self._read(answer, definition), self._peer.credentials)

    async def _exchange(self, call: ToolCall, definition: ToolDefinition, sending: Sending) -> _Answer:
        left_s = sending.deadline.remaining_s
        try:
            if self._straight is not None:
                async with asyncio.timeout(left_s):
                    raw = await self._straight.call(definition, call.args, call.meta, sending)
                if raw is not None:
                    return _ANSWER.validate_python(raw, by_name=False)
                self._straight = None  # the SDK follows it to where it is now
            async with asyncio.timeout(left_s + _LATE_S) as scope:
                sending.abort = lambda: scope.reschedule(0)
                return await self._by_streams(call, sending)
        finally:
            sending.abort, sending.closed = None, True
            self._peer.forget(sending)
            self.answers += sending.answered

    async def _by_streams(self, call: ToolCall, sending: Sending) -> _Answer:
        params = CallToolRequestParams(name=call.name, arguments=call.args, _meta=call.meta)
        left_s = max(0.001, sending.deadline.remaining_s)
        token = current_sending.set(sending)
        try:
            return await self._client.session.send_request(
                CallToolRequest(params=params), _ANSWER, request_read_timeout_seconds=left_s
            )
        finally:
            current_sending.reset(token)

    def _read(self, answer: _Answer, definition: ToolDefinition) -> ToolResult:
        if isinstance(answer, InputRequiredResult):
            return wants_input()
        fault = None if answer.is_error else self._fitting.fault(definition, answer)
        return misfit(fault) if fault is not None else read_result(answer, bounded=not definition.internal)

    async def _unanswered(self, call: ToolCall, sending: Sending, *, late: bool) -> InterlockError:
        await self._peer.settled()
        tool = f"{self.server}.{call.name}"
        said = redact(sending.trouble or self._peer.ending or "", self._peer.secrets)
        if not sending.started:
            if sending.withheld:
                return ToolUnavailable(f"this worker was silent for too long; the call of {tool} was not sent")
            sentence = f"tool server '{self.server}' {said or self._deaf}; the call of {tool} was not sent"
            if sending.retry_after_s is not None:
                return ToolBusy(sentence, retry_after_s=sending.retry_after_s)
            return ToolUnavailable(sentence)
        if late:
            return ToolTimeout(f"{tool} gave no answer within {call.timeout_s:g} s; whether it acted is unknown")
        sentence = f"tool server '{self.server}' {said or 'was stopped'} during the call of {tool}"
        return ToolLost(f"{sentence}; whether it acted is unknown")

    @property
    def _deaf(self) -> str:
        return "could not be reached in time" if self._peer.polled else "does not read its input"
