"""From a server's configuration to what is started: program, arguments, environment, folder."""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.config import expand_env, scrubbed_env
from interlock.model import ToolUnavailable

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig

MIB = 1024 * 1024
THIRD_PARTY_LINE_BYTES = 16 * MIB
BUILTIN_LINE_BYTES = 192 * MIB  # snapshots of the workspace travel in one message
_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Surroundings:
    """Where the servers of a project live.

    Attributes:
        folder: the project folder; relative paths start here.
        state_dir: below it each server gets a private home.
        env: the environment that `${NAME}` and the search path come from.
    """

    folder: Path
    state_dir: Path
    env: Mapping[str, str]


_CREDENTIAL_CHARS = 8
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|DSN", re.IGNORECASE)


@dataclass(frozen=True)
class Launch:
    """One program, ready to be started.

    Attributes:
        argv: the program with its full path, and its arguments.
        secrets: values that must not show up in messages.
        credentials: those of them that are keys or passwords by their name or by where they come from; they must
            not show up in results either.
        line_bytes: the longest message that it may send.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    secrets: tuple[str, ...] = field(repr=False)
    credentials: tuple[str, ...] = field(repr=False)
    line_bytes: int

    @property
    def launched(self) -> tuple[str, ...]:
        """The command line that ties it to the life of this process."""
        return (sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), "--", *self.argv)


def prepare(server: str, config: "ToolServerConfig", where: Surroundings) -> Launch:
    """Work out what to start, and make the server's private home.

    Raises:
        ToolUnavailable: the command or a folder does not exist.
        ConfigError: `env` uses a variable that is not set.
        OSError: the private home can't be made.
    """
    declared = {name: expand_env(value, where.env) for name, value in config.env.items()}
    env = {"HOME": str(_private_home(where.state_dir / server)), **scrubbed_env(where.env), **declared}
    cwd = where.folder / expand_env(config.cwd or "", where.env)
    if not cwd.is_dir():
        raise ToolUnavailable(f"the folder to run in does not exist: {cwd}", hint=f"mkdir -p {cwd}")
    return Launch(
        argv=_argv(config, env, where, cwd),
        env=env,
        cwd=cwd,
        secrets=_secrets(declared),
        credentials=_credentials(config.env, declared),
        line_bytes=BUILTIN_LINE_BYTES if config.builtin else THIRD_PARTY_LINE_BYTES,
    )


def _argv(config: "ToolServerConfig", env: Mapping[str, str], where: Surroundings, cwd: Path) -> tuple[str, ...]:
    if config.command is not None:
        words = [expand_env(word, where.env) for word in (config.command, *config.args)]
        return (_program(words[0], env, cwd), *words[1:])
    root = where.folder / (config.root or "")
    if not root.is_dir():
        raise ToolUnavailable(f"the workspace folder does not exist: {root}", hint=f"mkdir -p {root}")
    return (sys.executable, "-m", f"interlock.servers.{config.builtin}", "--root", str(root))


def _program(command: str, env: Mapping[str, str], cwd: Path) -> str:
    if "/" in command:
        path = cwd / command
        if not path.is_file():
            raise ToolUnavailable(f"command not found: {path}", hint="set the full path of an existing program")
        if not os.access(path, os.X_OK):
            raise ToolUnavailable(f"not executable: {path}", hint=f"chmod +x {path}")
        return str(path)
    # A program installed next to interlock is found even when that folder is not on the search path.
    beside = str(Path(sys.executable).parent)
    found = shutil.which(command, path=env.get("PATH", os.defpath)) or shutil.which(command, path=beside)
    if found is None:
        raise ToolUnavailable(f"command not found: {command}", hint=f"pip install {command}, or set the full path")
    return str(Path(found).absolute())


def _private_home(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    home = folder / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    home.chmod(0o700)
    return home


def _secrets(declared: Mapping[str, str]) -> tuple[str, ...]:
    """Declared values, and each line of those with several: output is redacted line by line."""
    values = [line for value in declared.values() for line in (value, *value.splitlines())]
    return tuple(dict.fromkeys(value.strip() for value in values if value.strip()))


def _credentials(raw: Mapping[str, str], declared: Mapping[str, str]) -> tuple[str, ...]:
    """Values of eight characters or more that are secret by name, or were taken from a variable of such a name."""
    return tuple(
        value
        for name, value in declared.items()
        if len(value) >= _CREDENTIAL_CHARS and (_SECRET_NAME.search(name) or _SECRET_NAME.search(raw[name]))
    )
