"""Programs that install: bounded in time and output, ended with this process, without a credential in what they say."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from interlock.config import scrubbed_env
from interlock.model import InstallFailed

BUILD_S = 600.0
_KEPT_BYTES = 64 * 1024
_SHOWN_LINES, _SHOWN_CHARS = 12, 300
_POLL_S = 0.1
_END_S = 5.0
_LAUNCHER = Path(__file__).parent.parent / "launch.py"

_PREFIXES = ("PIP_", "UV_", "NPM_CONFIG_")
_NAMES = frozenset(
    {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"}
    | {"NODE_EXTRA_CA_CERTS", "NPM_TOKEN", "NODE_AUTH_TOKEN"}
)
# These would put files elsewhere, or make of an install something else.
_REFUSED = frozenset(
    {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_EDITABLE", "PIP_REQUIREMENT", "PIP_DRY_RUN", "PIP_LOG"}
    | {"PIP_PYTHON", "PIP_REPORT", "PIP_NO_DEPS", "PIP_REQUIRE_VIRTUALENV", "PIP_NO_BINARY", "PIP_IGNORE_INSTALLED"}
    | {"UV_SYSTEM_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_NO_BINARY"}
    | {"NPM_CONFIG_GLOBAL", "NPM_CONFIG_LOCATION", "NPM_CONFIG_PREFIX", "NPM_CONFIG_DRY_RUN", "NPM_CONFIG_OMIT"}
    | {"NPM_CONFIG_WORKSPACE", "NPM_CONFIG_WORKSPACES", "NPM_CONFIG_PACKAGE_LOCK_ONLY"}
)
_SETTINGS_FILES = {
    "PIP_CONFIG_FILE": (".config/pip/pip.conf", ".pip/pip.conf", "Library/Application Support/pip/pip.conf"),
    "UV_CONFIG_FILE": (".config/uv/uv.toml",),
    "NPM_CONFIG_USERCONFIG": (".npmrc",),
    "NETRC": (".netrc",),
}
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|(^|_)PROXY$|URL|INDEX|REGISTRY", re.IGNORECASE)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s'\"<>]+", re.IGNORECASE)
_MARKED = re.compile(
    r"((?:host=|_auth\w*[ \t]*=|authorization:[ \t]*(?:\w+[ \t])?)[ \t]*)['\"]?[^\s'\",)]+['\"]?", re.IGNORECASE
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def install_env(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """What a program that installs may know: search path, proxies, certificates, and the user's settings for it.

    Args:
        env: the environment of this process.
        home: a private home, so that nothing of the user's is read or written by the way.
    """
    kept = {name: value for name, value in env.items() if _is_kept(name)}
    real = Path(env.get("HOME") or "/nonexistent")
    for variable, places in _SETTINGS_FILES.items():
        found = next((real / place for place in places if (real / place).is_file()), None)
        if found is not None and variable not in {name.upper() for name in kept}:
            kept[variable] = str(found)
    return {**scrubbed_env(env), **kept, "HOME": str(home), "PYTHONNOUSERSITE": "1", "NO_COLOR": "1"}


def _is_kept(name: str) -> bool:
    upper = name.upper()
    return (upper.startswith(_PREFIXES) or upper in _NAMES) and upper not in _REFUSED


@dataclass(frozen=True)
class Workshop:
    """Where and how long something is built.

    Attributes:
        folder: empty, of this one installation.
        env: of the programs.
        deadline: of all of it together, as `time.monotonic` counts.
        stop: set from elsewhere to end it.
    """

    folder: Path
    env: Mapping[str, str] = field(repr=False)
    deadline: float
    stop: threading.Event

    def run(self, argv: list[str], what: str) -> None:
        """Run one program to its end.

        Raises:
            InstallFailed: it can't be started, failed, took too long, or was stopped; with its last lines.
        """
        command = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), "--", *argv]
        try:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise InstallFailed(f"{what} can't be started: {error.strerror}") from error
        tail = _Tail(process)
        try:
            verdict = self._wait(process)
        finally:
            _end(process)
        if verdict or process.returncode != 0:
            verdict = verdict or f"failed with exit status {process.returncode}"
            raise InstallFailed(f"{what} {verdict}{said(tail.text(), self.env)}")

    def _wait(self, process: "subprocess.Popen[bytes]") -> str | None:
        while process.poll() is None:
            if self.stop.is_set():
                return "was stopped"
            if time.monotonic() > self.deadline:
                return f"took longer than {BUILD_S:g} s"
            try:
                process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                continue
        return None


class _Tail:
    """The last of what a process says; read all the time, so that it never waits for us."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._kept = b""
        self._stream = process.stdout
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self._stream is None:
            return
        with self._stream as stream:
            while chunk := os.read(stream.fileno(), 16 * 1024):
                self._kept = (self._kept + chunk)[-_KEPT_BYTES:]

    def text(self) -> str:
        self._reader.join(_END_S)
        return self._kept.decode("utf-8", "replace")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of a program and of what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        return  # it hangs in the kernel; it is killed as soon as it does not


def said(text: str, env: Mapping[str, str]) -> str:
    """The last lines of an output, each on a line of its own, without addresses and secrets; empty for none."""
    lines = [line.strip() for line in redacted(text.replace("\r", "\n"), env).split("\n")]
    shown = [line[:_SHOWN_CHARS] for line in lines if line][-_SHOWN_LINES:]
    return "".join(f"\n  {line}" for line in shown)


def redacted(text: str, env: Mapping[str, str]) -> str:
    """A text without addresses, hosts and the values of variables that may be secret."""
    for name, value in env.items():
        if len(value) >= 6 and _SECRET_NAME.search(name) and not value.startswith("/"):
            text = text.replace(value, "…")
    text = _URL.sub("(an address)", text)
    return _CONTROL.sub("", _MARKED.sub(r"\1…", text))
