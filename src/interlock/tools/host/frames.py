"""Messages over a stream: four bytes of length, then a JSON object."""

import asyncio
import contextlib
import json
from typing import Any

from interlock.model import Bug

MAX_FRAME_BYTES = 256 * 1024 * 1024  # snapshots of a workspace travel in one message
_CLOSE_S = 1.0


class Frames:
    """Both directions of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> dict[str, Any] | None:
        """The next message; None when there are no more.

        Raises:
            Bug: what came is no message of ours.
        """
        try:
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            if size > MAX_FRAME_BYTES:
                raise Bug(f"a message of {size} bytes between processes of interlock")
            body = json.loads(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        if not isinstance(body, dict):
            raise Bug("a message between processes of interlock is no object")
        return body

    def write(self, message: dict[str, Any]) -> bool:
        """Hand a message over whole; False when the connection is gone, and then nothing of it arrives."""
        if self._writer.is_closing():
            return False
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
        if len(body) > MAX_FRAME_BYTES:
            raise Bug(f"a message of {len(body)} bytes between processes of interlock")
        self._writer.write(len(body).to_bytes(4, "big") + body)
        return True

    async def drained(self) -> None:
        """Wait until the other side has taken most of what was written.

        Raises:
            ConnectionError: it is gone.
        """
        await self._writer.drain()

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._writer.wait_closed()
