"""Names become addresses once, every address is checked, and only a checked one is connected to.

httpcore speaks HTTP and TLS over what `Dialer` connects: certificates are verified for the name in the URL, while the
name plays no part in where the packets go.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from ssl import SSLContext, SSLError
from typing import Any, TypeAlias

from httpcore import (
    SOCKET_OPTION,
    AsyncNetworkBackend,
    AsyncNetworkStream,
    ConnectError,
    ConnectTimeout,
    NetworkError,
    ProtocolError,
    TimeoutException,
)

from interlock.model import Bug, DeniedError, Unavailable
from interlock.servers.http.address import Address
from interlock.servers.http.allow import LOCALHOST, AllowList
from interlock.servers.http.limits import ADDRESSES, ADDRESSES_TRIED, CONNECT_ONE_S, RESOLVE_S
from interlock.servers.http.target import Target

LOST = (NetworkError, TimeoutException, ProtocolError, SSLError, OSError)  # how a connection can fail
Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
_LOOPBACK: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


async def system_resolver(host: str, port: int) -> list[str]:
    """All addresses of a name, as this machine looks names up.

    Raises:
        OSError: it has none, or nobody could say.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[0]) for *_, where in found]


async def checked_addresses(target: Target, allow: AllowList, resolve: Resolver) -> tuple[Address, ...]:
    """The addresses that a target stands for, if the target and every one of them may be asked.

    Raises:
        DeniedError: the host or an address of it is not allowed.
        Unavailable: the name has no address.
    """
    refusal = allow.host_refusal(target)
    if refusal is not None:
        raise DeniedError(refusal)
    addresses = await _look_up(target, resolve)
    for address in addresses:
        refusal = allow.address_refusal(target, address)
        if refusal is not None:
            raise DeniedError(refusal)
    return addresses[:ADDRESSES_TRIED]


async def _look_up(target: Target, resolve: Resolver) -> tuple[Address, ...]:
    if target.address is not None:
        return (target.address,)
    if target.host == LOCALHOST:  # nobody may say otherwise
        return _LOOPBACK
    try:
        async with asyncio.timeout(RESOLVE_S):
            texts = await resolve(target.host, target.port)
    except TimeoutError as error:
        raise Unavailable(f"The name {target.host} could not be looked up within {RESOLVE_S:g} s.") from error
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"The name {target.host} can't be found.") from error
    if not texts or len(set(texts)) > ADDRESSES:
        raise Unavailable(f"The name {target.host} has {'too many addresses' if texts else 'no address'}.")
    return tuple(dict.fromkeys(_parse(target.host, text) for text in texts))


def _parse(host: str, text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise DeniedError(f"{host} leads to something that is no IP address.") from error
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise DeniedError(f"{host} leads to an address of one network card, where requests may not go.")
    return address


@dataclass
class Flight:
    """What is known of a request that is under way; `sent` says that the server may have seen some of it."""

    sent: bool = False


class Dialer(AsyncNetworkBackend):
    """Connects to the checked addresses of one target, one after the other, and to nothing else."""

    def __init__(
        self, inner: AsyncNetworkBackend, target: Target, addresses: Sequence[Address], flight: Flight
    ) -> None:
        self._inner = inner
        self._target = target
        self._addresses = addresses
        self._flight = flight

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Connect; the host is only compared, the checked addresses are used.

        Raises:
            ConnectError: none of them could be connected to.
            ConnectTimeout: the last one did not answer in time.
        """
        if (host, port) != (self._target.host, self._target.port):
            raise Bug(f"asked to connect to {host}:{port} instead of {self._target.netloc}")
        each_s = CONNECT_ONE_S if timeout is None else min(timeout, CONNECT_ONE_S)
        last: ConnectError | ConnectTimeout = ConnectError("there is no address")
        for address in self._addresses:
            try:
                stream = await self._inner.connect_tcp(str(address), port, each_s, local_address, socket_options)
            except (ConnectError, ConnectTimeout) as error:
                last = error
            else:
                return _Watched(stream, self._flight)
        raise last

    async def sleep(self, seconds: float) -> None:
        """Wait; httpcore does so between tries, of which there is only one."""
        await asyncio.sleep(seconds)


class _Watched(AsyncNetworkStream):
    """A connection that notes when the first byte of a request is about to leave; a TLS handshake is none."""

    def __init__(self, inner: AsyncNetworkStream, flight: Flight) -> None:
        self._inner = inner
        self._flight = flight

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._flight.sent = True
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncNetworkStream:
        return _Watched(await self._inner.start_tls(ssl_context, server_hostname, timeout), self._flight)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
