"""The stage of the demo: a folder with a project, a repository and logs; a server with two workers on it."""

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from interlock.app import erase_embedded
from interlock.client import Client
from interlock.model import MissingExtra, Unavailable, UserError

READY_S = 60.0
STOP_S = 30.0
_AUTHOR = {
    "GIT_AUTHOR_NAME": "demo",
    "GIT_AUTHOR_EMAIL": "demo@localhost",
    "GIT_COMMITTER_NAME": "demo",
    "GIT_COMMITTER_EMAIL": "demo@localhost",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}
_COMMITS = (
    ("Start the status page", "site/index.html", "<h1>status</h1>\n"),
    (
        "Read settings from the environment",
        "site/settings.py",
        "import os\n\nPORT = int(os.environ.get('PORT', '8080'))\n",
    ),
    (
        "Serve the page",
        "site/serve.py",
        "from settings import PORT\n\n# TODO: time out slow clients\nprint('serving on', PORT)\n",
    ),
    ("Rotate the logs every night", "ops/rotate.sh", "#!/bin/sh\n# TODO: compress before deleting\nls logs\n"),
)


@dataclass(frozen=True)
class Stage:
    """Where the demo plays, and how to talk to it."""

    folder: Path
    home: Path
    client: Client
    url: str

    @property
    def work(self) -> Path:
        """The folder that the agents may touch."""
        return self.folder / "work"

    def log_lines(self, name: str) -> list[dict[str, Any]]:
        """What a tool server wrote into its own log."""
        path = self.folder / "server-logs" / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def check_needs() -> None:
    """Say what is missing before anything starts.

    Raises:
        MissingExtra: the demo's MCP servers are not installed.
        UserError: git is not there.
    """
    if shutil.which("git") is None:
        raise UserError("the demo looks at a git repository, and git is not installed", hint="apt-get install git")
    beside = Path(sys.executable).parent
    for name in ("mcp-server-git", "mcp-server-time"):
        if not (beside / name).exists() and shutil.which(name) is None:
            raise MissingExtra(f"the demo uses the MCP server {name}, which is not installed")


def make_folder() -> Path:
    """A new folder with the project, a small repository and some old logs."""
    folder = Path(tempfile.mkdtemp(prefix="interlock-demo-"))
    with resources.as_file(resources.files("interlock.cli").joinpath("demo_project")) as source:
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    work = folder / "work"
    _git(work, "init", "--quiet", "--initial-branch=main")
    for message, name, content in _COMMITS:
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        _git(work, "add", name)
        _git(work, "commit", "--quiet", "--message", message)
    (work / "site" / "settings.py").write_text("import os\n\nPORT = int(os.environ.get('PORT', '8081'))\n")
    logs = work / "logs"
    logs.mkdir()
    for number in range(1, 4):
        (logs / f"access-{number}.log").write_text(f"GET /status 200\nGET /health 200\nline {number}\n" * number)
    (logs / "access-3.log").chmod(0o640)
    (logs / "core.bin").write_bytes(bytes(range(256)) * 16)
    (folder / "server-logs").mkdir()
    return folder


def _git(work: Path, *words: str) -> None:
    work.mkdir(exist_ok=True)
    subprocess.run(  # fixed words, no shell
        ["git", "-C", str(work), *words], check=True, capture_output=True, timeout=30, env={**os.environ, **_AUTHOR}
    )


def fingerprint(root: Path) -> str:
    """A hash over everything below a folder: names, kinds, modes, times of change and contents."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        digest.update(f"{path.relative_to(root)}\0{stat.S_IFMT(info.st_mode)}\0{stat.S_IMODE(info.st_mode)}\0".encode())
        if path.is_symlink():
            digest.update(str(path.readlink()).encode())
        elif path.is_file():
            digest.update(str(info.st_mtime_ns).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def running(folder: Path, *, keep: bool) -> Iterator[Stage]:
    """Start the server and two workers on the project; stopped at the end unless `keep`.

    Raises:
        Unavailable: it does not get ready within a minute; the message has the end of its log.
    """
    home = folder / "home"
    env = {
        **os.environ,
        "INTERLOCK_HOME": str(home),
        "DEMO_PYTHON": sys.executable,
        "DEMO_LOGS": str(folder / "server-logs"),
    }
    for name in ("INTERLOCK_URL", "INTERLOCK_TOKEN", "INTERLOCK_DATABASE_URL"):
        env.pop(name, None)
    log = folder / "up.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "interlock", "up", "--port", "0", "--workers", "2"]
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    done = False
    try:
        with _connected(process, home, log) as (client, url):
            yield Stage(folder, home, client, url)
        done = True
    finally:
        if not (keep and done):
            _stop(process)


@contextmanager
def _connected(process: "subprocess.Popen[bytes]", home: Path, log: Path) -> Iterator[tuple[Client, str]]:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unavailable(f"the server ended at its start: {_tail(log)}", hint="interlock doctor")
        with suppress(OSError, ValueError, KeyError):
            url = str(json.loads((home / "server.json").read_text())["url"])
            token = (home / "token").read_text().strip()
            with Client(url, token) as client:
                _wait_for_workers(client, deadline)
                yield client, url
                return
        time.sleep(0.1)
    raise Unavailable(f"the server was not ready within {READY_S:g} s: {_tail(log)}", hint="interlock doctor")


def _wait_for_workers(client: Client, deadline: float) -> None:
    while time.monotonic() < deadline:
        if len(client.status()["workers"]) >= 2:
            return
        time.sleep(0.2)
    raise Unavailable(f"the workers were not ready within {READY_S:g} s", hint="interlock doctor")


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-5:]
    return " | ".join(lines) or "it said nothing"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_S)


def kill_worker(pid: int) -> None:
    """SIGKILL: no chance to clean up."""
    os.kill(pid, signal.SIGKILL)


def erase_database(folder: Path) -> None:
    """Remove the demo's database where it does not lie below its folder (as root it lies in the system's state)."""
    erase_embedded(folder / "home", os.environ)
