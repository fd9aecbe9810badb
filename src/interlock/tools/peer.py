"""The other side of a connection: a child process, or a server at a URL."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

from interlock.tools.sending import Sending

if TYPE_CHECKING:
    from mcp import Client

    from interlock.tools.straight import Straight

SHOWN_LINES = 3
_SHOWN_LINE_CHARS = 200


class Peer(Protocol):
    """One life of a server, from when it is there until all of it is gone."""

    @property
    def pid(self) -> int | None:
        """The process id, while there is a process of ours."""

    @property
    def gone(self) -> bool:
        """Whether it can no longer be talked to, in one direction at least."""

    @property
    def over(self) -> bool:
        """Whether its life has ended."""

    @property
    def ending(self) -> str | None:
        """How it ended, as the rest of a sentence, or None while it lives."""

    @property
    def blamed(self) -> bool:
        """Whether the ending is a verdict, which says all there is to say."""

    def reason_of(self, error: BaseException) -> str:
        """Why it can't be used, as the rest of a sentence, when its life has not ended by itself."""

    @property
    def polled(self) -> bool:
        """Whether it may change or go without a sign, so that it must be asked now and then."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not show up in messages."""

    @property
    def credentials(self) -> tuple[str, ...]:
        """Those of them that are keys or passwords; they must not show up in results either."""

    @property
    def trouble(self) -> str | None:
        """What went wrong last, as the rest of a sentence, where single requests can go wrong."""

    @property
    def sandbox(self) -> str:
        """By what it is confined, for people."""

    def advice(self, server: str) -> str:
        """What to change so that it starts, as a sentence, when its last words tell; else nothing."""

    @property
    def garbage(self) -> str | None:
        """The first thing it said that is no MCP message."""

    def words(self) -> tuple[str, ...]:
        """The last lines of its standard error."""

    def streams(self) -> AbstractAsyncContextManager[Any]:
        """The pair of streams for `mcp.Client`."""

    def straight(self, client: "Client") -> "Straight | None":
        """A way for calls past the streams, where there is one."""

    def cut_off(self, sending: Sending) -> None:
        """The caller was stopped while the call was under way: the server is told, and should end it."""

    @property
    def works_on(self) -> bool:
        """Whether it gave no sign of having ended a call that was cut off, and its process can be ended."""

    def forget(self, sending: Sending) -> None:
        """The caller is through with the call."""

    def mark_ready(self) -> None:
        """It has listed its tools: from now on its troubles are those of single calls."""

    def take_suspicion(self) -> bool:
        """Whether something went wrong since it was last asked, so that it should be looked at."""

    def on_kill(self, interrupt: Callable[[], None] | None) -> None:
        """Who waits for it and must be woken when it is killed, where there is no process to kill."""

    def condemn(self, ending: str) -> None:
        """Its life will be ended for this reason, when the calls under way have ended."""

    def kill(self, verdict: str) -> None:
        """End its life at once; `verdict` says why, as the rest of a sentence."""

    async def settled(self) -> None:
        """Wait a moment for the reason of an end that has just been noticed."""

    async def end(self) -> None:
        """Let go of all of it; every wait is bounded."""


def last_words(peer: Peer) -> str:
    """The last lines of its standard error as the end of a sentence; empty when there are none."""
    lines = [line[:_SHOWN_LINE_CHARS] for line in peer.words()[-SHOWN_LINES:]]
    return f"; its last output: {' | '.join(lines)}" if lines else ""
