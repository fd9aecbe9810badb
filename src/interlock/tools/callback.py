"""Where a browser comes back to after a login: one address on the loopback interface, for one answer."""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit

from interlock.model import Unavailable

_PATH = "/callback"
_READ_S = 10.0
_HEAD_BYTES = 16 * 1024
_PARAM_CHARS = 4096
_DONE = "You are logged in. You can close this page."
_FAILED = "The login was refused. You can close this page."
_STRAY = "This is no answer to a login that is going on."
_PAGE = "<!doctype html><meta charset=utf-8><title>interlock</title><p style='font:1rem sans-serif'>{}</p>"


@dataclass(frozen=True)
class Answer:
    """What the browser brought."""

    code: str
    state: str
    issuer: str | None
    error: str | None

    @classmethod
    def read(cls, address: str) -> Self:
        """From the address that the browser was sent to."""
        query = parse_qs(urlsplit(address.strip()).query)
        named = {name: values[0][:_PARAM_CHARS] for name, values in query.items()}
        error = named.get("error")
        why = " ".join(f"{error}: {named.get('error_description', '')}".split())[:300] if error else None
        return cls(named.get("code", ""), named.get("state", ""), named.get("iss"), why)


class Callback:
    """Waits for the answer that belongs to the state of one login; others are turned away."""

    def __init__(self, paste: Callable[[], Awaitable[str]] | None) -> None:
        self._paste = paste
        self._state = ""
        self._port = 0
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    @property
    def address(self) -> str:
        """Where the browser is to come back to."""
        return f"http://127.0.0.1:{self._port}{_PATH}"

    @classmethod
    @asynccontextmanager
    async def listening(cls, paste: Callable[[], Awaitable[str]] | None) -> AsyncIterator[Self]:
        """Listen on a port that the system chooses.

        Args:
            paste: reads the address that the browser ended at, for when it can't reach this machine.
        """
        callback = cls(paste)
        server = await asyncio.start_server(callback._serve, "127.0.0.1", 0, limit=_HEAD_BYTES)
        async with server:
            callback._port = server.sockets[0].getsockname()[1]
            yield callback

    def expect(self, authorization_url: str) -> None:
        """Take the state that the answer must have from the address that the person is sent to."""
        self._state = parse_qs(urlsplit(authorization_url).query).get("state", [""])[0]

    async def answer(self) -> Answer:
        """The answer, from the browser or from what was pasted.

        Raises:
            Unavailable: the login was refused.
        """
        pasting = asyncio.ensure_future(self._pasted()) if self._paste is not None else None
        try:
            found = await self._answer
        finally:
            if pasting is not None:
                pasting.cancel()
                await asyncio.wait({pasting})
        if found.error is not None:
            raise Unavailable(f"the login was refused: {found.error}")
        return found

    async def _pasted(self) -> None:
        while self._paste is not None and not self._take(Answer.read(await self._paste())):
            continue

    def _take(self, found: Answer) -> bool:
        if not self._state or not hmac.compare_digest(found.state.encode(), self._state.encode()):
            return False
        if not self._answer.done():
            self._answer.set_result(found)
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError
        ):
            async with asyncio.timeout(_READ_S):
                status, text = self._reply((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
                body = _PAGE.format(text).encode()
                head = f"HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {len(body)}\r\n"
                writer.write(f"{head}connection: close\r\nreferrer-policy: no-referrer\r\n\r\n".encode() + body)
                await writer.drain()
        writer.close()

    def _reply(self, head: str) -> tuple[str, str]:
        first, *lines = head.split("\r\n")
        verb, target, *_ = [*first.split(" "), "", ""]
        hosts = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("host:")]
        ours = verb == "GET" and urlsplit(target).path == _PATH and hosts == [f"127.0.0.1:{self._port}"]
        found = Answer.read(target)
        if not ours or self._answer.done() or not self._take(found):
            return "400 Bad Request", _STRAY
        return "200 OK", _DONE if found.error is None else _FAILED
