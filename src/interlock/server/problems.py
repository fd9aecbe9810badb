"""Errors as `application/problem+json` (RFC 9457), with the code and the hint that the command line shows."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from interlock.model import (
    BacklogFull,
    Conflict,
    DatabaseUnfit,
    DeniedError,
    Exhausted,
    InterlockError,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
    UserError,
)

MEDIA_TYPE = "application/problem+json"
API_HINT = "see /api/openapi.json for what there is"
MAX_FAULTS = 5
BACKLOG_RETRY_S = 30  # a guess: nobody knows when a task will have begun
MAX_DETAIL_CHARS = 4000

# the first class that fits decides; what is not here is our own fault
STATUSES: tuple[tuple[type[InterlockError], int], ...] = (
    (Unauthorized, 401),
    (NotFound, 404),
    (Conflict, 409),
    (DatabaseUnfit, 503),
    (UserError, 422),
    (DeniedError, 403),
    (Exhausted, 429),
    (Unavailable, 503),
)

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "hint", "retryable"],
    "properties": {
        "type": {"type": "string", "description": "where the error is explained"},
        "title": {"type": "string", "description": "what kind of error it is"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what happened this time"},
        "code": {"type": "string", "description": "stable; the same as on the command line"},
        "hint": {"type": "string", "description": "what to do or to type next"},
        "retryable": {"type": "boolean", "description": "whether trying the same thing again can help"},
    },
}


class Refusal(HTTPException):
    """A request that HTTP itself has a status for: too large, not JSON, the wrong host."""

    def __init__(
        self, status: int, detail: str, hint: str = API_HINT, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.hint = hint


def problem(error: InterlockError, status: int | None = None) -> dict[str, Any]:
    """An error as the body of an answer; `status` replaces the one of its class."""
    title, _, _ = (inspect.getdoc(type(error)) or "").partition("\n")
    number = next((found for kind, found in STATUSES if isinstance(error, kind)), 500)
    return {
        "type": error.docs_url,
        "title": title.rstrip("."),
        "status": number if status is None else status,
        "detail": error.message[:MAX_DETAIL_CHARS],
        "code": error.code,
        "hint": error.next_step,
        "retryable": error.retryable,
    }


def problem_response(
    error: InterlockError, status: int | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error as an answer."""
    body = problem(error, status)
    named = dict(headers or {})
    if body["status"] == 401:
        named["WWW-Authenticate"] = 'Bearer realm="interlock"'
    if isinstance(error, RateLimited):
        named["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    elif isinstance(error, BacklogFull):
        named["Retry-After"] = str(BACKLOG_RETRY_S)
    return JSONResponse(body, body["status"], headers=named, media_type=MEDIA_TYPE)


def faults(errors: Sequence[Any], known: Sequence[str]) -> str:
    """Pydantic's errors as one line that names each field; `known` are the fields that there are."""
    lines = [f"{_place(error['loc'])}: {_fault(error, known)}" for error in errors[:MAX_FAULTS]]
    if len(errors) > MAX_FAULTS:
        lines.append(f"and {len(errors) - MAX_FAULTS} more")
    return "; ".join(lines)


def add_problem_answers(app: FastAPI) -> None:
    """Answer every error of the routes with a problem."""
    app.add_exception_handler(InterlockError, _on_interlock_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


def _place(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part)[:100] for part in loc) or "body"


def _fault(error: Any, known: Sequence[str]) -> str:
    if error["type"] == "missing":
        return "missing"
    if error["type"] == "extra_forbidden":
        return f"unknown field; expected {', '.join(sorted(known)) or 'none'}"
    message = str(error["msg"])
    return message[:1].lower() + message[1:]


async def _on_interlock_error(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, InterlockError)
    return problem_response(error)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, RequestValidationError)
    errors = [{**found, "loc": found["loc"][1:]} for found in error.errors()]  # without `query` or `path`
    return problem_response(UserError(faults(errors, ()), hint=API_HINT))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error, Refusal):
        known = DeniedError if error.status_code == 403 else UserError
        return problem_response(known(error.detail, hint=error.hint), error.status_code, error.headers)
    path = request.url.path[:200]
    if error.status_code == 404:
        return problem_response(NotFound(f"there is nothing at {path}", hint=API_HINT))
    if error.status_code == 405:
        wrong = UserError(f"{path} does not take {request.method}", hint=API_HINT)
        return problem_response(wrong, 405, error.headers)
    return problem_response(UserError(error.detail, hint=API_HINT), error.status_code, error.headers)
