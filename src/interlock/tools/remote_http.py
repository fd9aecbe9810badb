"""The HTTP client below the MCP client of one remote server: bounded, and exact about what was sent.

What the SDK would make of trouble is either too much (one failed request ends all of them) or too little (a failed
call looks like an answer). So trouble of a single call is noted on its `Sending`, and the SDK is given an empty answer.
"""

import asyncio
import functools
import logging
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import httpx2
from mcp.types import JSONRPCError, JSONRPCResponse, jsonrpc_message_adapter
from mcp_types.version import LATEST_MODERN_VERSION

from interlock.model import ToolUnavailable
from interlock.resilience import Deadline
from interlock.tools.remote_answers import Refusal, read_refusal, status_of, trouble_of
from interlock.tools.remote_bodies import EVENT_STREAM, Bounded, check_plain
from interlock.tools.remote_transport import transport_to
from interlock.tools.sending import Sending

CONNECT_S = 15.0
REQUEST_S = 30.0  # for the answer to a request that is no call
NOTICE_S = 3.0  # notices are sent one after the other with everything else
_GRACE_S = 5.0  # for an answer that comes after its caller has given up, so that the connection can be kept
_KEEP_ALIVE_S = 4.0  # shorter than what servers commonly allow: a connection closed under a request is a lost call
_METHOD = "mcp-method"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SILENCE = {"connect": CONNECT_S, "pool": CONNECT_S, "write": CONNECT_S}  # on a stream of news there is no read timeout


class Notice:
    """Marks a message that nobody waits for an answer to."""


NOTICE = Notice()
# Which call, if any, an HTTP request belongs to; set for what is sent in its name, and for nothing else.
posting: ContextVar[Sending | Notice | None] = ContextVar("posting", default=None)


class Watched(Protocol):
    """What the client tells of the server."""

    @property
    def opening(self) -> bool:
        """Whether the server has not listed its tools yet."""

    def suspect(self, trouble: str) -> None:
        """Something went wrong that may not be a matter of one call."""

    def lost(self, ending: str) -> None:
        """It can't be talked to any more as it was."""

    @property
    def unauthorized(self) -> str:
        """What it means when the server answers 401, as the rest of a sentence."""

    async def authorization(self, refused: str | None) -> str | None:
        """The value of the header `Authorization`, when it is ours to fill; not the one that was refused.

        Raises:
            ToolUnavailable: it needs a login, or the login can't be renewed now.
        """


@dataclass(frozen=True)
class Target:
    """Where a server is.

    Attributes:
        url: with everything in it.
        headers: sent with each request.
        sse: it speaks the form of 2024: answers come on one long stream.
        calls: how many may be under way.
    """

    url: httpx2.URL
    headers: Mapping[str, str]
    sse: bool
    calls: int

    @property
    def place(self) -> str:
        """Scheme, host and port: the rest may be secret."""
        return str(self.url.copy_with(userinfo=b"", path="/", query=None, fragment=None)).rstrip("/")


@functools.cache
def shared_tls() -> ssl.SSLContext:
    """The one TLS context of this process; making one costs 60 ms."""
    return httpx2.create_ssl_context()


class _Withheld(Exception):
    """The caller of a request does not want it sent any more."""


