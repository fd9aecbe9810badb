"""Outcomes of calls by their key, for whoever comes after a worker that did not live to hear them."""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from interlock.model import ToolLost, ToolResult, ToolUnavailable

KEEP_BYTES = 64 * 1024 * 1024
KEEP_OUTCOMES = 10_000
KEEP_KEYS = 200_000


@dataclass(eq=False)
class Letter:
    """One call: under way or over.

    Attributes:
        run: of which it is.
        listeners: who waits for it now.
        size: of its outcome, in bytes; 0 while it is under way.
    """

    work: "asyncio.Task[ToolResult]"
    run: str | None = None
    listeners: int = 0
    size: int = 0
    began_s: float = field(default_factory=time.monotonic)

    @property
    def unsent(self) -> bool:
        """Whether it is over and was not sent: then it never happened."""
        work = self.work
        return work.done() and not work.cancelled() and isinstance(work.exception(), ToolUnavailable)


class Mailbox:
    """The calls of this process by key.

    Outcomes are dropped when there are too many, oldest first; their keys are remembered for longer, so that a call
    that was sent never looks as if it had not been.
    """

    def __init__(self) -> None:
        self._letters: OrderedDict[str, Letter] = OrderedDict()
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self._under_way: set[Letter] = set()
        self._bytes = 0

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return bool(self._under_way)

    def find(self, key: str) -> Letter | None:
        """The call of that key, unless it was never sent.

        Raises:
            ToolLost: it was sent, and its outcome is not kept any more.
        """
        letter = self._letters.get(key)
        if letter is not None and letter.unsent:
            self._drop(key)
            return None
        if letter is None and key in self._forgotten:
            raise ToolLost("the call was sent, and its outcome is not kept any more; whether it acted is unknown")
        return letter

    def unheard(self) -> set[str]:
        """Runs with a call under way of which nobody waits to hear."""
        return {letter.run for letter in self._left_behind() if letter.run is not None}

    def cut_off(self, runs: set[str]) -> None:
        """Cancel those calls of some runs."""
        for letter in self._left_behind():
            if letter.run in runs:
                letter.work.cancel()

    def _left_behind(self) -> list[Letter]:
        return [letter for letter in self._under_way if letter.listeners == 0]

    def open(self, key: str, call: Coroutine[Any, Any, ToolResult], run: str | None = None) -> Letter:
        """Begin a call under a key; an older one of that key is forgotten."""
        self._drop(key)
        self._forgotten.pop(key, None)
        letter = Letter(asyncio.create_task(call, name=f"call {key}"), run)
        self._letters[key] = letter
        self._under_way.add(letter)
        letter.work.add_done_callback(lambda work: self._ended(key, letter, work))
        return letter

    def _ended(self, key: str, letter: Letter, work: "asyncio.Task[ToolResult]") -> None:
        self._under_way.discard(letter)
        if work.cancelled() or work.exception() is not None:
            letter.size = 200
        else:
            letter.size = _size_of(work.result())
        if self._letters.get(key) is not letter:
            return
        self._letters.move_to_end(key)
        self._bytes += letter.size
        while self._bytes > KEEP_BYTES or len(self._letters) > KEEP_OUTCOMES:
            oldest = next((found for found, other in self._letters.items() if other.work.done()), None)
            if oldest is None:
                return
            self._drop(oldest)
            self._forgotten[oldest] = None
            if len(self._forgotten) > KEEP_KEYS:
                self._forgotten.popitem(last=False)

    def _drop(self, key: str) -> None:
        letter = self._letters.pop(key, None)
        if letter is not None:
            self._bytes -= letter.size


def _size_of(result: ToolResult) -> int:
    beside = len(result.overflow or b"") + sum(len(found.body) for found in result.attachments)
    return len(json.dumps(result.to_json(), ensure_ascii=False)) + beside
