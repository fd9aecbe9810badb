"""`POST /mcp`: who may speak, how much at once, and what becomes of those who hang up."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.app import Gateway, OutsideAgent
from interlock.config import token_id
from interlock.model import Exhausted, InterlockError, Unauthorized, Unavailable
from interlock.server.bodies import read_bytes
from interlock.server.gateway.caller import SCOPE_KEY, Caller, present
from interlock.server.gateway.protocol import Patience, protocol_server
from interlock.server.route import Route

PATH = "/mcp"
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_HELD_BYTES = 128 * 1024 * 1024  # of all bodies together
SMALL_BYTES = 64 * 1024
MAX_REQUESTS = 256
MAX_REQUESTS_EACH = 80  # of one token; a little more than calls it may have under way

_HINT = "interlock tokens create --agent AGENT"
_bearer = HTTPBearer(auto_error=False, scheme_name="agent", description="of: interlock tokens create --agent AGENT")
_NO_CHECKS = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # `Guard` has checked Host and Origin


class Endpoint:
    """The MCP server of one gateway, and how many requests it has in hand."""

    def __init__(self, gateway: Gateway | None, version: str, patience: Patience | None = None) -> None:
        self._gateway = gateway
        self._version = version
        self._patience = patience or Patience()
        self._manager: StreamableHTTPSessionManager | None = None
        self._in_hand: Counter[str] = Counter()
        self._bytes = 0

    @property
    def gateway(self) -> Gateway:
        """The way in.

        Raises:
            Unavailable: there is none, or the server is not up.
        """
        if self._gateway is None or self._manager is None:
            raise Unavailable("this server takes no calls from agents outside", hint="interlock up")
        return self._gateway

    def replace(self, gateway: Gateway | None) -> None:
        """Let requests in by another way from now on."""
        self._gateway = gateway

    @property
    def app(self) -> ASGIApp:
        """What speaks the protocol."""
        assert self._manager is not None
        return self._manager.handle_request

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take requests for the length of a block."""
        if self._gateway is None:
            yield
            return
        manager = StreamableHTTPSessionManager(
            protocol_server(self._gateway, self._version, self._patience),
            json_response=True,
            stateless=True,
            security_settings=_NO_CHECKS,
            max_request_body_size=MAX_BODY_BYTES,
        )
        async with manager.run():
            self._manager = manager
            try:
                yield
            finally:
                self._manager = None

    @contextmanager
    def place_for(self, agent: OutsideAgent, size: int) -> Iterator[None]:
        """Hold one request of an agent, with a body of so many bytes, for the length of a block.

        Raises:
            Exhausted: it, or all agents together, have too much in hand.
        """
        if self._in_hand.total() >= MAX_REQUESTS or self._in_hand[agent.id] >= MAX_REQUESTS_EACH:
            raise Exhausted("too many requests are under way at the gateway", hint="wait for one to end")
        held = size if size > SMALL_BYTES else 0
        if self._bytes + held > MAX_HELD_BYTES:
            raise Exhausted("too many large requests are under way at the gateway", hint="wait for one to end")
        self._in_hand[agent.id] += 1
        self._bytes += held
        try:
            yield
        finally:
            self._bytes -= held
            self._in_hand[agent.id] -= 1
            if not self._in_hand[agent.id]:
                del self._in_hand[agent.id]


class Passage(Response):
    """The answer that the MCP server gives; it knows whether the one who asked was still there to get it."""

    def __init__(self, endpoint: Endpoint, request: Request, agent: OutsideAgent) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._request = request
        self._caller = Caller(agent, endpoint.gateway, request.app.state.stop)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the request, let it through, and note which outcomes were heard."""
        declared = self._request.headers.get("content-length", "")
        size = int(declared) if declared.isdecimal() and len(declared) < 10 else MAX_BODY_BYTES
        with self._endpoint.place_for(self._caller.agent, size):
            body = await read_bytes(self._request, MAX_BODY_BYTES)
            watching = asyncio.create_task(self._watch(receive))
            try:
                await self._let_through(scope, body, send)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._caller.gone.set()

    async def _let_through(self, scope: Scope, body: bytes, send: Send) -> None:
        caller = self._caller
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if pending:
                return pending.pop()
            await caller.gone.wait()
            return {"type": "http.disconnect"}

        async def deliver(message: Message) -> None:
            heard = not caller.gone.is_set()
            await send(message)
            if heard and message["type"] == "http.response.body" and not message.get("more_body", False):
                for call_id in caller.answered:
                    caller.gateway.told(caller.agent, call_id)

        headers = [pair for pair in scope["headers"] if pair[0] != b"authorization"]  # of no concern to what follows
        present.set(caller)
        await self._read_names(caller)
        await self._endpoint.app({**scope, "headers": headers, SCOPE_KEY: caller}, receive, deliver)

    async def _read_names(self, caller: Caller) -> None:
        """The headers of a call are held against the schema of its tool, which has to be known by then."""
        if self._request.headers.get("mcp-method") == "tools/call":
            with contextlib.suppress(InterlockError):  # whoever makes the call is told
                await caller.gateway.tool(caller.agent, self._request.headers.get("mcp-name", ""))


async def agent_of(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> OutsideAgent:
    """The agent whose token the request carries; the token of the API is none.

    Raises:
        Unauthorized: it carries none, or none that is good.
        Unavailable: this server takes no calls from agents outside.
    """
    if credentials is None or token_id(credentials.credentials) is None:
        raise Unauthorized(
            "the request carries no token of an agent: expected the header `Authorization: Bearer …`", hint=_HINT
        )
    endpoint: Endpoint = request.app.state.mcp
    return await endpoint.gateway.who(credentials.credentials)


async def speak(request: Request, agent: Annotated[OutsideAgent, Depends(agent_of)]) -> Response:
    """MCP over Streamable HTTP, stateless and with JSON answers: the tools of the agent that the token is for."""
    return Passage(request.app.state.mcp, request, agent)


ROUTES = (Route("POST", PATH, speak),)
