"""From a server's configuration to what is started: program, arguments, environment, folder."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.config import SECRET, expand_env, scrubbed_env
from interlock.model import ToolUnavailable
from interlock.sandbox import Confinement, Means, confined
from interlock.tools.confinement import SQLITE, Start, ca_file, walls_of
from interlock.tools.packages.ensure import installed_for
from interlock.tools.surroundings import Surroundings

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig

MIB = 1024 * 1024
THIRD_PARTY_LINE_BYTES = 16 * MIB
BUILTIN_LINE_BYTES = 192 * MIB  # snapshots of the workspace travel in one message
_LAUNCHER = Path(__file__).with_name("launch.py")


_CREDENTIAL_CHARS = 8
_DATABASE_ENV = "INTERLOCK_SQL_DATABASE"
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
        sandbox: by what it is confined, and why not better, for people.
        confinement: what it may do; None when it is not confined.
        means: by what it is confined.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    secrets: tuple[str, ...] = field(repr=False)
    credentials: tuple[str, ...] = field(repr=False)
    line_bytes: int
    sandbox: str = "off"
    confinement: Confinement | None = None
    means: Means = Means.NONE

    @property
    def launched(self) -> tuple[str, ...]:
        """The command line that ties it to the life of this process, and confines it."""
        argv = self.argv
        if self.confinement is not None:
            argv = confined(argv, self.confinement, cwd=self.cwd, means=self.means)
        return (sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), "--", *argv)


def prepare(server: str, config: "ToolServerConfig", where: Surroundings) -> Launch:
    """Work out what to start, and make the server's private home.

    Raises:
        ToolUnavailable: the command or a folder does not exist, or a sandbox is required and there is none.
        ConfigError: `env` uses a variable that is not set, or a secret that is not there.
        OSError: the private home can't be made.
    """
    database = _database(config, where)
    headers = {one.variable: one.raw for one in _credential_headers(config)}
    asked = {**config.env, **headers, **({_DATABASE_ENV: config.database or ""} if database else {})}
    declared = {name: where.value(text) for name, text in {**config.env, **headers}.items()}
    declared |= {_DATABASE_ENV: database} if database else {}
    home = _private_home(where.state_dir / server)
    env = {"HOME": str(home), **scrubbed_env(where.env), **declared}
    cwd = where.folder / expand_env(config.cwd or "", where.env)
    if not cwd.is_dir():
        raise ToolUnavailable(f"the folder to run in does not exist: {cwd}", hint=f"mkdir -p {cwd}")
    start = Start(_argv(config, env, where, cwd), env, cwd, home, database)
    walls = walls_of(server, config, where, start)
    return Launch(
        argv=(*start.argv, *walls.options),
        env=env,
        cwd=cwd,
        secrets=_secrets(declared),
        credentials=_credentials(asked, declared),
        line_bytes=BUILTIN_LINE_BYTES if config.builtin else THIRD_PARTY_LINE_BYTES,
        sandbox=walls.said,
        confinement=walls.confinement,
        means=walls.means,
    )


def _database(config: "ToolServerConfig", where: Surroundings) -> str:
    """What the built-in sql server may use, the file of SQLite with its full path; empty for all other servers."""
    database = where.value(config.database) if config.database is not None else ""
    file = database.removeprefix(SQLITE)
    if not database.startswith(SQLITE) or file == ":memory:":
        return database
    return f"{SQLITE}{where.folder / file}"


def _argv(config: "ToolServerConfig", env: Mapping[str, str], where: Surroundings, cwd: Path) -> tuple[str, ...]:
    if (found := installed_for(where.packages, config)) is not None:
        return (*found.argv, *(expand_env(word, where.env) for word in found.spec.args))
    if config.command is not None:
        words = [expand_env(word, where.env) for word in (config.command, *config.args)]
        return (_program(words[0], env, cwd), *words[1:])
    program = (sys.executable, "-m", f"interlock.servers.{config.builtin}")
    if config.root is not None:
        root = where.folder / config.root
        if not root.is_dir():
            raise ToolUnavailable(f"the {config.builtin} folder does not exist: {root}", hint=f"mkdir -p {root}")
        return (*program, "--root", str(root))
    words = [word for host in config.allow for word in ("--allow", expand_env(host, where.env))]
    for one in _credential_headers(config):
        words += ["--header-env", f"{expand_env(one.host, where.env)}={one.header}={one.variable}"]
    if config.ca_file is not None:
        words += ["--ca-file", str(ca_file(config, where))]
    return (*program, *words, *(["--allow-private"] if config.allow_private else []))


@dataclass(frozen=True)
class _CredentialHeader:
    """A header of the built-in http server, whose value travels in a variable of its environment."""

    host: str
    header: str
    variable: str
    raw: str


def _credential_headers(config: "ToolServerConfig") -> Iterator[_CredentialHeader]:
    pairs = ((host, name, raw) for host, headers in config.credentials.items() for name, raw in headers.items())
    for number, (host, name, raw) in enumerate(pairs, 1):
        yield _CredentialHeader(host, name, f"INTERLOCK_HTTP_CREDENTIAL_{number}", raw)


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
    """Values that are secret by name, by reference, or taken from a variable of such a name; short ones can't be told."""
    return tuple(
        value
        for name, value in declared.items()
        if len(value) >= _CREDENTIAL_CHARS and (_is_secret(name) or _is_secret(raw[name]))
    )


def _is_secret(text: str) -> bool:
    return text.startswith(SECRET) or text == _DATABASE_ENV or _SECRET_NAME.search(text) is not None
