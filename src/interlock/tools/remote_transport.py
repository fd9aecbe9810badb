"""HTTP below the client of a remote server, by aiohttp: what comes with httpx2 takes four times as long for a call.

Everything above it stays as it is: requests, answers and errors are those of httpx2.
"""

import asyncio
import contextlib
import select
import ssl
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import aiohttp
import httpx2
from yarl import URL

_LINE_BYTES = 64 * 1024
# Asked just before the first byte of the request of this task is written; what it raises, the request raises.
_before_write: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("before_write", default=None)
_NO_AUTO = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


def transport_to(url: httpx2.URL, tls: ssl.SSLContext, connections: int, keep_alive_s: float) -> "Transport | None":
    """The way to one origin; None if a proxy of the environment stands in it, which httpx2 sees to itself."""
    proxies = urllib.request.getproxies_environment()
    if (url.scheme in proxies or "all" in proxies) and not urllib.request.proxy_bypass(url.netloc.decode()):
        return None
    return Transport(tls, connections, keep_alive_s)


class _Stale(Exception):
    """A kept connection has been closed by the other side; nothing was sent."""


_used: "WeakSet[asyncio.Transport]" = WeakSet()  # connections that have carried a request


class _Request(aiohttp.ClientRequest):
    """Looks at a kept connection, and asks whether the request still may be sent, just before its first byte."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        if conn.transport in _used and _closed_by_server(conn.transport):
            raise _Stale
        gate = _before_write.get()
        if gate is not None:
            await gate()
        _used.add(conn.transport)
        return await super().send(conn)


class Transport(httpx2.AsyncBaseTransport):
    """Connections to one origin; a POST that fails is never repeated."""

    def __init__(self, tls: ssl.SSLContext, connections: int, keep_alive_s: float) -> None:
        """Nothing is connected yet.

        Args:
            tls: for https.
            connections: how many there may be.
            keep_alive_s: how long an idle one is kept.
        """
        self._tls = tls
        self._connections = connections
        self._keep_alive_s = keep_alive_s
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._connections, ssl=self._tls, keepalive_timeout=self._keep_alive_s
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=_NO_AUTO,
                request_class=_Request,
                max_line_size=_LINE_BYTES,
                max_field_size=_LINE_BYTES,
            )
        return self._session

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request and read the head of its answer.

        Raises:
            httpx2.TransportError: it could not be sent or was not answered.
        """
        trace = request.extensions.get("trace")
        token = _before_write.set(_telling(trace, request) if trace is not None else None)
        try:
            with _as_httpx2(request):
                answer = await self._answer(request)
        finally:
            _before_write.reset(token)
        reason = (answer.reason or "").encode("ascii", errors="replace")
        return httpx2.Response(
            answer.status,
            headers=list(answer.raw_headers),
            stream=_Body(answer, request),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": reason},
        )

    async def _answer(self, request: httpx2.Request) -> aiohttp.ClientResponse:
        body = await request.aread() or None
        headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers.raw]
        plain = request.url.copy_with(userinfo=b"") if request.url.userinfo else request.url
        url = URL(str(plain), encoded=True)
        for _ in range(self._connections):  # as many stale ones as there can be
            with contextlib.suppress(_Stale):
                return await self._opened().request(
                    request.method, url, data=body, headers=headers, allow_redirects=False, timeout=_timeouts(request)
                )
        raise httpx2.ConnectError("it closes each connection at once", request=request)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


class _Body(httpx2.AsyncByteStream):
    """The rest of an answer."""

    def __init__(self, answer: aiohttp.ClientResponse, request: httpx2.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx2(self._request):
            async for chunk in self._answer.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        """Give the connection back if all was read, else close it."""
        if self._answer.content.at_eof():
            self._answer.release()
        else:
            self._answer.close()


def _closed_by_server(transport: asyncio.Transport) -> bool:
    """Whether there is something to read although nothing was asked, which is the end of the stream.

    Not to be asked of a new connection: with TLS, what belongs to its beginning may still arrive.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _telling(trace: Any, request: httpx2.Request) -> Callable[[], Awaitable[None]]:
    """Tells the request's `trace` what the transport of httpx2 tells it at the same moment."""

    async def tell() -> None:
        about = SimpleNamespace(method=request.method.encode())
        await trace("http11.send_request_headers.started", {"request": about})

    return tell


def _timeouts(request: httpx2.Request) -> aiohttp.ClientTimeout:
    told = request.extensions.get("timeout", {})
    return aiohttp.ClientTimeout(
        total=None, connect=told.get("pool"), sock_connect=told.get("connect"), sock_read=told.get("read")
    )


@contextlib.contextmanager
def _as_httpx2(request: httpx2.Request) -> Iterator[None]:
    """Errors of aiohttp as those of httpx2."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout(str(error), request=request) from error
    except (aiohttp.SocketTimeoutError, TimeoutError) as error:
        raise httpx2.ReadTimeout(str(error), request=request) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx2.ConnectError(str(error), request=request) from error
    except aiohttp.ServerDisconnectedError as error:
        raise httpx2.RemoteProtocolError("it closed the connection without an answer", request=request) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise httpx2.ReadError(str(error) or type(error).__name__, request=request) from error
