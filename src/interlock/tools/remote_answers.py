"""What an HTTP answer or an HTTP error says about a call: turned away, broken off, or neither."""

import json
import re
from dataclasses import dataclass

import httpx2

from interlock.model import InterlockError

SESSION_ID = "mcp-session-id"
MAX_RETRY_AFTER_S = 3600.0
_ERROR_CHARS = 200
_PHRASE_CHARS = 60

# Who answers so has not looked into the message, or not begun to act on it. Not here: 408, 409, 5xx.
_TURNED_AWAY = frozenset({400, 401, 403, 404, 405, 406, 407, 410, 411, 413, 414, 415, 421, 426, 428, 429, 431})
_WITHOUT_LOOKING = _TURNED_AWAY - {400, 404}  # with these two, a JSON-RPC error may be the answer of the server itself


@dataclass(frozen=True)
class Refusal:
    """The server, or what stands before it, turned a message away: nothing was done.

    Attributes:
        trouble: the rest of a sentence about the server.
        retry_after_s: what it asked for.
        session_lost: it does not know our session; a new one must be made.
    """

    status: int
    trouble: str
    retry_after_s: float | None = None
    session_lost: bool = False


def read_refusal(request: httpx2.Request, response: httpx2.Response, message: bytes | None) -> Refusal | None:
    """What an answer says, or None when it is no refusal.

    Args:
        request: what was sent.
        response: its answer.
        message: the body, if it is a message of the protocol.
    """
    status = response.status_code
    if status in (400, 404) and SESSION_ID in request.headers and (message is None or _about_session(message, status)):
        return Refusal(status, "has ended our session", session_lost=True)
    retry_after_s = _retry_after_s(response)
    turned_away = status in _WITHOUT_LOOKING or (status in _TURNED_AWAY and message is None)
    if not turned_away and not (status == 503 and retry_after_s is not None):
        return None
    again = f"; it asks to come again in {retry_after_s:g} s" if retry_after_s is not None else ""
    return Refusal(status, f"{status_of(response)}{again}", retry_after_s)


def status_of(response: httpx2.Response) -> str:
    """The rest of a sentence about a server that answers with a status and nothing else of use."""
    return f"answers {response.status_code} {response.reason_phrase[:_PHRASE_CHARS]}"


def trouble_of(error: BaseException) -> str:
    """The rest of a sentence about the server."""
    if isinstance(error, InterlockError):
        return error.message
    if isinstance(error, httpx2.ConnectTimeout):
        return "does not take our connection in time"
    if isinstance(error, httpx2.PoolTimeout):
        return "has too many requests of ours under way"
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return "does not answer in time"
    text = " ".join(str(error).split())[:_ERROR_CHARS]
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
        return f"can't be reached: {text}"
    return f"broke off the connection: {text or type(error).__name__}"


def _about_session(message: bytes, status: int) -> bool:
    error = json.loads(message).get("error")
    return isinstance(error, dict) and (
        status == 404 or re.search(r"session", str(error.get("message")), re.I) is not None
    )


def _retry_after_s(response: httpx2.Response) -> float | None:
    """The seconds that `Retry-After` names; a date is not read, as clocks differ."""
    text = response.headers.get("retry-after", "").strip()
    return min(float(text), MAX_RETRY_AFTER_S) if text.isascii() and text.isdigit() else None
