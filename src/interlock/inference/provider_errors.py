"""The provider library's errors as ours; nothing of a key gets into a message."""

import re
from typing import Any

from pydantic_ai import exceptions as theirs

from interlock.inference.resolved import ResolvedModel
from interlock.model import InterlockError, ModelBusy, ModelRefused, ModelUnavailable, UnknownModel

MAX_SHOWN = 300
MAX_RETRY_AFTER_S = 3600.0
_TRANSIENT = (408, 409, 425, 429)
_KEY = re.compile(r"(?i)\b(?:bearer\s+\S+|(?:sk|pk|rk|key|token)[-_][\w*.-]{4,}|[A-Za-z0-9_-]{32,})")


def cleaned(text: str, key: str) -> str:
    """One line of at most 300 characters without the key, or anything that looks like one."""
    if len(key) >= 4:
        text = text.replace(key, "***")
    line = " ".join(text[: 10 * MAX_SHOWN].split())
    return _KEY.sub("***", line)[:MAX_SHOWN]


def _said(body: Any) -> str:
    """What the provider's error body says, if it is in one of the usual shapes."""
    for _ in range(3):
        if not isinstance(body, dict):
            break
        if isinstance(body.get("message"), str):
            return str(body["message"])
        body = body.get("error")
    return body if isinstance(body, str) else ""


def _rejected(error: theirs.ModelAPIError, who: str, tail: str) -> InterlockError | None:
    """The error when the provider says that this request can't succeed; None when it says no such thing."""
    if isinstance(error, theirs.ModelNotFoundError):
        return UnknownModel(f"{who} is not known to its provider{tail}")
    if isinstance(error, theirs.ModelAuthenticationError):
        return ModelRefused(f"{who}: the provider does not accept the key{tail}", hint="interlock doctor")
    if isinstance(error, theirs.ModelQuotaExceededError):
        return ModelRefused(f"{who}: the account's quota is used up{tail}")
    if isinstance(error, theirs.ModelContextWindowExceededError):
        return ModelRefused(f"{who}: the history is longer than the model can read{tail}")
    if isinstance(error, theirs.ModelRequestRejectedError):
        return ModelRefused(f"{who}: the provider rejects the request{tail}")
    if isinstance(error, theirs.ModelHTTPError) and 400 <= error.status_code < 500:
        return None if error.status_code in _TRANSIENT else ModelRefused(f"{who}: the provider refuses{tail}")
    return None


def _api_error(error: theirs.ModelAPIError, who: str, key: str) -> InterlockError:
    said = cleaned(_said(error.body), key)
    tail = f" (HTTP {error.status_code})" if isinstance(error, theirs.ModelHTTPError) else ""
    tail += f": {said}" if said else ""
    if isinstance(error, theirs.ModelRateLimitError | theirs.ModelOverloadedError):
        wait_s = None if error.retry_after is None else min(error.retry_after, MAX_RETRY_AFTER_S)
        again = "" if wait_s is None else f", and asks to wait {wait_s:g} s"
        return ModelBusy(f"{who}: the provider is busy{again}{tail}", retry_after_s=wait_s)
    rejected = _rejected(error, who, tail)
    if rejected is not None:
        return rejected
    if isinstance(error, theirs.ModelTimeoutError | theirs.ModelRequestTimeout):
        return ModelUnavailable(f"{who} did not answer in time")
    if isinstance(error, theirs.ModelConnectionError):
        return ModelUnavailable(f"{who} can't be reached, or the connection broke")
    if isinstance(error, theirs.ModelHTTPError):
        return ModelUnavailable(f"{who}: the provider fails{tail}")
    return ModelUnavailable(f"{who} answered with something that can't be read")


def translated(error: Exception, resolved: ResolvedModel, key: str) -> InterlockError:
    """The error of our tree for one of the provider library's."""
    who = f"model '{resolved.alias}'"
    if isinstance(error, theirs.ModelAPIError):
        return _api_error(error, who, key)
    if isinstance(error, theirs.ContentFilterError):
        return ModelRefused(f"{who}: the provider's content filter refused the request or the answer")
    if isinstance(error, theirs.UserError):
        return ModelRefused(f"{who}: {cleaned(error.message, key)}")
    return ModelUnavailable(f"{who} answered with something that can't be read")
