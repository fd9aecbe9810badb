"""The embedded Postgres: several processes share one server, any of them starts it, the last one out stops it.

Who uses the server holds a shared lock on `holders.lock`; start and stop happen under `start.lock`. The kernel drops
a killed process's locks, so nothing has to be cleaned up after it: the next one in finds the server and uses it.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from interlock.config import Clock
from interlock.model import DatabaseUnavailable
from interlock.store.binaries import PostgresBinaries
from interlock.store.database import APP_ROLE
from interlock.store.embedded_arrival import DATABASE, READY_S, Arrival
from interlock.store.embedded_locks import POLL_S, exclusive, open_lock, release, try_lock
from interlock.store.embedded_places import STATE_DIR, copy_shelf, places_for, prepare_root
from interlock.store.embedded_server import BOOTSTRAP_ROLE, OWNER_ROLE, PORT, Server

TURN_S = READY_S + 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attached:
    """The way to the running server.

    Attributes:
        socket_dir: Folder of its socket.
        data_dir: Postgres's data folder.
        log_file: What the server says.
        bin_dir: Folder of the programs that fit the server, such as `pg_dump`.
        version: Its major version.
    """

    socket_dir: Path
    data_dir: Path
    log_file: Path
    bin_dir: Path
    version: int

    @property
    def owner_conninfo(self) -> str:
        """Connection string for the role that owns the database and migrates it."""
        return self.conninfo(OWNER_ROLE)

    @property
    def app_conninfo(self) -> str:
        """Connection string for the role that the program works as."""
        return self.conninfo(APP_ROLE)

    @property
    def superuser_conninfo(self) -> str:
        """Connection string for the bootstrap superuser; for backup and repair only."""
        return self.conninfo(BOOTSTRAP_ROLE)

    def conninfo(self, user: str, database: str = DATABASE) -> str:
        """Connection string in libpq's keyword form."""
        from psycopg.conninfo import make_conninfo

        return make_conninfo("", host=str(self.socket_dir), port=PORT, dbname=database, user=user)

    def sqlalchemy_url(self, user: str = OWNER_ROLE) -> str:
        """The same as a URL for SQLAlchemy with the psycopg driver."""
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql+psycopg://{user}@/{DATABASE}?host={host}&port={PORT}"