class RemoteClient(httpx2.AsyncClient):
    """Sends what the SDK hands over to one origin, and to no other."""

    def __init__(self, target: Target, watched: Watched) -> None:
        """Nothing is connected yet; proxies come from the environment as usual."""
        connections = 2 * target.calls + 8
        super().__init__(
            headers={**target.headers, "accept-encoding": "identity"},
            verify=shared_tls(),
            transport=transport_to(target.url, shared_tls(), connections, _KEEP_ALIVE_S),
            timeout=httpx2.Timeout(REQUEST_S, connect=CONNECT_S),
            limits=httpx2.Limits(
                max_connections=connections,
                max_keepalive_connections=target.calls,
                keepalive_expiry=_KEEP_ALIVE_S,
            ),
            follow_redirects=False,
        )
        for name in ("mcp.client", "httpx2", "httpcore2"):  # they log addresses and headers
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._target = target
        self._watched = watched

    async def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        """Send one request; see the module for what becomes of trouble.

        Raises:
            ToolUnavailable: the server is not ready yet and can't be used.
            httpx2.HTTPError: of a request that is neither a call nor a message of ours.
        """
        self._check_origin(request.url)
        owner = posting.get()
        if isinstance(owner, Sending):
            return await self._send_call(request, owner, how)
        if request.method != "POST":
            return await self._send_plain(request, how)
        limit_s = NOTICE_S if isinstance(owner, Notice) else None
        try:
            async with asyncio.timeout(limit_s):
                response = await self._send_message(request, how)
                await self._note_status(request, response)
        except (httpx2.HTTPError, TimeoutError, ToolUnavailable) as error:
            trouble = trouble_of(error)
            self._watched.suspect(trouble)
            if self._watched.opening:
                raise ToolUnavailable(trouble) from error
            return _nothing(request)
        return response

    # ---- calls --------------------

    async def _send_call(self, request: httpx2.Request, sending: Sending, how: dict[str, Any]) -> httpx2.Response:
        left_s = sending.deadline.remaining_s
        request.extensions = {
            **request.extensions,
            "timeout": {"connect": min(CONNECT_S, left_s), "pool": left_s, "write": left_s, "read": left_s + _GRACE_S},
            "trace": self._gate(sending),
        }
        try:
            async with asyncio.timeout(left_s + _GRACE_S):
                response = await self._authorized(request, how)
                return await self._read_call(request, response, sending)
        except _Withheld:
            self._fail(sending, "was not reached in time")
        except (httpx2.HTTPError, TimeoutError) as error:
            self._fail(sending, trouble_of(error))
            self._watched.suspect(trouble_of(error))
        except ToolUnavailable as error:  # its login
            sending.refused(error.message)
            self._watched.suspect(error.message)
            self._fail(sending, error.message)
        return _nothing(request)

    def _fail(self, sending: Sending, trouble: str) -> None:
        # Where answers come on another stream, the SDK can't tell the caller that there will be none.
        sending.fail(trouble, wake=self._target.sse)

    def _gate(self, sending: Sending) -> Any:
        async def trace(event: str, info: dict[str, Any]) -> None:
            # Just before the first byte is written; the CONNECT to a proxy is not the call.
            if event.endswith(".send_request_headers.started") and info["request"].method != b"CONNECT":
                sending.trouble = None
                if not sending.may_start():
                    raise _Withheld

        return trace

    async def _read_call(self, request: httpx2.Request, response: httpx2.Response, sending: Sending) -> httpx2.Response:
        if response.next_request is not None:  # the SDK sends it again when it stays within the origin
            sending.refused(f"points to another address ({response.status_code})")
            response.stream = Bounded(response.stream, sending.deadline)
            return response
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code >= 400 or kind != EVENT_STREAM:
            response.stream = Bounded(response.stream, Deadline.after(sending.deadline.remaining_s + _GRACE_S))
            body = await response.aread()
        else:
            response.stream = Bounded(response.stream, Deadline.after(sending.deadline.remaining_s + _GRACE_S), sending)
            return response
        is_message = kind == "application/json" and _is_answer(body)
        refusal = self._refusal(request, response, body if is_message else None)
        if refusal is not None:
            return self._refuse(request, refusal, sending)
        if is_message or (self._target.sse and response.is_success):
            return response
        self._fail(sending, _strange(response, kind))
        if response.status_code >= 500:
            self._watched.suspect(_strange(response, kind))
        return _nothing(request)

    def _refuse(self, request: httpx2.Request, refusal: Refusal, sending: Sending) -> httpx2.Response:
        sending.refused(refusal.trouble, refusal.retry_after_s)
        if refusal.session_lost:
            self._watched.lost(refusal.trouble)
        elif refusal.status == 401:
            self._watched.suspect(refusal.trouble)
        self._fail(sending, refusal.trouble)
        return _nothing(request)

    def _refusal(self, request: httpx2.Request, response: httpx2.Response, message: bytes | None) -> Refusal | None:
        refusal = read_refusal(request, response, message)
        scope = "insufficient_scope" in response.headers.get("www-authenticate", "")
        if refusal is not None and (refusal.status == 401 or (refusal.status == 403 and scope)):
            return replace(refusal, trouble=self._watched.unauthorized)
        return refusal

    # ---- the rest --------------------

    async def _send_message(self, request: httpx2.Request, how: dict[str, Any]) -> httpx2.Response:
        if request.headers.get(_METHOD) == "subscriptions/listen":
            request.extensions = {**request.extensions, "timeout": _SILENCE}
        response = await self._authorized(request, how)
        kind = response.headers.get("content-type", "")
        if kind.startswith(EVENT_STREAM) and response.is_success:
            response.stream = Bounded(response.stream, None, None, events=True)
            return response
        response.stream = Bounded(response.stream, Deadline.after(REQUEST_S))
        await response.aread()
        return response

    async def _send_plain(self, request: httpx2.Request, how: dict[str, Any]) -> httpx2.Response:
        if request.method == "GET":  # the stream that the server speaks on of itself, or goes on with
            request.extensions = {**request.extensions, "timeout": _SILENCE}
        limit_s = NOTICE_S if request.method == "DELETE" else None
        try:
            async with asyncio.timeout(limit_s):
                response = await self._authorized(request, how)
        except httpx2.HTTPError as error:
            self._watched.suspect(trouble_of(error))
            raise
        if self._watched.opening:
            await self._note_status(request, response)
        response.stream = Bounded(response.stream, None, None, events=True)
        return response

    async def _note_status(self, request: httpx2.Request, response: httpx2.Response) -> None:
        """Remember why the server is not to be had; the SDK keeps nothing of it."""
        if response.status_code < 400:
            return
        refusal = self._refusal(request, response, None)
        trouble = refusal.trouble if refusal is not None else status_of(response)
        if refusal is not None and refusal.session_lost:
            self._watched.lost(trouble)
        elif response.status_code in (401, 403, 429) or response.status_code >= 500:
            self._watched.suspect(trouble)
            if self._watched.opening and response.status_code in (401, 429):
                raise ToolUnavailable(trouble)

    async def _authorized(self, request: httpx2.Request, how: dict[str, Any]) -> httpx2.Response:
        """Send it with our token, and once more when the token was too old."""
        value = await self._watched.authorization(None)
        if value is not None:
            request.headers["authorization"] = value
        response = await super().send(request, **how)
        if response.status_code == 401 and value is not None:
            if isinstance(owner := posting.get(), Sending):
                owner.started = False
            better = await self._watched.authorization(value)
            if better is not None and better != value:
                await response.aclose()
                request.headers["authorization"] = better
                response = await super().send(request, **how)
        await check_plain(response)
        return response

    def _check_origin(self, url: httpx2.URL) -> None:
        ours = self._target.url
        upgraded = ours.scheme == "http" and url.scheme == "https" and (ours.port, url.port) == (None, None)
        if url.host != ours.host or not (upgraded or (url.scheme, url.port) == (ours.scheme, ours.port)):
            raise ToolUnavailable(f"wants a message at another address than {self._target.place}")


