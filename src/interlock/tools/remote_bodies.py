"""Bodies of HTTP answers that can't grow or last without end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2

from interlock.resilience import Deadline
from interlock.tools.remote_answers import trouble_of
from interlock.tools.sending import Sending

MESSAGE_BYTES = 16 * 1024 * 1024
EVENT_STREAM = "text/event-stream"


class Bounded(httpx2.AsyncByteStream):
    """A body that can't grow without end: in all, or, when it is a stream of events, each event of it."""

    def __init__(
        self,
        inner: Any,
        deadline: Deadline | None,
        sending: Sending | None = None,
        *,
        events: bool = False,
    ) -> None:
        self._inner = inner
        self._deadline = deadline
        self._sending = sending
        self._events = events or sending is not None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, source = 0, aiter(self._inner)
        while (chunk := await self._next(source)) is not None:
            size = _after_event(size, chunk) if self._events else size + len(chunk)
            if size > MESSAGE_BYTES:
                trouble = f"sent a message longer than {MESSAGE_BYTES // (1024 * 1024)} MiB"
                self._note(trouble)
                raise httpx2.ReadError(trouble)
            yield chunk

    async def _next(self, source: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._deadline.remaining_s if self._deadline else None):
                return await anext(source)
        except StopAsyncIteration:
            self._note("ended its answer before the result")
            return None
        except TimeoutError:
            self._note("did not answer in time")
            raise httpx2.ReadTimeout("no answer in time") from None
        except httpx2.HTTPError as error:
            self._note(trouble_of(error))
            raise

    async def aclose(self) -> None:
        """Close the connection, or give it back."""
        await self._inner.aclose()

    def _note(self, trouble: str) -> None:
        if self._sending is not None:
            self._sending.trouble = trouble


def _after_event(size: int, chunk: bytes) -> int:
    """How many bytes of an unfinished event there are after another chunk; an event ends with an empty line."""
    ends = max(chunk.rfind(b"\n\n"), chunk.rfind(b"\r\n\r\n"), chunk.rfind(b"\r\r"))
    return size + len(chunk) if ends < 0 else len(chunk) - ends


async def check_plain(response: httpx2.Response) -> None:
    """Refuse a compressed answer: nobody knows how long it is.

    Raises:
        httpx2.DecodingError: it is compressed, although plain data were asked for.
    """
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        await response.aclose()
        raise httpx2.DecodingError("it sent compressed data, and was asked not to")
