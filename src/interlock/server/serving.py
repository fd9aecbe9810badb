"""Listening on the loopback interface, and nowhere else."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from interlock.model import PortInUse, UserError

HOST = "127.0.0.1"
GRACE_S = 5
MAX_CONNECTIONS = 512
BACKLOG = 128
PORTS_TO_TRY = 50


async def serve(app: FastAPI, *, port: int, started: Callable[[str], None]) -> None:
    """Serve until `app.state.stop` is set or this is cancelled; then open requests get five seconds to end.

    No signal handlers are installed: the caller has them, and sets the event.

    Args:
        app: from `create_app`.
        port: on 127.0.0.1; 0 takes any free one.
        started: called with the URL as soon as requests are answered.

    Raises:
        PortInUse: another program listens there; the hint names the next free port.
        UserError: the port can't be one, or needs more rights.
    """
    listener = listen(port)
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    stop: asyncio.Event = app.state.stop
    server = _Server(_config(app), lambda: started(url))
    running = asyncio.create_task(_serve(app, server, listener))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()  # event streams end, too
        server.should_exit = True
        stopping.cancel()
        try:
            await running
        finally:
            listener.close()


async def _serve(app: FastAPI, server: uvicorn.Server, listener: socket.socket) -> None:
    async with app.state.mcp.running():
        await server.serve(sockets=[listener])


def listen(port: int) -> socket.socket:
    """A bound socket on the loopback interface.

    Raises:
        PortInUse: another program listens there.
        UserError: the port can't be one, or needs more rights.
    """
    if not 0 <= port <= 65_535:
        raise UserError(f"port {port} is not between 0 and 65535", hint="interlock up --port 7440")
    try:
        return _bound(port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} on {HOST} is taken by another program", hint=f"interlock up --port {_next_free(port)}"
            ) from error
        raise UserError(f"port {port} can't be opened: {error.strerror}", hint="interlock up --port 7440") from error


def _bound(port: int) -> socket.socket:
    # The protocol by its name: only then does asyncio send small answers at once, instead of 40 ms later.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # not held up by connections of a server before
        found.bind((HOST, port))
        found.listen(BACKLOG)  # a second program fails now, not at its first request
        found.setblocking(False)
    except OSError:
        found.close()
        raise
    return found


def _next_free(port: int) -> int:
    """The first port above that is free now; 0, which takes any, if none of the next ones is."""
    for candidate in range(port + 1, min(port + PORTS_TO_TRY, 65_535) + 1):
        with contextlib.suppress(OSError):
            _bound(candidate).close()
            return candidate
    return 0


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE_S,
    )


class _Server(uvicorn.Server):
    """uvicorn without signal handlers, and with word of when it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever called."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets=sockets)
        self._tell()
