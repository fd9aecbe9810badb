"""From a server's configuration to how its process is confined."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.config import expand_env
from interlock.model import ToolUnavailable
from interlock.sandbox import Confinement, Means, Prospect, needed, prospect
from interlock.tools.surroundings import Surroundings

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig

INSTALL_HINT = "apt-get install bubblewrap"
SQLITE = "sqlite:"
_THIRD_PARTY_PROCESSES = 512
_IMPORTED_FROM = Path(__file__).parents[2]  # interlock itself: beside other packages, or where it is developed


@dataclass(frozen=True)
class Walls:
    """What holds a server.

    Attributes:
        means: by what it is confined.
        said: for its health.
        confinement: what it may do; None when it is not confined.
        options: what it is told on its command line, when it confines what it starts by itself.
    """

    means: Means
    said: str
    confinement: Confinement | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """What is to be started.

    Attributes:
        argv: the program with its full path, and its arguments.
        env: its environment.
        cwd: the folder to run in.
        home: its private home.
        database: what the built-in sql server may use.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    home: Path
    database: str = ""


def walls_of(server: str, config: "ToolServerConfig", where: Surroundings, start: Start) -> Walls:
    """Decide how a server is confined.

    Raises:
        ToolUnavailable: the policy or the server requires what this machine has not, or a grant names no place.
        ConfigError: a grant uses a variable that is not set.
    """
    mode = mode_of(config, where.sandbox)
    if config.builtin == "shell":
        return _walls_of_commands(server, config, where, start)
    if mode == "off":
        return Walls(Means.NONE, "off, as configured")
    confinement = confinement_of(server, config, where, start)
    found = prospect()
    if found.means is Means.NONE:
        if mode == "required":
            raise ToolUnavailable(f"a sandbox is required, and there is none: {found.why}", hint=INSTALL_HINT)
        return Walls(Means.NONE, f"none: {found.why}")
    return Walls(found.means, _described(found), confinement)


def _walls_of_commands(server: str, config: "ToolServerConfig", where: Surroundings, start: Start) -> Walls:
    """The built-in shell is our own code and must be able to confine: each of its commands is held, not itself."""
    if config.sandbox.write:
        raise ToolUnavailable(
            f"tools.{server}.sandbox.write: commands of the shell server change its `root` and nothing else",
            hint=f"set tools.{server}.root to the folder that they work in",
        )
    asked = confinement_of(server, config, where, start)
    # Commands without walls are somebody's decision, for this server: a policy that only prefers walls is none.
    loose = config.sandbox.mode in ("preferred", "off") and where.sandbox != "required"
    options = ["--sandbox", "preferred" if loose else "required", *(["--network"] if asked.network else [])]
    for name, number in (("--memory-mb", config.sandbox.memory_mb), ("--processes", config.sandbox.processes)):
        options += [] if number is None else [name, str(number)]
    for name, places in (("--read", asked.read), ("--hide", asked.hidden)):
        options += [word for place in places for word in (name, str(place))]
    found = prospect()
    return Walls(Means.NONE, f"each command for itself: {_described(found)}", options=tuple(options))


def _described(found: Prospect) -> str:
    return f"{found.means} ({found.why})" if found.why else str(found.means)


def mode_of(config: "ToolServerConfig", policy: str) -> str:
    """The stricter one of what the policy requires and what the server is configured to have."""
    return "required" if policy == "required" else (config.sandbox.mode or policy)


def confinement_of(server: str, config: "ToolServerConfig", where: Surroundings, start: Start) -> Confinement:
    """What a server may do: what is configured, and what a server of its kind needs.

    Raises:
        ToolUnavailable: a grant names no place, or one of interlock's own.
        ConfigError: a grant uses a variable that is not set.
    """
    asked = config.sandbox
    grants = _Grants(server, where)
    processes = asked.processes or (None if config.builtin else _THIRD_PARTY_PROCESSES)
    return Confinement(
        read=(where.folder, start.cwd, *_own_files(config, where), *grants.places("read", asked.read)),
        write=(*_own_folders(config, where, start.database), *grants.places("write", asked.write)),
        home=start.home,
        network=_needs_network(config, start.database) if asked.network is None else asked.network,
        memory_mb=asked.memory_mb,
        processes=processes,
        hidden=where.hidden,
        shown=tuple(_own_parts(where, start)),
        modes=config.builtin == "workspace",
    )


@dataclass(frozen=True)
class _Grants:
    server: str
    where: Surroundings

    def places(self, option: str, texts: Sequence[str]) -> Iterator[Path]:
        for text in texts:
            path = self._place(expand_env(text, self.where.env))
            named = f"tools.{self.server}.sandbox.{option}"
            if not path.exists():
                raise ToolUnavailable(f"{named}: {path} does not exist", hint=f"mkdir -p {path}, or correct {named}")
            real = path.resolve()
            if any(place == real or place in real.parents for place in self.where.hidden):
                raise ToolUnavailable(f"{named}: {path} is interlock's own", hint=f"take {text} out of {named}")
            yield path

    def _place(self, text: str) -> Path:
        home = self.where.env.get("HOME", "")
        if home and (text == "~" or text.startswith("~/")):
            text = home + text[1:]
        return self.where.folder / text


def ca_file(config: "ToolServerConfig", where: Surroundings) -> Path:
    """The certificates that the built-in http server trusts besides those of the machine.

    Raises:
        ToolUnavailable: there is no such file.
    """
    path = where.folder / expand_env(config.ca_file or "", where.env)
    if not path.is_file():
        raise ToolUnavailable(f"`ca_file` does not exist: {path}", hint="correct `ca_file` in interlock.yaml")
    return path


def _own_files(config: "ToolServerConfig", where: Surroundings) -> Iterator[Path]:
    """What a built-in server must be able to read."""
    if config.ca_file is not None:
        yield ca_file(config, where)


def _own_folders(config: "ToolServerConfig", where: Surroundings, database: str) -> Iterator[Path]:
    """What a built-in server is there to change."""
    if config.builtin in ("workspace", "shell"):
        yield where.folder / (config.root or "")
    if config.builtin == "sql" and database.startswith(SQLITE):
        yield Path(database.removeprefix(SQLITE)).parent


def _needs_network(config: "ToolServerConfig", database: str) -> bool:
    return config.builtin == "http" or (config.builtin == "sql" and not database.startswith(SQLITE))


def _own_parts(where: Surroundings, start: Start) -> Iterator[Path]:
    """What the program is made of, even where it lies in the state folder."""
    search_path = start.env.get("PATH", "")
    yield from needed(Path(start.argv[0]), search_path)
    yield _IMPORTED_FROM
    packages = where.home / "tools" / "packages"
    script = next((word for word in start.argv[1:] if not word.startswith("--")), "")  # an interpreter may have options
    if packages in Path(script).parents:  # of an installed package
        yield from needed(Path(script), search_path)
