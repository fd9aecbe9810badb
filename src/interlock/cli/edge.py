"""Where errors leave the program: one function each for what is said, for the exit status, and for the unforeseen."""

import json
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from interlock.model import DeniedError, Exhausted, InterlockError, Unavailable

OK, FAILED, USAGE, DENIED, WAITING, UNAVAILABLE = range(6)
INTERRUPTED = 130
PIPE_CLOSED = 141
_USAGE_CODES = frozenset({"invalid_request", "unknown_agent", "unknown_model"})


def exit_status(error: InterlockError) -> int:
    """The exit status that an error stands for."""
    if isinstance(error, DeniedError):
        return DENIED
    if isinstance(error, Unavailable | Exhausted):
        return UNAVAILABLE
    return USAGE if error.code in _USAGE_CODES else FAILED


def document_of(error: InterlockError) -> dict[str, Any]:
    """An error as JSON; shape `{v, error: {code, message, hint, docs_url, retryable}}`."""
    return {
        "v": 1,
        "error": {
            "code": error.code,
            "message": error.message,
            "hint": error.next_step,
            "docs_url": error.docs_url,
            "retryable": error.retryable,
        },
    }


def lines_of(error: InterlockError) -> list[str]:
    """An error for people: what happened, what to type next, and where it is explained."""
    first, *more = error.message.splitlines() or [""]
    return [
        f"error: {first}",
        *(f"       {line}" for line in more),
        f"hint: {error.next_step}",
        f"code: {error.code} ({error.docs_url})",
    ]


def report(error: InterlockError, *, as_json: bool) -> int:
    """Say on stderr what went wrong; the exit status."""
    if debugging():
        traceback.print_exception(error, file=sys.stderr)
    text = json.dumps(document_of(error), ensure_ascii=False) if as_json else "\n".join(lines_of(error))
    print(text, file=sys.stderr, flush=True)
    return exit_status(error)


def report_usage(message: str, hint: str, *, as_json: bool) -> int:
    """Say on stderr that a command line is wrong; the exit status."""
    if as_json:
        error = {"code": "usage", "message": message, "hint": hint, "docs_url": "docs/errors.md", "retryable": False}
        print(json.dumps({"v": 1, "error": error}, ensure_ascii=False), file=sys.stderr, flush=True)
    else:
        print(f"error: {message}\nhint: {hint}", file=sys.stderr, flush=True)
    return USAGE


def debugging() -> bool:
    """Whether tracebacks are wanted."""
    return os.environ.get("INTERLOCK_DEBUG", "") not in ("", "0")


def report_unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What `sys.excepthook` does instead of a traceback; Python then ends with status 1."""
    if debugging():
        traceback.print_exception(kind, error, trace, file=sys.stderr)
    where = traceback.extract_tb(trace)[-1] if trace is not None else None
    place = f" ({Path(where.filename).name}:{where.lineno})" if where else ""
    print(
        f"error: a fault of interlock itself: {kind.__name__}: {error}{place}\n"
        "hint: INTERLOCK_DEBUG=1 shows where; please report it with the output of: interlock doctor --json\n"
        "code: bug (docs/errors.md#bug)",
        file=sys.stderr,
        flush=True,
    )
