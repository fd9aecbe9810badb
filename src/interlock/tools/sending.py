"""The fate of one call on its way to a server, whatever the way is.

The gate must know of each call whether it can have reached the server: a call that was not sent may be made again,
one that was sent and not answered is in doubt.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from interlock.resilience import Deadline


@dataclass
class Sending:
    """Whether a byte of a call may have reached the server, and whether an answer came.

    Attributes:
        deadline: for the answer.
        still: asked just before it is written; when it says no, it is not, and `withheld` is set.
        started: some of it may be on its way.
        answered: the server itself answered it.
        closed: the caller has given up; from then on nothing is written.
        request_id: of the message that carries it.
        trouble: why there will be no answer, as the rest of a sentence about the server.
        retry_after_s: when the server said to come again, if it did.
        abort: wakes the caller when `trouble` is all that it will get.
    """

    deadline: Deadline
    still: Callable[[], bool] | None = None
    withheld: bool = False
    started: bool = False
    answered: bool = False
    closed: bool = False
    request_id: str | int | None = None
    trouble: str | None = None
    retry_after_s: float | None = None
    abort: Callable[[], None] | None = None

    def may_start(self) -> bool:
        """Whether it may be written now; asked at the last moment, and remembered as the start of it."""
        if self.closed or self.deadline.passed:
            return False
        if self.still is not None and not self.still():
            self.withheld = True
            return False
        self.started = True
        return True

    def refused(self, trouble: str, retry_after_s: float | None = None) -> None:
        """The server turned it away before it looked into it: it has not acted."""
        self.started, self.trouble, self.retry_after_s = False, trouble, retry_after_s

    def fail(self, trouble: str, *, wake: bool) -> None:
        """No answer will come; whether the server acted depends on whether the call had been started."""
        self.trouble = trouble
        if wake and self.abort is not None:
            self.abort()


# The SDK writes a request in the task of its caller, which is how the streams know which call it belongs to.
current_sending: ContextVar[Sending | None] = ContextVar("current_sending", default=None)
