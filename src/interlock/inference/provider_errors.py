"""The provider library's errors as ours; nothing of a key gets into a message."""

import re
from typing import TYPE_CHECKING, Any

from interlock.inference.resolved import ResolvedModel
from interlock.model import InterlockError, ModelBusy, ModelRefused, ModelUnavailable, UnknownModel

if TYPE_CHECKING:
    from pydantic_ai.exceptions import ModelAPIError

MAX_SHOWN = 300
MAX_RETRY_AFTER_S = 3600.0
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


def _api_error(error: "ModelAPIError", who: str, key: str) -> InterlockError:
    from pydantic_ai import exceptions as theirs

    said = cleaned(_said(error.body), key)
    tail = f": {said}" if said else ""
    status = f" (HTTP {error.status_code})" if isinstance(error, theirs.ModelHTTPError) else ""
    if isinstance(error, theirs.ModelRateLimitError | theirs.ModelOverloadedError):
        wait_s = None if error.retry_after is None else min(error.retry_after, MAX_RETRY_AFTER_S)
        again = "" if wait_s is None else f"; it asks to wait {wait_s:g} s"
        return ModelBusy(f"{who} is busy{status}{again}{tail}", retry_after_s=wait_s)
    if isinstance(error, theirs.ModelQuotaExceededError):
        return ModelRefused(f"{who}: the account's quota is used up{status}{tail}")
    if isinstance(error, theirs.ModelAuthenticationError):
        return ModelRefused(f"{who} does not accept the key{status}{tail}", hint="check the key's variable; interlock doctor")
    if isinstance(error, theirs.ModelNotFoundError):
        return UnknownModel(f"{who} is not known to its provider{status}{tail}")
    if isinstance(error, theirs.ModelContextWindowExceededError):
        return ModelRefused(f"{who}: the history is longer than the model can read{status}{tail}")
    if isinstance(error, theirs.ModelRequestRejectedError):
        return ModelRefused(f"{who} rejects the request{status}{tail}")
    if isinstance(error, theirs.ModelTimeoutError | theirs.ModelRequestTimeout):
        return ModelUnavailable(f"{who} did not answer in time")
    if isinstance(error, theirs.ModelConnectionError):
        return ModelUnavailable(f"{who} can't be reached, or the connection broke")
    if isinstance(error, theirs.ModelHTTPError) and error.status_code < 500 and error.status_code not in (408, 409, 425):
        return ModelRefused(f"{who} rejects the request{status}{tail}")
    if isinstance(error, theirs.ModelHTTPError):
        return ModelUnavailable(f"{who} fails{status}{tail}")
    return ModelUnavailable(f"{who} answered with something that can't be read")


def translated(error: Exception, resolved: ResolvedModel, key: str) -> InterlockError:
    """The error of our tree for one of the provider library's."""
    from pydantic_ai import exceptions as theirs

    who = f"model '{resolved.alias}'"
    if isinstance(error, theirs.ModelAPIError):
        return _api_error(error, who, key)
    if isinstance(error, theirs.ContentFilterError):
        return ModelRefused(f"{who}: the provider's content filter refused the request or the answer")
    if isinstance(error, theirs.UserError):
        return ModelRefused(f"{who}: {cleaned(error.message, key)}")
    return ModelUnavailable(f"{who} answered with something that can't be read")
