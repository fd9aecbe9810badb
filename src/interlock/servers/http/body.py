"""Reading the body of an answer: unpacked, measured and bounded, whatever the other side sends."""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from interlock.servers.http.dialing import LOST
from interlock.servers.http.limits import INFLATED_FREELY, INFLATION, READ_BYTES, SECRET_CHARACTERS, SHOWN_BYTES

KEPT_BYTES = SHOWN_BYTES + 4 * SECRET_CHARACTERS
_PIECE_BYTES = 64 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_BARE = -zlib.MAX_WBITS


@dataclass(frozen=True)
class Body:
    """What was read of a body.

    Attributes:
        content: its start, unpacked.
        size: bytes that were read, unpacked.
        complete: whether that was all.
        sha256: of all of it, in hex; None if it is not complete.
        fault: why it ended early, if the other side or the time is to blame.
        packed: its coding, if it is one that is not unpacked here.
    """

    content: bytes = b""
    size: int = 0
    complete: bool = True
    sha256: str | None = None
    fault: str | None = None
    packed: str | None = None


class _Coding(Protocol):
    def pieces(self, data: bytes) -> Iterator[bytes]: ...

    def open_end(self) -> bool: ...


class _Plain:
    def pieces(self, data: bytes) -> Iterator[bytes]:
        yield data

    def open_end(self) -> bool:
        return False


class _Packed:
    """gzip, or deflate in either of its two forms; a gzip body may consist of several parts."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._begun = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._unpacker.eof:
                self._unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
            yield self._unpack(data)
            data = self._unpacker.unconsumed_tail or self._unpacker.unused_data

    def _unpack(self, data: bytes) -> bytes:
        try:
            return self._unpacker.decompress(data, _PIECE_BYTES)
        except zlib.error:
            if self._begun:
                raise
            self._unpacker = zlib.decompressobj(_BARE)
            return self._unpacker.decompress(data, _PIECE_BYTES)
        finally:
            self._begun = True

    def open_end(self) -> bool:
        return self._begun and not self._unpacker.eof


class _Collector:
    """Takes the pieces of a body until there are enough of them."""

    def __init__(self, coding: _Coding, limit: int) -> None:
        self.coding = coding
        self.kept = bytearray()
        self.size = 0
        self.full = False
        self.fault: str | None = None
        self._limit = limit
        self._received = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> bool:
        """Take what came; whether more is wanted."""
        self._received += len(data)
        try:
            for piece in self.coding.pieces(data):
                if not self._take(piece):
                    return False
        except zlib.error:
            self.fault = "the packed body is damaged"
        return self.fault is None

    def _take(self, piece: bytes) -> bool:
        self.size += len(piece)
        self._hash.update(piece)
        self.kept += piece[: KEPT_BYTES - len(self.kept)]
        if self.size > INFLATED_FREELY and self.size > INFLATION * self._received:
            self.fault = f"the body unpacks to more than {INFLATION} times its size"
        self.full = self.size > self._limit
        return not self.full and self.fault is None

    def body(self, packed: str | None) -> Body:
        complete = not self.full and self.fault is None
        digest = self._hash.hexdigest() if complete else None
        return Body(bytes(self.kept), self.size, complete, digest, self.fault, packed)


async def read_body(stream: AsyncIterable[bytes], coding: str, *, text: bool, until_s: float) -> Body:
    """Read a body; whatever goes wrong on the way is its `fault`, and what came before is kept.

    Args:
        stream: what httpcore received.
        coding: the value of `Content-Encoding`, empty if there is none.
        text: only as much as is shown is of interest.
        until_s: the moment on the loop's clock at which to stop.
    """
    names = [name for name in (part.strip().lower() for part in coding.split(",")) if name not in ("", "identity")]
    known = names in ([], ["gzip"], ["x-gzip"], ["deflate"])
    unpacker: _Coding = _Packed() if names and known else _Plain()
    collector = _Collector(unpacker, KEPT_BYTES if text and known else READ_BYTES)
    try:
        async with asyncio.timeout_at(until_s):
            await _collect(stream, collector)
    except TimeoutError:
        collector.fault = "the time was up before all of the body had come"
    return collector.body(None if known else ", ".join(names)[:100])


async def _collect(stream: AsyncIterable[bytes], collector: _Collector) -> None:
    parts = aiter(stream)
    try:
        async for data in parts:
            if not collector.add(data):
                return
    except LOST:
        collector.fault = "the connection was lost before all of the body had come"
    else:
        if collector.coding.open_end():
            collector.fault = "the packed body ends early"
    finally:
        if isinstance(parts, AsyncGenerator):
            await parts.aclose()
