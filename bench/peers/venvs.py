"""What the drivers of the peers share: a virtual environment for each, a place, and a way to measure alone."""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTALL_S = 1200
START_S = 180.0
STOP_S = 20.0
LOAD_S = 300.0
TASKS = 32


@dataclass(frozen=True)
class Endpoint:
    """Where a peer that runs can be called; `tokens` are bearer tokens, `tool` is its name for the upstream's `echo`."""

    url: str
    tokens: list[str]
    tool: str


Peer = Callable[[str, Path, Path], Any]


def environment_of(name: str, requirement: str, cache: Path, beside: Sequence[str] = ()) -> Path:
    """The `bin` folder of a virtual environment that holds a requirement and others beside; made if it is not there."""
    folder = cache / f"{name}-{requirement.partition('==')[2]}"
    mark = folder / "installed"
    if not mark.exists():
        print(f"installing {requirement} in {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement, *beside]
        subprocess.run(command, check=True, timeout=INSTALL_S, stdout=sys.stderr)
        mark.touch()
    return folder / "bin"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    """A program that listens on a port; its output goes to a log in its folder."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline_s = time.monotonic() + START_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"it does not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def request(method: str, url: str, token: str, body: Any = None) -> Any:
    """One HTTP request with JSON there and back; trouble says what the answer was."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    asked = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{method} {url}: {error.code} {error.read()[:500]!r}") from error


def main(name: str, requirement: str, peer: Peer) -> int:
    """The command line of a driver: measure, or serve until standard input ends."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interlock" / "peers"
    parser = argparse.ArgumentParser(description=f"{name} before an MCP server over HTTP that has a tool `echo`.")
    parser.add_argument("--upstream", required=True, help="URL of the server, such as http://127.0.0.1:8000/mcp")
    parser.add_argument("--serve", action="store_true", help="say where it is, and go on until standard input ends")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long under load")
    parser.add_argument("--calls", type=int, default=100, help="how many one after the other")
    parser.add_argument("--cache", type=Path, default=default, help="where virtual environments are kept")
    asked = parser.parse_args()
    binaries = environment_of(name, requirement, asked.cache)
    with (
        tempfile.TemporaryDirectory(prefix=f"interlock-peer-{name}-") as folder,
        peer(asked.upstream, binaries, Path(folder)) as endpoint,
    ):
        if asked.serve:
            print(json.dumps(vars(endpoint)), flush=True)
            sys.stdin.read()
        else:
            print(json.dumps({"peer": requirement, **_measure(endpoint, asked.calls, asked.seconds)}), flush=True)
    return 0


def _measure(endpoint: Endpoint, calls: int, seconds: float) -> dict[str, Any]:
    """Calls one after the other, and many at any time, by the client that everything is measured with."""
    lines = [
        {"url": endpoint.url, "tokens": endpoint.tokens, "tool": endpoint.tool, "argument": "text"},
        {"op": "latency", "calls": 10},
        {"op": "latency", "calls": calls},
        {"op": "load", "tasks": TASKS, "seconds": seconds},
    ]
    program = [sys.executable, "-m", "interlock.testing.mcp_load"]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(program, input=text, capture_output=True, text=True, timeout=LOAD_S, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) < len(lines):
        raise SystemExit(f"it can't be called: {answers[-1:]} {done.stderr[-500:]}")
    return {
        "calls_per_s": answers[3]["per_s"],
        "p50_ms": answers[2]["p50_ms"],
        "errors": answers[2]["errors"] + answers[3]["errors"],
        "trouble": answers[2]["trouble"] or answers[3]["trouble"],
    }
