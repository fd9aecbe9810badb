"""One life of a server at a URL: Streamable HTTP of both generations, and the older form with one long stream."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import anyio
import httpx2
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp.types import (
    PARSE_ERROR,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from interlock.config import SECRET, Clock, is_header_name
from interlock.model import ConfigError, ToolUnavailable
from interlock.tools.oauth import Login, needs_login
from interlock.tools.remote_answers import trouble_of
from interlock.tools.remote_bodies import MESSAGE_BYTES
from interlock.tools.remote_http import NOTICE, Notice, RemoteClient, Target, as_pool, posting
from interlock.tools.sending import Sending, current_sending
from interlock.tools.straight import Straight
from interlock.tools.surroundings import Surroundings

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig

_CREDENTIAL_CHARS = 8
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
News: TypeAlias = Callable[[], None]
_CALL = "tools/call"
_INITIALIZED = "notifications/initialized"


def find_target(config: "ToolServerConfig", where: Surroundings) -> tuple[Target, tuple[str, ...], tuple[str, ...]]:
    """Where the server is, with the values that are secret, and those of them that are credentials.

    Raises:
        ConfigError: a variable or a secret that is used does not exist, or the URL is none.
        ToolUnavailable: a header can't be sent.
    """
    raw_url = config.url or ""
    try:
        url = httpx2.URL(where.value(raw_url))
    except httpx2.InvalidURL as error:
        raise ConfigError(f"`url` is no address of a server: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError("`url` is no address of a server: it does not begin with http:// or https:// and a host")
    headers = {name: where.value(value) for name, value in config.headers.items()}
    for name, value in headers.items():
        if not is_header_name(name) or not re.fullmatch(r"[\t\x20-\x7e]*", value):
            raise ToolUnavailable(
                f"the header '{name[:40]}' can't be sent: it holds a character that HTTP does not allow"
            )
    secrets = [*headers.values(), *(value.partition(" ")[2] for value in headers.values())]
    credentials = [
        part
        for name, value in headers.items()
        if _SECRET_NAME.search(name) or _refers(config.headers[name])
        for part in (value, value.partition(" ")[2])
    ]
    if url.password:
        credentials.append(url.password)
    if _refers(raw_url):
        parts = [*url.path.split("/"), *url.params.values()]
        credentials += [part for part in parts if part not in raw_url]
    found = tuple(dict.fromkeys(value for value in credentials if len(value) >= _CREDENTIAL_CHARS))
    known = tuple(dict.fromkeys(value for value in (*secrets, *credentials) if value))
    return Target(url, headers, config.transport == "sse", config.concurrency), known, found


def _refers(raw: str) -> bool:
    return "${" in raw or SECRET in raw


class Remote:
    """The `Peer` that is a server at a URL; what it is told by the HTTP client decides when its life is over."""

    polled = True
    pid: int | None = None
    sandbox = ""

    def advice(self, server: str) -> str:
        """Nothing: no sandbox of ours is in its way."""
        del server
        return ""

    def __init__(
        self, server: str, config: "ToolServerConfig", where: Surroundings, clock: Clock, on_news: News
    ) -> None:
        """Nothing is connected yet.

        Raises:
            ConfigError, ToolUnavailable: as in `find_target`.
        """
        self._server = server
        self.target, self._secrets, self._credentials = find_target(config, where)
        self._own = "authorization" in {name.lower() for name in config.headers}
        kept = None if self._own else where.shelf
        self._login = Login(server, str(self.target.url), kept, clock) if kept is not None else None
        self._on_news = on_news
        self.opening = True
        self.over = False
        self.garbage: str | None = None
        self.trouble: str | None = None
        self.verdict: str | None = None
        self._suspicious = False
        self._interrupt: Callable[[], None] | None = None
        self._under_way: dict[RequestId, Sending] = {}
        self._http: RemoteClient | None = None

    # ---- what the HTTP client tells --------------------

    def suspect(self, trouble: str) -> None:
        """Something went wrong that may not be a matter of one call: it will be looked at."""
        self.trouble = trouble
        if not self.opening:
            self._suspicious = True
            self._on_news()

    def lost(self, ending: str) -> None:
        """Our session is gone; a new one must be made."""
        self.trouble = ending
        self._finish(ending)

    @property
    def unauthorized(self) -> str:
        """What it means when the server answers 401."""
        return needs_login(self._server) if not self._own else "does not take the credentials in its `headers` (401)"

    async def authorization(self, refused: str | None) -> str | None:
        """The header of a login that was made here, renewed when it is too old or was refused.

        Raises:
            ToolUnavailable: it needs a login, or the login can't be renewed now.
        """
        if self._login is None:
            return None
        token = await self._login.token(refused.removeprefix("Bearer ") if refused is not None else None)
        return None if token is None else f"Bearer {token}"

    # ---- a peer --------------------

    @property
    def gone(self) -> bool:
        """Whether this life of it has ended."""
        return self.over

    @property
    def ending(self) -> str | None:
        """How it ended, as the rest of a sentence, or None while it lives."""
        if not self.over and self.verdict is None:
            return None
        return self.verdict or self.trouble or f"ended the connection to {self.target.place}"

    @property
    def blamed(self) -> bool:
        """Always: whatever ends it is known."""
        return True

    def reason_of(self, error: BaseException) -> str:
        """What the HTTP client knows of it, or else what is said."""
        if isinstance(error, ToolUnavailable):
            return error.message
        if isinstance(error, httpx2.HTTPError):
            return self.trouble or trouble_of(error)
        return self.trouble or f"can't be talked to: {error}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not show up in messages."""
        return (*self._secrets, *self._tokens())

    @property
    def credentials(self) -> tuple[str, ...]:
        """Values that must not show up in results either."""
        return (*self._credentials, *self._tokens())

    def _tokens(self) -> tuple[str, ...]:
        return self._login.values if self._login is not None else ()

    def words(self) -> tuple[str, ...]:
        """None: its standard error is its own."""
        return ()

    def mark_ready(self) -> None:
        """From now on its troubles are those of single calls."""
        self.opening, self.trouble, self._suspicious = False, None, False

    def take_suspicion(self) -> bool:
        """Whether something went wrong since this was last asked."""
        suspicious, self._suspicious = self._suspicious, False
        return suspicious

    def on_kill(self, interrupt: Callable[[], None] | None) -> None:
        """Who waits for it, and must be woken when it is killed."""
        self._interrupt = interrupt

    def condemn(self, ending: str) -> None:
        """Its life will be ended for this reason, when the calls under way have ended."""
        self.verdict = self.verdict or ending

    def kill(self, verdict: str) -> None:
        """Take it as gone at once."""
        self.verdict = self.verdict or verdict
        self._finish(verdict)
        if self._interrupt is not None:
            self._interrupt()

    async def settled(self) -> None:
        """Nothing to wait for: the reason of an end is known when it is noticed."""

    async def end(self) -> None:
        """Nothing is left when the streams are closed."""
        self.over = True

    def _finish(self, ending: str) -> None:
        if self.over:
            return
        self.verdict, self.over = self.verdict or ending, True
        self._on_news()

    # ---- streams --------------------

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[tuple["Answers", "Requests"]]:
        """The pair of streams for `mcp.Client`."""
        url = str(self.target.url)
        if self.target.sse:
            async with sse_client(url, httpx_client_factory=self._factory) as (inbox, outbox):
                yield Answers(self, inbox), Requests(self, outbox)
            return
        async with RemoteClient(self.target, self) as http:
            self._http = http
            limit = 2 * MESSAGE_BYTES  # ours is the smaller one, and says what it cut off
            bound = streamable_http_client(url, http_client=as_pool(http), max_sse_event_size=limit)
            async with bound as (inbox, outbox):
                yield Answers(self, inbox), Requests(self, outbox)

    def straight(self, client: Client) -> Straight | None:
        """A way for calls past the streams, if the server keeps no session."""
        return Straight.of(self._http, self.target.url, client) if self._http is not None else None

    def _factory(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        del headers, timeout, auth  # all of it is ours
        return as_pool(RemoteClient(self.target, self))

    def began(self, sending: Sending, request_id: RequestId) -> None:
        """Remember which request carries the call."""
        sending.request_id = request_id
        self._under_way[request_id] = sending

    works_on = False

    def cut_off(self, sending: Sending) -> None:
        """Nothing to do: it was told, or hung up on, and its process is somebody else's."""

    def forget(self, sending: Sending) -> None:
        """The caller is through with the call."""
        if sending.request_id is not None:
            self._under_way.pop(sending.request_id, None)

    def heard(self, message: JSONRPCResponse | JSONRPCError) -> None:
        """A message came that answers a request, or that the SDK made up because there will be no answer."""
        sending = self._under_way.get(message.id) if message.id is not None else None
        if sending is None or sending.trouble is not None:
            return
        if isinstance(message, JSONRPCError) and message.error.code == PARSE_ERROR:
            sending.trouble = "answered with something that is no MCP message"
            return
        sending.answered = True

    def closed(self) -> None:
        """The streams have ended by themselves."""
        self._finish(self.trouble or f"ended the connection to {self.target.place}")


class Answers:
    """Messages from the server, as the SDK reads them; it is noted which calls they answer."""

    def __init__(self, remote: Remote, inner: Any) -> None:
        self._remote = remote
        self._inner = inner

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def receive(self) -> SessionMessage | Exception:
        """The next message.

        Raises:
            anyio.EndOfStream: there will be no more.
        """
        try:
            item: SessionMessage | Exception = await self._inner.receive()
        except anyio.EndOfStream:
            self._remote.closed()
            raise
        if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self._remote.heard(item.message)
        return item

    async def aclose(self) -> None:
        """Close the stream."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


class Requests:
    """Messages to the server; the HTTP request that carries a call knows which call it is."""

    def __init__(self, remote: Remote, inner: Any) -> None:
        self._remote = remote
        self._inner = inner

    async def send(self, item: SessionMessage, /) -> None:
        """Hand one message to the task that posts it, which runs in a copy of this context."""
        message, sending = item.message, current_sending.get()
        owner: Sending | Notice | None = None
        if isinstance(message, JSONRPCRequest) and message.method == _CALL and sending is not None:
            self._remote.began(sending, message.id)
            owner = sending
        elif isinstance(message, JSONRPCNotification) and message.method != _INITIALIZED:
            owner = NOTICE
        token = posting.set(owner)
        try:
            await self._inner.send(item)
        finally:
            posting.reset(token)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
