"""Where the tool host of a project listens: a folder of the state folder that only its owner can enter."""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interlock.tools.host.frames import Frames

_SOCKET, _LOCK, LOG = "socket", "lock", "host.log"


@dataclass(frozen=True)
class Place:
    """The tool host's folder.

    Attributes:
        folder: holds the socket, the lock and the log; servers have their homes below it.
    """

    folder: Path

    @classmethod
    def of(cls, home: Path, project: Path) -> "Place":
        """The place of a project's tool host below a state folder."""
        name = hashlib.sha256(os.fspath(project.absolute()).encode()).hexdigest()[:12]
        return cls(home / "tools" / name)

    def make(self) -> None:
        """Make the folder, for its owner alone.

        Raises:
            OSError: it can't be made.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    @property
    def log(self) -> Path:
        """What the tool host writes to its standard error."""
        return self.folder / LOG

    @contextmanager
    def only_one(self) -> Iterator[bool]:
        """Hold the place; False when another tool host holds it. The kernel gives it back when the holder dies."""
        lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(lock)

    @contextmanager
    def _short(self) -> Iterator[str]:
        """The socket's path by way of an open folder: a socket's path may have some hundred bytes only."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}/{_SOCKET}"
        finally:
            os.close(descriptor)

    async def listen(self, answer: Callable[[Frames], Awaitable[None]]) -> asyncio.Server:
        """Listen; only whoever holds the place may.

        Raises:
            OSError: it can't be listened to.
        """
        (self.folder / _SOCKET).unlink(missing_ok=True)

        async def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await answer(Frames(reader, writer))

        with self._short() as path:
            return await asyncio.start_unix_server(arrived, path)

    async def connect(self) -> Frames:
        """Reach the tool host.

        Raises:
            OSError: nobody listens.
        """
        with self._short() as path:
            reader, writer = await asyncio.open_unix_connection(path)
        return Frames(reader, writer)