class EmbeddedPostgres:
    """This process's part in the server of one root folder.

    Use `with` or `async with`, or `attach` and `detach`; from several threads if needed. The server outlives a
    process that dies without `detach`; the next one that attaches and detaches stops it.
    """

    def __init__(
        self,
        root: Path,
        binaries: PostgresBinaries,
        *,
        clock: Clock,
        report: Callable[[str], None] | None = None,
        state_dir: Path = STATE_DIR,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing starts yet.

        Args:
            root: Folder of this server, made if missing; the data is in it, unless this process is root.
            binaries: The Postgres programs.
            clock: Tells the time of the start, for people.
            report: Gets a sentence when something takes longer; by default it is logged.
            state_dir: The system's state folder; holds the data if this process is root.
            env: The environment; `XDG_RUNTIME_DIR` and `TMPDIR` say where a short socket folder can be.
        """
        self.root = root.absolute()
        self._binaries = binaries
        self._clock = clock
        self._report = report or _log_it
        self._state_dir = state_dir
        self._env = os.environ if env is None else env
        self._mutex = threading.Lock()
        self._give_up = threading.Event()
        self._holder: int | None = None
        self._server: Server | None = None
        self._attached: Attached | None = None

    # ---- in and out --------------------

    def attach(self) -> Attached:
        """Use the server, starting it if it does not run; again after a first time, the same answer.

        Waits up to 300 s for a server that recovers after a crash.

        Raises:
            DatabaseUnavailable: It does not start, or another machine or container runs it.
            DatabaseUnfit: The data is of another version or belongs to another user.
        """
        with self._mutex:
            if self._attached is None:
                prepare_root(self.root)
                with self._turn(self._pause):
                    self._attached = self._attach_in_turn()
            return self._attached

    def detach(self) -> None:
        """Stop using the server; the last one out stops it. Harmless if not attached.

        Raises:
            DatabaseUnavailable: Another process is busy starting or stopping the server for minutes.
        """
        with self._mutex:
            if self._holder is None:
                return
            try:
                with self._turn(_sleep):
                    self._leave_in_turn()
            finally:
                self._forget()

    def destroy(self) -> None:
        """Detach, stop the server and delete its data for ever; for trials whose folder is thrown away.

        As root the data is not below the root folder, so deleting that folder alone would leave it behind.

        Raises:
            DatabaseUnavailable: Another process still uses the server, or it does not stop; nothing is deleted.
        """
        self.detach()
        if not self.root.is_dir():
            return
        with self._mutex, self._turn(_sleep):
            prepare_root(self.root)
            server = Server(places_for(self.root, self._state_dir, self._env), self._clock, self._report)
            holder = open_lock(self.root / "holders.lock")
            try:
                if not try_lock(holder) or not server.stop(_sleep) or not server.delete():
                    raise DatabaseUnavailable(f"the database in {self.root} is still in use, so it is not deleted")
            finally:
                release(holder)

    async def attach_async(self) -> Attached:
        """`attach` without blocking the event loop; cancelling it also ends a wait for the server, soon."""
        try:
            return await asyncio.to_thread(self.attach)
        except asyncio.CancelledError:
            self._give_up.set()
            await asyncio.shield(asyncio.to_thread(self._abandon))
            raise

    async def detach_async(self) -> None:
        """`detach` without blocking the event loop."""
        await asyncio.to_thread(self.detach)

    def __enter__(self) -> Attached:
        return self.attach()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    async def __aenter__(self) -> Attached:
        return await self.attach_async()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.detach_async()

    # ---- with the start lock held --------------------

    def _attach_in_turn(self) -> Attached:
        places = places_for(self.root, self._state_dir, self._env)
        self._server = Server(places, self._clock, self._report)
        self._server.check_version(self._binaries)
        self._holder = open_lock(self.root / "holders.lock")
        try:
            # Nobody holds it exclusively outside of the start lock.
            try_lock(self._holder, shared=True)
            binaries = self._runnable(self._server)
            socket_dir = Arrival(self._server, binaries, self._report, self._pause).wait()
        except BaseException:
            self._leave_in_turn()
            self._forget()
            raise
        return Attached(socket_dir, places.pgdata, places.log_file, binaries.bin_dir, binaries.version)

    def _runnable(self, server: Server) -> PostgresBinaries:
        """The programs, in a place where the server's user may run them."""
        if not server.places.server.foreign:
            return self._binaries
        return self._binaries.copied_to(copy_shelf(self._state_dir))

    def _leave_in_turn(self) -> None:
        """Let go of the server; stop it if no other holder is left."""
        if self._server is None or self._holder is None:
            return
        last = try_lock(self._holder)
        if last and not self._server.stop(_sleep):
            self._report(f"Postgres can't be stopped; {self._server.log_tail()}")

    def _forget(self) -> None:
        if self._holder is not None:
            release(self._holder)
        self._holder = None
        self._attached = None
        self._server = None

    def _abandon(self) -> None:
        """After a cancelled attach: whether it came to its end or not, nothing is held."""
        self.detach()
        self._give_up.clear()

    def _turn(self, pause: Callable[[], None]) -> AbstractContextManager[None]:
        what = f"starting or stopping the database in {self.root}"
        return exclusive(self.root / "start.lock", TURN_S, what, pause)

    def _pause(self) -> None:
        if self._give_up.wait(POLL_S):
            raise DatabaseUnavailable("the wait for Postgres was given up")


def _sleep() -> None:
    time.sleep(POLL_S)


def _log_it(sentence: str) -> None:
    _log.info("embedded_postgres", extra={"said": sentence})
