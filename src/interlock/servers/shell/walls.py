"""How commands are confined: from the server's options and one request to what is started."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from interlock.model import UserError
from interlock.sandbox import Confinement, Means, confined
from interlock.servers.shell.limits import TIMEOUT_S
from interlock.servers.shell.running import Order
from interlock.servers.workspace.paths import Parts, named, parse_path
from interlock.servers.workspace.root import Root, kind_of

BASH = Path("/bin/bash")


@dataclass(frozen=True)
class Request:
    """One call of `run`, checked.

    Attributes:
        args: as they were given.
        cwd: the folder to start in, below the root, without links.
    """

    args: dict[str, Any]
    command: str
    stdin: str
    cwd: Parts
    timeout_s: float

    @classmethod
    def read(cls, root: Root, args: Mapping[str, Any]) -> Self:
        """Take arguments that fit the schema.

        Raises:
            UserError: the folder to start in is none, or lies outside.
        """
        command = args["command"]
        if "\0" in command:
            raise UserError("The command holds a NUL character; remove it.")
        asked = parse_path(args.get("cwd", "."))
        cwd = root.resolve(asked)
        info = root.lstat(cwd)
        if info is None or kind_of(info) != "dir":
            raise UserError(f"'cwd' {named(asked)} is no folder; name one inside the root, or leave it out.")
        return cls(dict(args), command, args.get("stdin", ""), cwd, float(args.get("timeout_s", TIMEOUT_S)))


@dataclass(frozen=True)
class Walls:
    """What every command may do.

    Attributes:
        root: the folder that commands work in, its real path.
        means: what confines them.
        network: whether they may use the network.
        memory_mb: of one process.
        processes: the most processes and threads.
        read: what they may read beside the system and the root.
        hidden: what they never see.
    """

    root: Path
    means: Means
    network: bool = False
    memory_mb: int | None = None
    processes: int | None = None
    read: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()

    @property
    def apart(self) -> frozenset[Parts]:
        """Hidden places inside the root, as paths below it: they are in no copy."""
        inside = (path.resolve() for path in self.hidden if self._inside(path))
        return frozenset(place.relative_to(self.root).parts for place in inside)

    def _inside(self, path: Path) -> bool:
        return self.root in path.resolve().parents

    def order(self, request: Request, home: Path, copy: Path | None) -> Order:
        """What to start for a request.

        Args:
            request: the call.
            home: an empty folder, the command's home.
            copy: what is shown in the place of the root; without it the root itself may be changed.

        Raises:
            ToolUnavailable: it can't be confined.
        """
        confinement = Confinement(
            read=self.read,
            write=() if copy is not None else (self.root,),
            home=home,
            network=self.network,
            memory_mb=self.memory_mb,
            processes=self.processes,
            binds=() if copy is None else ((copy, self.root),),
            # What is hidden inside the root is not in the copy, so there is nothing to hide.
            hidden=self.hidden if copy is None else tuple(path for path in self.hidden if not self._inside(path)),
        )
        cwd = self.root.joinpath(*request.cwd)
        argv = confined(_shell(request.command), confinement, cwd=cwd, means=self.means)
        return Order(
            argv=argv,
            env=environment(home),
            cwd=Path("/") if self.means is Means.BUBBLEWRAP else cwd,
            stdin=request.stdin,
            timeout_s=request.timeout_s,
            disk=copy or self.root,
        )


def environment(home: Path) -> dict[str, str]:
    """All that commands inherit; git is asked not to write when it only looks."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "HOME": str(home),
        "TERM": "dumb",
        "GIT_OPTIONAL_LOCKS": "0",
    }


def _shell(command: str) -> tuple[str, ...]:
    if BASH.is_file():
        return (str(BASH), "--noprofile", "--norc", "-c", command)
    return ("/bin/sh", "-c", command)
