"""The HTTP client for providers: no redirects, few connections, answers of bounded size.

Imported at first use, together with the provider libraries.
"""

from collections.abc import AsyncIterator

import httpx2

MAX_CONNECTIONS = 64
MAX_ANSWER_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT_S = 10.0


class BoundedBody(httpx2.AsyncByteStream):
    """An answer's bytes; too many of them are an error."""

    def __init__(self, inner: httpx2.AsyncByteStream, most: int) -> None:
        self.inner = inner
        self.most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self.inner:
            size += len(chunk)
            if size > self.most:
                raise httpx2.ReadError(f"the answer is larger than {self.most} bytes")
            yield chunk

    async def aclose(self) -> None:
        """Close the answer."""
        await self.inner.aclose()


async def _bound(response: httpx2.Response) -> None:
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = BoundedBody(response.stream, MAX_ANSWER_BYTES)


async def _plain(request: httpx2.Request) -> None:
    # A compressed answer could be small on the wire and huge in memory.
    request.headers["accept-encoding"] = "identity"


def provider_client(timeout_s: float) -> httpx2.AsyncClient:
    """A client for one provider; `timeout_s` bounds each read, whoever asks bounds the whole request."""
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
        limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=8),
        follow_redirects=False,
        event_hooks={"request": [_plain], "response": [_bound]},
    )
