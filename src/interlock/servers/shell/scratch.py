"""The folder of the server itself, outside of the root: copies, private homes of commands, effects that are held.

Below it each root has a folder of its own: `held` is shared by all servers of that root and outlives them; every server
has a folder with a lock that ends with it, so that the next one can tell what was left behind by one that was killed.
"""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interlock.servers.shell.shadow import remove_tree
from interlock.servers.workspace.root import Root, try_lock

_OWN = "server-"


class Scratch:
    """One server's part of the scratch folder.

    Args:
        base: the scratch folder; made if it is missing.
        root: the folder that is served, its real path.

    Attributes:
        around: the root's folder below it, held open; what is in it outlives the server.

    Raises:
        OSError: it can't be made.
        Exhausted: another server is cleaning up in it and does not get done.
    """

    def __init__(self, base: Path, root: Path) -> None:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = base.resolve() / hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
        folder.mkdir(mode=0o700, exist_ok=True)
        self.held = folder / "held"
        self.own = folder / f"{_OWN}{secrets.token_hex(8)}"
        self.around = Root(folder)
        with self.around.exclusive():  # so that nobody sweeps a folder away between its making and its lock
            _sweep(folder)
            self.own.mkdir(mode=0o700)
            self._lock = os.open(self.own, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try_lock(self._lock)

    def close(self) -> None:
        """Remove what belongs to this server alone."""
        remove_tree(self.own)
        os.close(self._lock)
        self.around.close()

    def new_folder(self) -> Path:
        """An empty folder on the disk of the copy."""
        folder = self.own / f"new-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        return folder

    @contextmanager
    def home(self) -> Iterator[Path]:
        """An empty folder for one command, removed afterwards."""
        folder = self.own / f"home-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            remove_tree(folder)


def _sweep(folder: Path) -> None:
    """Remove what servers left behind that were killed."""
    for other in folder.glob(f"{_OWN}*"):
        try:
            fd = os.open(other, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if try_lock(fd):
                remove_tree(other)
        finally:
            os.close(fd)
