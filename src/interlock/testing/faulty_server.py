"""A small MCP server over stdio that misbehaves on request: `python -m interlock.testing.faulty_server --mode MODE`.

For testing agents, policies and operations against tools that hang, die or lie. It speaks the protocol by hand (the
generation with a handshake, 2025-11-25), so it starts in a tenth of a second and can do what a library would prevent.
Its effects are lines in a log file, written with fsync: an independent record of what was really done, and how often.

Modes:
    ok               does what it is told
    hang-start       never answers, not even the handshake
    exit             ends at once with status 3
    garbage          prints text that is no MCP message, and never answers
    empty            lists no tools
    die-on-call      dies in each call but `lookup`; `--moment` says whether before or after the effect
    hang-on-call     never answers a call but `lookup`; `--moment` as above
    deaf             stops reading its input at the first call
    slow             waits `--delay` seconds before each effect
    flaky:N          the tool `flaky` fails the first N times, counted in a file next to the log
    bad-result       `echo` returns a result that does not fit the schema it declares
    changed          describes `echo` in other words, and has one more tool
    changes          becomes `changed` after the first `echo`, and says so

Tools: `echo`, `append`, `append_keyed`, `lookup`, `flaky`, `big`.
"""

import argparse
import fcntl
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.config import Clock, SystemClock

_MODES = frozenset(
    {
        "ok",
        "hang-start",
        "exit",
        "garbage",
        "empty",
        "die-on-call",
        "hang-on-call",
        "deaf",
        "slow",
        "flaky",
        "bad-result",
        "changed",
        "changes",
    }
)
_IDEMPOTENCY_KEY = "interlock/idempotency_key"
_PAGE_TOOLS = 3
_MAX_CALLS = 64
_METHOD_NOT_FOUND = -32601
_EXIT_STATUS = 3
_NEVER = threading.Event()


@dataclass(frozen=True)
class Options:
    """How it behaves.

    Attributes:
        mode: one of the modes above.
        log: the file that effects are written to.
        flaky_times: how often `flaky` fails.
        delay_s: for `slow`.
        moment: `before` or `after` the effect, for `die-on-call` and `hang-on-call`.
    """

    mode: str
    log: Path
    flaky_times: int = 0
    delay_s: float = 1.0
    moment: str = "after"


class EffectLog:
    """The record of effects: one JSON object per line, `{at, key, text, idempotency_key, pid}`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def append(self, key: str, text: str, idempotency_key: str | None, *, once: bool) -> dict[str, Any]:
        """Write a line; with `once`, a line that has the same idempotency key is returned instead."""
        with self._locked() as fd:
            if once and idempotency_key is not None:
                for line in self._lines():
                    if line["idempotency_key"] == idempotency_key:
                        return line
            line = {
                "at": self._clock.now().isoformat(),
                "key": key,
                "text": text,
                "idempotency_key": idempotency_key,
                "pid": os.getpid(),
            }
            os.write(fd, json.dumps(line).encode() + b"\n")
            os.fsync(fd)
            return line

    def count(self, key: str) -> int:
        """How many lines have that key."""
        with self._locked():
            return sum(line["key"] == key for line in self._lines())

    def next_try(self) -> int:
        """Count one more try of `flaky`; the first is 1."""
        with self._locked():
            counter = self._path.with_name(self._path.name + ".flaky")
            tries = (int(counter.read_text()) if counter.exists() else 0) + 1
            counter.write_text(str(tries))
            return tries

    @contextmanager
    def _locked(self) -> Iterator[int]:
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self._path.read_text().splitlines():
            yield json.loads(line)


class FaultyServer:
    """Reads requests line by line; each call runs in a thread of its own."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._log = EffectLog(options.log, clock)
        self._changed = options.mode == "changed"
        self._output = threading.Lock()
        self._slots = threading.BoundedSemaphore(_MAX_CALLS)
        self._under_way: dict[Any, threading.Event] = {}

    def serve(self) -> None:
        """Answer until the input ends."""
        for raw in sys.stdin.buffer:
            message = json.loads(raw)
            method, request_id = message.get("method"), message.get("id")
            params = message.get("params") or {}
            if method == "notifications/cancelled":
                self._cancel(params.get("requestId"))
            elif request_id is not None and method == "tools/call":
                if self._options.mode == "deaf":
                    _NEVER.wait()
                self._slots.acquire()
                self._under_way[request_id] = threading.Event()
                threading.Thread(target=self._call, args=(request_id, params), daemon=True).start()
            elif request_id is not None:
                self._answer(request_id, method, params)

    def _cancel(self, request_id: Any) -> None:
        cancelled = self._under_way.get(request_id)
        if cancelled is not None:
            cancelled.set()

    def _answer(self, request_id: Any, method: str, params: dict[str, Any]) -> None:
        if method == "initialize":
            result: dict[str, Any] = {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "faulty", "version": "1"},
            }
        elif method == "tools/list":
            result = self._page(int(params.get("cursor") or 0))
        elif method == "ping":
            result = {}
        else:
            error = {"code": _METHOD_NOT_FOUND, "message": f"no method {method}"}
            return self._send({"id": request_id, "error": error})
        return self._send({"id": request_id, "result": result})

    def _page(self, start: int) -> dict[str, Any]:
        tools = [] if self._options.mode == "empty" else describe(changed=self._changed)
        end = start + _PAGE_TOOLS
        page: dict[str, Any] = {"tools": tools[start:end]}
        return {**page, "nextCursor": str(end)} if end < len(tools) else page

    def _call(self, request_id: Any, params: dict[str, Any]) -> None:
        name, args = params["name"], params.get("arguments") or {}
        cancelled = self._under_way[request_id]
        try:
            self._misbehave(name, "before")
            delay_s = float(args.get("delay_s", 0)) + (self._options.delay_s if self._options.mode == "slow" else 0)
            if cancelled.wait(delay_s):
                return
            result = self._act(name, args, (params.get("_meta") or {}).get(_IDEMPOTENCY_KEY))
            cancelled.wait(float(args.get("linger_s", 0)))  # it has happened, and nobody has heard of it yet
            self._misbehave(name, "after")
            self._send({"id": request_id, "result": result})
            if name == "echo" and self._options.mode == "changes" and not self._changed:
                self._changed = True
                self._send({"method": "notifications/tools/list_changed"})
        finally:
            del self._under_way[request_id]
            self._slots.release()

    def _misbehave(self, name: str, moment: str) -> None:
        if name == "lookup" or moment != self._options.moment:
            return
        if self._options.mode == "die-on-call":
            sys.stderr.write(f"dying {moment} {name}\n")
            sys.stderr.flush()
            os._exit(_EXIT_STATUS)
        if self._options.mode == "hang-on-call":
            _NEVER.wait()

    def _act(self, name: str, args: dict[str, Any], idempotency_key: str | None) -> dict[str, Any]:
        if name == "echo":
            return _result(args["text"], {"text": 5 if self._options.mode == "bad-result" else args["text"]})
        if name in ("append", "append_keyed"):
            line = self._log.append(args["key"], args["text"], idempotency_key, once=name == "append_keyed")
            return _result(f"appended {line['key']}", line)
        if name == "lookup":
            count = self._log.count(args["key"])
            return _result(str(count), {"count": count})
        if name == "flaky":
            tries = self._log.next_try()
            failed = tries <= self._options.flaky_times
            return _result(f"try {tries} {'failed' if failed else 'succeeded'}", {"tries": tries}, failed=failed)
        if name == "big":
            return _result("x" * int(args["bytes"]), None)
        return _result(f"no tool {name}", None, failed=True)

    def _send(self, message: dict[str, Any]) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        with self._output:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


