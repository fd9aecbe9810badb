"""The last words of a server on its standard error: bounded, and without secrets."""

from collections import deque

MAX_LINES = 200
MAX_BYTES = 64 * 1024
MAX_LINE_BYTES = 4096


class StderrTail:
    """A ring of the last lines; the oldest go when there are too many lines or bytes."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        self.secrets = secrets
        self._lines: deque[str] = deque()
        self._bytes = 0
        self._open = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what the server wrote, in pieces of any size."""
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._open += piece
            self._close_line()
        self._open += rest
        if len(self._open) > MAX_BYTES:
            self._close_line()

    def lines(self) -> tuple[str, ...]:
        """The lines kept, oldest first, the unfinished one last."""
        unfinished = self._clean(self._open) if self._open else ""
        return (*self._lines, unfinished) if unfinished else tuple(self._lines)

    def _close_line(self) -> None:
        line = self._clean(self._open)
        self._open.clear()
        if not line:
            return
        self._lines.append(line)
        self._bytes += len(line.encode())
        while len(self._lines) > MAX_LINES or self._bytes > MAX_BYTES:
            self._bytes -= len(self._lines.popleft().encode())

    def _clean(self, raw: bytes | bytearray) -> str:
        from interlock.observability import redact

        # Redacted before it is cut: half a secret would not be recognised.
        text = redact(raw.decode(errors="replace").rstrip(), self.secrets)
        return text.encode()[:MAX_LINE_BYTES].decode(errors="ignore")
