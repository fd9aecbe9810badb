"""The MCP server that agents outside speak to: it lists their tools and makes their calls, and keeps nothing itself."""

import logging
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from interlock.app import Gateway, MadeCall, OfferedTool
from interlock.model import Denied, Done, Handed, Held, InDoubt, InterlockError
from interlock.server.bodies import check_storable
from interlock.server.gateway.answers import (
    carried,
    doubt_of,
    pending_of,
    read_carried,
    result_of,
    tool_of,
)
from interlock.server.gateway.caller import Caller, caller_of, present
from interlock.server.mcp_words import error_of

NAME = "interlock"
HOLD_S = 20.0  # a round of a client that carries the question on; it asks again at once, ten times as a rule
HOLD_OLD_S = 10.0  # a request of one that can't
LIST_FRESH_MS = 5_000
INSTRUCTIONS = (
    "Every call passes a gate. It may be refused, with the reason, or wait for a person. A call that waits is told as "
    "such: make exactly the same call again to hear the decision. Never look for a way around a refusal."
)
Context = ServerRequestContext[Any, Any]
_log = logging.getLogger("interlock.gateway")


@dataclass(frozen=True)
class Patience:
    """How long a request is held while a person decides."""

    hold_s: float = HOLD_S
    hold_old_s: float = HOLD_OLD_S


def protocol_server(gateway: Gateway, version: str, patience: Patience) -> Server[Any]:
    """The server of one gateway."""
    handlers = _Handlers(patience)
    server: Server[Any] = Server(
        NAME,
        version=version,
        title="interlock gateway",
        instructions=INSTRUCTIONS,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        get_tool_input_schema=_known_schema,
    )
    security = RequestStateSecurity(
        keys=[gateway.state_key], ttl=gateway.state_ttl_s, bind_principal=lambda context: caller_of(context).agent.id
    )
    server.middleware[:] = [_cover, RequestStateBoundary(security, default_audience=NAME)]
    return server


async def _cover(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Tell nobody outside what broke inside."""
    try:
        return await call_next(ctx)
    except (MCPError, ValidationError):
        raise
    except Exception as error:
        _log.exception("a request of an agent outside failed", extra={"method": ctx.method[:100]})
        raise MCPError(types.INTERNAL_ERROR, "the server failed; its log says why") from error


def _known_schema(name: str) -> dict[str, Any] | None:
    caller = present.get()
    return caller.gateway.known_schema(caller.agent, name) if caller is not None else None


@dataclass(frozen=True)
class _Handlers:
    patience: Patience

    async def list_tools(self, context: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """All tools of the caller on one page, in the order of their names."""
        if params is not None and params.cursor is not None:
            raise MCPError(types.INVALID_PARAMS, "there is no such page: all tools are on the first one")
        caller = caller_of(context)
        try:
            offered = await caller.gateway.tools(caller.agent)
        except InterlockError as error:
            facts = {"code": error.code, "hint": error.next_step, "retryable": error.retryable}
            raise MCPError(types.INTERNAL_ERROR, error.message, facts) from error
        return types.ListToolsResult(
            tools=[tool_of(one) for one in offered], ttl_ms=LIST_FRESH_MS, cache_scope="private"
        )

    async def call_tool(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        """Make a call, go on with one that waited, or say what it waits for."""
        caller = caller_of(context)
        try:
            offered = await caller.gateway.tool(caller.agent, params.name)
            if offered is None:
                raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name[:100]}")
            args = params.arguments or {}
            check_storable(args)
            if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
                return await self._round(caller, offered, args, params.request_state)
            return await self._call_old(caller, offered, args)
        except InterlockError as error:
            return error_of(error)

    async def _round(
        self, caller: Caller, offered: OfferedTool, args: dict[str, Any], state: str | None
    ) -> types.CallToolResult | types.InputRequiredResult:
        """One round: the client carries the question, and asks again until it is answered."""
        if state is None:
            made = await _made(caller, offered, args, self.patience.hold_s)
        else:
            call_id, approval_id = read_carried(state)
            if not await caller.waits(approval_id, self.patience.hold_s):
                return types.InputRequiredResult(request_state=carried(call_id, approval_id))
            made = await caller.gateway.call(caller.agent, offered, args, call_id)
        if isinstance(made.outcome, Held):
            return types.InputRequiredResult(request_state=carried(made.id, made.outcome.approval_id))
        return _told(caller, offered, made)

    async def _call_old(self, caller: Caller, offered: OfferedTool, args: dict[str, Any]) -> types.CallToolResult:
        """A call of a client of the handshake era: it is held for a moment, then told to call again."""
        made = await _made(caller, offered, args, self.patience.hold_old_s)
        if isinstance(made.outcome, Held):
            return pending_of(made, await caller.gateway.question(made.outcome.approval_id))
        return _told(caller, offered, made)


async def _made(caller: Caller, offered: OfferedTool, args: dict[str, Any], hold_s: float) -> MadeCall:
    """Make a call; if it has to wait for a person, hold it for a while."""
    made = await caller.gateway.call(caller.agent, offered, args)
    if isinstance(made.outcome, Held) and await caller.waits(made.outcome.approval_id, hold_s):
        made = await caller.gateway.call(caller.agent, offered, args, made.id)
    return made


def _told(caller: Caller, offered: OfferedTool, made: MadeCall) -> types.CallToolResult:
    match made.outcome:
        case Done(seen) | Denied(seen):
            caller.answered.append(made.id)
            return result_of(offered, seen)
        case InDoubt():
            return doubt_of(made, made.outcome)
        case Held() | Handed():
            raise AssertionError("a call that waits has no end to tell")
