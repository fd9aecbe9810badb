"""What the model reads when a tool can't be used and nothing stands in for it: short, honest, and what to do instead."""

import datetime
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from interlock.model import ToolLost, ToolRef, ToolResult, ToolTimeout
from interlock.observability import redact

MAX_CHARS = 900
REASON_CHARS = 160
MAX_TRIED = 4


class Trouble(StrEnum):
    """Why a tool can't be used."""

    NOT_READY = "not_ready"
    BREAKER_OPEN = "breaker_open"
    RATE_LIMIT = "rate_limit"
    TIMEOUT = "timeout"
    LOST = "lost"

    @property
    def sent(self) -> bool:
        """Whether the call may have reached the tool, and done something."""
        return self in (Trouble.TIMEOUT, Trouble.LOST)

    @classmethod
    def of(cls, error: BaseException) -> "Trouble":
        """What an error of a tool server means; without a known one it was not ready."""
        if isinstance(error, ToolTimeout):
            return cls.TIMEOUT
        return cls.LOST if isinstance(error, ToolLost) else cls.NOT_READY


_WHY = {
    Trouble.NOT_READY: "its server is not ready",
    Trouble.BREAKER_OPEN: "it failed several times in a row and is left alone for now",
    Trouble.RATE_LIMIT: "its rate limit is reached",
    Trouble.TIMEOUT: "it did not answer in time",
    Trouble.LOST: "its server died during the call",
}


@dataclass(frozen=True)
class Outage:
    """A tool that can't be used.

    Attributes:
        reason: in the words of the server or the limit; secrets are taken out before anybody reads it.
        since: since when, if that is known.
        retry_after_s: seconds until trying again makes sense, if that is known.
        tried: what could have stood in for it, and why it did not.
    """

    ref: ToolRef
    trouble: Trouble
    reason: str = ""
    since: datetime.datetime | None = None
    retry_after_s: float | None = None
    tried: Sequence[tuple[ToolRef, str]] = ()

    @property
    def wait_s(self) -> int | None:
        """Whole seconds to wait, at least one."""
        return None if self.retry_after_s is None else max(1, math.ceil(self.retry_after_s))


def degraded(outage: Outage, now: datetime.datetime) -> ToolResult:
    """The answer for the model; `structured` holds `{unavailable, why, retry_after_s, since, tried}`."""
    structured = {
        "unavailable": str(outage.ref),
        "why": outage.trouble.value,
        "retry_after_s": outage.wait_s,
        "since": None if outage.since is None else outage.since.isoformat(timespec="seconds"),
        "tried": [str(ref) for ref, _ in outage.tried],
    }
    return ToolResult(False, _text(outage, now), structured)


def _text(outage: Outage, now: datetime.datetime) -> str:
    reason = _plain(outage.reason)
    since = "" if outage.since is None else f", since {_span(now - outage.since)}"
    parts = [
        f"Not available: {outage.ref}. {_WHY[outage.trouble].capitalize()}{since}{': ' if reason else ''}{reason}."
    ]
    if outage.tried:
        others = "; ".join(f"{ref} ({_plain(why)})" for ref, why in outage.tried[:MAX_TRIED])
        more = len(outage.tried) - MAX_TRIED
        parts.append(f"Instead of it nothing could be used: {others}{f' and {more} more' if more > 0 else ''}.")
    wait = outage.wait_s
    if wait is None:
        advice = "Go on without it"
    else:
        advice = f"Try again in {wait} s at the earliest, if it is worth the wait; else go on without it"
    last = f"{advice}, and say in your result that {outage.ref} could not be used and what is missing."
    body = " ".join(parts)
    return f"{_cut(body, MAX_CHARS - len(last) - 1)} {last}"


def _plain(text: str) -> str:
    """One line without secrets and control characters, not too long, without its last full stop."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", redact(text)).split())
    return _cut(line, REASON_CHARS).rstrip(".")


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def _span(length: datetime.timedelta) -> str:
    seconds = max(0, int(length.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
