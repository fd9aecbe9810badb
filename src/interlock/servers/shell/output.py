"""What a command prints, in bounded memory: the beginning and the end, and how much lies between."""

import re

# Characters that no reader of a JSON text can use; escaped they would take six bytes each.
UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]")


class HeadTail:
    """Takes any amount and keeps at most `limit_bytes` of it: one half from the beginning, one half from the end."""

    def __init__(self, limit_bytes: int) -> None:
        self._half = limit_bytes // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, piece: bytes) -> None:
        """Take what was printed next."""
        self.total += len(piece)
        room = self._half - len(self._head)
        if room > 0:
            self._head += piece[:room]
            piece = piece[room:]
        self._tail += piece[-self._half :]
        if len(self._tail) > 4 * self._half:
            del self._tail[: -self._half]

    def text(self) -> str:
        """All of it, or both ends with a mark between them; what is no UTF-8 is replaced."""
        if self.total <= len(self._head) + self._half:
            return decoded(bytes(self._head + self._tail))
        tail = bytes(self._tail[-self._half :])
        left_out = self.total - len(self._head) - len(tail)
        return f"{decoded(bytes(self._head))}\n[... {left_out:,} bytes left out ...]\n{decoded(tail)}"


def decoded(content: bytes) -> str:
    """Bytes as text that can be shown and sent: what is no character becomes a question mark in a box."""
    return UNUSABLE.sub("\ufffd", content.decode(errors="replace"))


def last_of(text: str, limit_bytes: int) -> str:
    """The end of a text, with a mark when it is not all of it."""
    raw = text.encode()
    if len(raw) <= limit_bytes:
        return text
    return f"[... {len(raw) - limit_bytes:,} bytes left out ...]\n{raw[-limit_bytes:].decode(errors='ignore')}"
