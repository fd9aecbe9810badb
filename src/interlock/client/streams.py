"""Reading Server-Sent Events, and what both clients do when a stream breaks or a task takes its time."""

import json
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from interlock.client.connection import error_of
from interlock.client.shapes import Task, TaskEvent
from interlock.model import Exhausted, InterlockError, ServerUnavailable

MAX_EVENT_CHARS = 8 * 1024 * 1024
MAX_SEEN = 20_000
MAX_FAILURES = 6
FIRST_PAUSE_S = 0.25
MAX_PAUSE_S = 5.0
FINAL = frozenset({"completed", "failed", "cancelled", "timed_out", "rejected"})
FOR_A_PERSON = frozenset({"escalated", "waiting_approval"})


class Watch:
    """One task's events over any number of connections: each record comes out once.

    `line` is fed with the lines of the stream; `over` says that the server has nothing more to tell.
    """

    def __init__(self) -> None:
        self.over = False
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._state: TaskEvent | None = None
        self._failures = 0
        self._begin()

    def _begin(self) -> None:
        self._name, self._data, self._size = "message", list[str](), 0

    def connected(self) -> None:
        """A new stream begins; what was left of the one before is dropped."""
        self._begin()

    def line(self, text: str) -> Iterator[TaskEvent]:
        """What a line of the stream completes: nothing, or one event.

        Raises:
            InterlockError: the server says that following failed.
        """
        if text:
            self._keep(text)
            return
        name, data = self._name, "\n".join(self._data)
        self._begin()
        if not data:
            return
        try:
            body = json.loads(data)
        except ValueError as error:
            raise ServerUnavailable("the event stream holds something that is no event") from error
        if name == "problem":
            raise error_of(body)
        if name == "end":
            self.over = True
        elif self._is_new(name, body):
            self._failures = 0
            yield body

    def _keep(self, text: str) -> None:
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._size += len(value)
            if self._size > MAX_EVENT_CHARS:
                raise ServerUnavailable("the event stream holds an event that is too large")
            self._data.append(value)

    def _is_new(self, name: str, body: Any) -> bool:
        if name == "state":
            fresh = bool(body != self._state)
            self._state = body
            return fresh
        if name != "record" or str(body.get("id")) in self._seen:
            return False
        self._seen[str(body.get("id"))] = None
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        return True

    def pause_s(self, error: InterlockError | None) -> float:
        """How long to wait before connecting again after a stream ended too early.

        Raises:
            InterlockError: `error`, if it is not of the kind that passes or came too often.
        """
        self._failures += 1
        if error is not None and not error.retryable:
            raise error
        if self._failures > MAX_FAILURES:
            raise error or ServerUnavailable("the event stream breaks again and again", hint="interlock doctor")
        return min(MAX_PAUSE_S, FIRST_PAUSE_S * float(1 << (self._failures - 1)))


def settled(task: Task, final_only: bool) -> bool:
    """Whether waiting for a task is over."""
    return task["state"] in FINAL or (not final_only and task["state"] in FOR_A_PERSON)


def waited_too_long(task: Task, timeout_s: float) -> Exhausted:
    """The error of a wait whose time is over."""
    return Exhausted(
        f"after {timeout_s:g} s the task is still {task['state']}: {task['state_reason']}",
        hint=f"interlock tasks watch {task['id']}",
    )


def next_pause_s(pause_s: float, left_s: float) -> float:
    """The pause before a task is looked at again: growing, and never beyond the time that is left."""
    return max(0.01, min(pause_s * 1.5, 2.0, left_s))