def describe(*, changed: bool) -> list[dict[str, Any]]:
    """The tools as they go over the wire."""
    text, number = {"type": "string"}, {"type": "number"}
    entry = _object({"key": text, "text": text, "delay_s": number, "linger_s": number}, "key", "text")
    words = "Returns the text that it is given, and remembers it." if changed else "Returns the text that it is given."
    tools = [
        {**_tool("echo", words, _object({"text": text}, "text"), read=True), "outputSchema": _object({"text": text})},
        _tool("append", "Appends a line to the log, each time.", entry),
        _tool("append_keyed", "Appends a line to the log, once for each idempotency key.", entry, idempotent=True),
        _tool("lookup", "Says how many lines have a key.", _object({"key": text}, "key"), read=True),
        _tool("flaky", "Fails as often as the server was told to, then succeeds.", _object({})),
        _tool("big", "Returns a text of that many bytes.", _object({"bytes": number}, "bytes"), read=True),
    ]
    return [*tools, _tool("extra", "Was not there before.", _object({}))] if changed else tools


def _tool(
    name: str, description: str, schema: dict[str, Any], *, read: bool = False, idempotent: bool = False
) -> dict[str, Any]:
    hints = {"readOnlyHint": read, "destructiveHint": False, "idempotentHint": read or idempotent}
    return {"name": name, "description": description, "inputSchema": schema, "annotations": hints}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _result(text: str, structured: dict[str, Any] | None, *, failed: bool = False) -> dict[str, Any]:
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": failed}
    return result if structured is None else {**result, "structuredContent": structured}


def parse(argv: list[str]) -> Options:
    """Read the command line.

    Raises:
        SystemExit: it is wrong; the usage is printed.
    """
    parser = argparse.ArgumentParser(prog="python -m interlock.testing.faulty_server")
    parser.add_argument("--mode", default="ok", help=f"one of {', '.join(sorted(_MODES))}; flaky:N")
    parser.add_argument("--log", type=Path, required=True, help="the file that effects are written to")
    parser.add_argument("--delay", type=float, default=1.0, help="seconds, for the mode slow")
    parser.add_argument("--moment", choices=("before", "after"), default="after", help="of dying or hanging")
    given = parser.parse_args(argv)
    mode, _, times = given.mode.partition(":")
    if mode not in _MODES or not (times.isdigit() or not times):
        parser.error(f"no mode '{given.mode}'")
    return Options(mode, given.log, int(times or 0), given.delay, given.moment)


def main(argv: list[str]) -> int:
    """Serve until the input ends; the exit status, if it comes to an orderly end at all."""
    options = parse(argv)
    sys.stderr.write(f"faulty server, mode {options.mode}\n")
    sys.stderr.flush()
    if options.mode == "exit":
        return _EXIT_STATUS
    if options.mode == "garbage":
        sys.stdout.write("Welcome! This is no MCP message.\n")
        sys.stdout.flush()
    if options.mode in ("hang-start", "garbage"):
        _NEVER.wait()
    FaultyServer(options, SystemClock()).serve()
    os._exit(0)  # calls under way end with it; an orderly end would wait for their threads' locks


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