def check_safe(address: str) -> None:
    """Refuse an address that a login must not go through.

    Raises:
        ToolUnavailable: it is neither https nor on this machine.
    """
    url = httpx2.URL(address)
    if url.scheme != "https" and not (url.scheme == "http" and url.host in _LOOPBACK):
        raise ToolUnavailable(f"can't be logged in to: '{url.host}' is not reached by https")


def knock(http: httpx2.AsyncClient, target: Target) -> httpx2.Request:
    """A message that a server answers with what it wants for an answer."""
    meta = {"io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION}
    message = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}
    headers = {
        **target.headers,
        "accept": f"application/json, {EVENT_STREAM}",
        "mcp-protocol-version": LATEST_MODERN_VERSION,
        _METHOD: "server/discover",
    }
    if target.sse:
        return http.build_request("GET", target.url, headers={**target.headers, "accept": EVENT_STREAM})
    return http.build_request("POST", target.url, json=message, headers=headers)


def auth_client(auth: httpx2.Auth | None = None) -> httpx2.AsyncClient:
    """A client for what belongs to a login: no header of a server, only safe addresses, bounded answers."""

    async def only_safe(request: httpx2.Request) -> None:
        check_safe(str(request.url))

    async def bounded(response: httpx2.Response) -> None:
        await check_plain(response)
        response.stream = Bounded(response.stream, Deadline.after(REQUEST_S))

    return httpx2.AsyncClient(
        auth=auth,
        headers={"accept-encoding": "identity"},
        verify=shared_tls(),
        timeout=httpx2.Timeout(REQUEST_S, connect=CONNECT_S),
        event_hooks={"request": [only_safe], "response": [bounded]},
    )


def _nothing(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(202, request=request)


def _is_answer(body: bytes) -> bool:
    try:
        message = jsonrpc_message_adapter.validate_json(body, by_name=False)
    except ValueError:
        return False
    return isinstance(message, JSONRPCResponse | JSONRPCError)


def _strange(response: httpx2.Response, kind: str) -> str:
    if response.status_code >= 400:
        return status_of(response)
    return f"answers {response.status_code} with {kind or 'nothing'}, which is no MCP message"


def as_pool(client: RemoteClient) -> httpx2.AsyncClient:
    """The client as the SDK's types want it."""
    return cast(httpx2.AsyncClient, client)
