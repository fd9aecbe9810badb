"""Logging of the long-running commands: lines for people or JSON lines, on stderr, never a traceback by itself."""

import json
import logging
import sys
import time
from typing import Any

from interlock.cli.edge import debugging

QUIET = ("asyncio", "dbos", "httpx", "httpcore", "mcp", "psycopg", "uvicorn")
_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _error(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return "" if error is None else f"{type(error).__name__}: {error}"


def _at(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


class PlainFormat(logging.Formatter):
    """`18:00:00Z worker.ready executor=…`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; with INTERLOCK_DEBUG=1 the traceback below it."""
        level = "" if record.levelno <= logging.INFO else f" {record.levelname.lower()}"
        extra = "".join(f" {name}={value}" for name, value in _fields(record).items())
        error = f" error={_error(record)}" if record.exc_info else ""
        line = f"{_at(record)[11:19]}Z{level} {record.getMessage()}{extra}{error}"
        if record.exc_info and debugging():
            return f"{line}\n{self.formatException(record.exc_info)}"
        return line.replace("\n", " ")


class JsonFormat(logging.Formatter):
    """One JSON object per line: `v`, `at`, `level`, `logger`, `event` and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        document: dict[str, Any] = {
            "v": 1,
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            document["error"] = _error(record)
        return json.dumps(document, ensure_ascii=False, default=str)


def log_to_stderr(*, as_json: bool) -> None:
    """Log what interlock's own rooms say from INFO on, and of libraries only warnings."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(JsonFormat() if as_json else PlainFormat())
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(logging.WARNING)
    logging.getLogger("interlock").setLevel(logging.DEBUG if debugging() else logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
