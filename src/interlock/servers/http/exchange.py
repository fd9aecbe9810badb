"""One request and its answer, over a connection of its own: nothing is shared between calls, so nothing can leak."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpcore

from interlock.model import VERSION, Unavailable
from interlock.servers.http.allow import AllowList
from interlock.servers.http.credentials import Vault
from interlock.servers.http.dialing import LOST, Dialer, Flight, Resolver, checked_addresses, system_resolver
from interlock.servers.http.headers import Headers, has
from interlock.servers.http.limits import CLOSE_S, CONNECT_S
from interlock.servers.http.target import Target

_SWITCHED = 101


@dataclass(frozen=True)
class Egress:
    """The way out.

    Attributes:
        allow: where to.
        vault: what the operator adds to requests.
        tls: makes the settings of TLS when they are first needed; reading the trusted certificates takes a while.
        resolve: looks names up.
        network: makes connections to addresses.
    """

    allow: AllowList
    vault: Vault
    tls: Callable[[], ssl.SSLContext]
    resolve: Resolver = system_resolver
    network: httpcore.AsyncNetworkBackend = field(default_factory=httpcore.AnyIOBackend)


@dataclass(frozen=True)
class Request:
    """One request, as far as the caller and redirects decide it.

    Attributes:
        body: None when the method has none.
        credentialed: whether the operator's headers go along; never again once another origin was visited.
    """

    method: str
    target: Target
    headers: Headers = ()
    body: bytes | None = None
    credentialed: bool = True


@asynccontextmanager
async def answered(
    egress: Egress, request: Request, flight: Flight, until_s: float
) -> AsyncIterator[httpcore.Response]:
    """Send a request; the answer's headers have come, its body can be read within the context.

    Args:
        egress: the way out.
        request: what to send.
        flight: notes whether anything was sent.
        until_s: the moment on the loop's clock at which to give up.

    Raises:
        DeniedError: the target is not allowed; nothing was sent.
        UserError: the request would give a credential away; nothing was sent.
        Unavailable: there is no answer; `flight` says whether something was sent.
    """
    target = request.target
    extra = egress.vault.headers_for(target, request.headers) if request.credentialed else ()
    try:
        async with asyncio.timeout_at(until_s):
            addresses = await checked_addresses(target, egress.allow, egress.resolve)
    except TimeoutError as error:
        raise Unavailable("The time was up before the request was sent.") from error
    connection = httpcore.AsyncHTTPConnection(
        httpcore.Origin(target.scheme.encode(), target.host.encode(), target.port),
        ssl_context=egress.tls() if target.scheme == "https" else None,
        network_backend=Dialer(egress.network, target, addresses, flight),
    )
    try:
        yield await _answer(connection, _wire(request, extra), request, until_s)
    finally:
        with suppress(TimeoutError, *LOST):
            async with asyncio.timeout(CLOSE_S):
                await connection.aclose()


async def _answer(
    connection: httpcore.AsyncHTTPConnection, wire: httpcore.Request, request: Request, until_s: float
) -> httpcore.Response:
    host = request.target.netloc
    try:
        async with asyncio.timeout_at(until_s):
            response = await connection.handle_async_request(wire)
    except TimeoutError as error:
        raise Unavailable(f"{host} gave no answer in time.") from error
    except LOST as error:
        raise Unavailable(f"{host} {_trouble(error)}.") from error
    if response.status == _SWITCHED:
        raise Unavailable(f"{host} wants to speak another protocol than HTTP.")
    return response


def _wire(request: Request, extra: Headers) -> httpcore.Request:
    headers = [("Host", request.target.netloc), *request.headers, *extra, ("Accept-Encoding", "gzip, deflate")]
    defaults = {"User-Agent": f"interlock/{VERSION}", "Accept": "*/*"}
    headers += [(name, value) for name, value in defaults.items() if not has(tuple(headers), name.lower())]
    headers.append(("Connection", "close"))
    if request.body is not None:
        headers.append(("Content-Length", str(len(request.body))))
    target = request.target
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
        headers=headers,
        content=request.body,
        extensions={"timeout": {"connect": CONNECT_S}},
    )


def _trouble(error: Exception) -> str:
    """What went wrong, as the end of a sentence."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"has no valid certificate: {cause.verify_message.rstrip('.')}"
    if isinstance(cause, ssl.SSLError) or isinstance(error, ssl.SSLError):
        return "could not agree on TLS"
    if isinstance(error, httpcore.ConnectTimeout):
        return "took no connection in time"
    if isinstance(error, httpcore.ConnectError):
        return "could not be connected to"
    if isinstance(error, httpcore.RemoteProtocolError):
        return "closed the connection without an answer, or gave one that is not HTTP"
    return "broke the connection off before it answered"
