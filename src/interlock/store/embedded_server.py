"""One Postgres server process: its data folder, its settings, start, signs of life, stop.

Call everything here with the start lock held. The server inherits a locked descriptor of `server.lock`, and so do
all its backends: the lock is free exactly when none of them lives, also after a SIGKILL, in whatever container.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interlock.config import Clock, fault_point
from interlock.model import DatabaseUnavailable, DatabaseUnfit
from interlock.store.binaries import PostgresBinaries
from interlock.store.database import APP_ROLE
from interlock.store.embedded_locks import open_lock, release, try_lock
from interlock.store.embedded_places import DEDICATED_USER, Places

BOOTSTRAP_ROLE = "postgres"
OWNER_ROLE = "interlock_owner"
PORT = 5432
INITDB_TIMEOUT_S = 300.0
LAUNCH_TIMEOUT_S = 30.0
STOP_FAST_S = 30.0
STOP_NOW_S = 10.0
LOG_BYTES = 10_000_000
_TAIL_BYTES = 4_000
_TAIL_LINES = 8
_CONF = "interlock.conf"
_INCLUDE = f"\ninclude_if_exists = '{_CONF}'\n"
_SETTINGS = """\
# Written by interlock at every start; put your own settings into postgresql.conf.
listen_addresses = ''
port = {port}
unix_socket_directories = {socket_dir}
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = '128MB'
max_wal_size = '512MB'
fsync = on
synchronous_commit = on
full_page_writes = on
jit = off
# A killed worker's long query must not hold its locks until it ends.
client_connection_check_interval = '10s'
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] %q%u@%d '
logging_collector = off
log_destination = 'stderr'
# Statements and their values belong to the tasks, not into a log.
log_error_verbosity = terse
log_min_error_statement = panic
"""
_HBA = """\
# Written by interlock at every start.
local all         all peer map=own
local replication all peer map=own
"""


@dataclass(frozen=True)
class Postmaster:
    """What `postmaster.pid` says: the server's process id, and the folder of its socket once it has one."""

    pid: int
    socket_dir: Path | None


class Server:
    """The server of one data folder."""

    def __init__(self, places: Places, clock: Clock, report: Callable[[str], None]) -> None:
        self.places = places
        self._clock = clock
        self._report = report
        self._log_from = 0

    # ---- signs of life --------------------

    def postmaster(self) -> Postmaster | None:
        """The living server process of this data folder, by `postmaster.pid`; a zombie is dead."""
        try:
            lines = (self.places.pgdata / "postmaster.pid").read_text(errors="surrogateescape").splitlines()
            pid = int(lines[0])
        except (OSError, ValueError, IndexError):
            return None
        if not self._works_here(pid):
            return None
        return Postmaster(pid, Path(lines[4]) if len(lines) > 4 and lines[4] else None)

    def _works_here(self, pid: int) -> bool:
        """The process lives and its current folder is the data folder: no other program's is."""
        try:
            # The name in brackets may hold anything; the state is the first letter after it.
            state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            here = Path(f"/proc/{pid}/cwd").stat()
            return state not in "ZX" and os.path.samestat(here, self.places.pgdata.stat())
        except (OSError, IndexError):
            return False

    def _processes(self) -> list[int]:
        """Ids of all living processes whose current folder is the data folder."""
        return [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdecimal() and self._works_here(int(entry.name))
        ]

    def take_lock(self) -> int | None:
        """Lock `server.lock`; None while any process of a server, ours or another container's, holds it."""
        descriptor = open_lock(self.places.server_lock)
        if try_lock(descriptor):
            if not self._processes():
                return descriptor
            release(descriptor)
        else:
            os.close(descriptor)
        return None

    def foreign_holder(self) -> str | None:
        """Name of the other machine or container that runs a server on this data, by the note in the lock."""
        try:
            note = json.loads(self.places.server_lock.read_text())
            return None if note["where"] == _where() else str(note["host"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    # ---- start --------------------

    def check_version(self, binaries: PostgresBinaries) -> None:
        """Refuse data of another major version.

        Raises:
            DatabaseUnfit: The programs can't use the data folder.
        """
        if not self.places.pgdata.exists():
            return
        try:
            found = (self.places.pgdata / "PG_VERSION").read_text().strip()
        except OSError as error:
            raise DatabaseUnfit(
                f"{self.places.pgdata} is not a Postgres data folder that can be read: {error}"
            ) from error
        if found != str(binaries.version):
            raise DatabaseUnfit(
                f"the database in {self.places.pgdata} was made by Postgres {found}, but the programs in "
                f"{binaries.bin_dir} ({binaries.source}) are Postgres {binaries.version}",
                hint=f"set INTERLOCK_PG_BIN to the programs of Postgres {found}, or: interlock db upgrade",
            )

    def start(self, binaries: PostgresBinaries, lock: int) -> None:
        """Start the server on its data, which is made first if there is none; does not wait until it is ready.

        Args:
            binaries: Programs that the server's user may run.
            lock: From `take_lock`; inherited by the server. The caller closes its own copy, without unlocking.

        Raises:
            DatabaseUnavailable: A program failed.
        """
        note = {"where": _where(), "host": socket.gethostname(), "since": self._clock.now().isoformat()}
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(note).encode(), 0)
        self._log_from = self._rotate_log()
        if not self.places.pgdata.exists():
            self._init(binaries, lock)
        self._own_data()
        self._remove_stale()
        self._write_settings(self.places.pgdata)
        # The shell's "&" gives the server to init: it is no child of ours that someone would have to wait for.
        command = ["/bin/sh", "-c", '"$0" "$@" &', binaries.program("postgres"), "-D", str(self.places.pgdata)]
        self._run(command, lock, LAUNCH_TIMEOUT_S)
        fault_point("postgres_launched")

    def _init(self, binaries: PostgresBinaries, lock: int) -> None:
        """Make the data in `pgdata.tmp`, then rename: `pgdata` is complete or not there."""
        self._report("making the database folder, once")
        unfinished = self.places.data_root / "pgdata.tmp"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        os.chown(unfinished, self.places.server.uid, self.places.server.gid)
        locale = ["--locale=C"]
        if binaries.version >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = [binaries.program("initdb"), "-D", str(unfinished), f"--username={BOOTSTRAP_ROLE}"]
        command += ["--encoding=UTF8", *locale, "--data-checksums", "--auth-local=peer"]
        command += ["--auth-host=scram-sha-256", "--no-instructions"]
        if self._run(command, lock, INITDB_TIMEOUT_S) != 0:
            raise DatabaseUnavailable(f"initdb failed; {self.log_tail()}")
        conf = unfinished / "postgresql.conf"
        self._write(conf, conf.read_text() + _INCLUDE)
        self._write_settings(unfinished)
        fault_point("postgres_initialised")
        unfinished.rename(self.places.pgdata)
        _sync_folder(self.places.data_root)

    def _run(self, command: list[str], lock: int, timeout_s: float) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        log = os.open(self.places.log_file, flags, 0o600)
        try:
            return self.places.server.run(
                command, cwd=self.places.data_root, log=log, keep=(lock,), timeout_s=timeout_s
            )
        finally:
            os.close(log)

    def _own_data(self) -> None:
        """Give the data to the server's user, where the user database of the system has changed since."""
        server = self.places.server
        if not server.foreign or self.places.pgdata.lstat().st_uid == server.uid:
            return
        for _, _, names, folder in os.fwalk(self.places.pgdata):
            os.fchown(folder, server.uid, server.gid)
            for name in names:
                os.chown(name, server.uid, server.gid, dir_fd=folder, follow_symlinks=False)

    def _remove_stale(self) -> None:
        """Remove what a killed server left; no process of it lives, whatever its recorded id names today."""
        (self.places.pgdata / "postmaster.pid").unlink(missing_ok=True)
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (self.places.socket_dir / name).unlink(missing_ok=True)

    def _write_settings(self, pgdata: Path) -> None:
        socket_dir = str(self.places.socket_dir).replace('"', '""')
        quoted = "'" + f'"{socket_dir}"'.replace("\\", "\\\\").replace("'", "''") + "'"
        self._write(pgdata / _CONF, _SETTINGS.format(port=PORT, socket_dir=quoted))
        self._write(pgdata / "pg_hba.conf", _HBA)
        self._write(pgdata / "pg_ident.conf", self._ident())

    def _ident(self) -> str:
        users = [self.places.client]
        if self.places.server.foreign and self.places.server.name == DEDICATED_USER:
            users.append(DEDICATED_USER)
        quoted = ['"' + name.replace('"', '""') + '"' for name in users]
        lines = [f"own {user} {role}" for user in quoted for role in (BOOTSTRAP_ROLE, OWNER_ROLE, APP_ROLE)]
        return "\n".join(["# Written by interlock at every start.", *lines, ""])

    def _write(self, path: Path, text: str) -> None:
        """Replace a file of the server in one step; never writes through a link that its user may have made."""
        fresh = path.with_name(f"{path.name}.tmp")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchown(descriptor, self.places.server.uid, self.places.server.gid)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        fresh.rename(path)

    # ---- log --------------------

    def _rotate_log(self) -> int:
        """Keep one old log; the size of the present one in bytes."""
        try:
            size = self.places.log_file.stat().st_size
        except FileNotFoundError:
            return 0
        if size < LOG_BYTES:
            return size
        self.places.log_file.rename(self.places.log_file.with_suffix(".log.1"))
        return 0

    def log_since_start(self) -> str:
        """The last part of what the server said since `start`."""
        try:
            with self.places.log_file.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_from, size - _TAIL_BYTES))
                return log.read(_TAIL_BYTES).decode(errors="replace")
        except OSError:
            return ""

    def log_tail(self) -> str:
        """The log's name and last lines, for an error's sentence."""
        lines = self.log_since_start().splitlines()[-_TAIL_LINES:]
        return f"the log {self.places.log_file} ends with:\n" + "\n".join(lines or ["(nothing)"])

    # ---- stop --------------------

    def stop(self, pause: Callable[[], None]) -> bool:
        """Stop the server if it runs: fast, and at once where that takes too long. False if it still lives."""
        for number, wait_s in ((signal.SIGINT, STOP_FAST_S), (signal.SIGQUIT, STOP_NOW_S)):
            running = self.postmaster()
            if running is None:
                return True
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, number)
            deadline = time.monotonic() + wait_s
            while time.monotonic() < deadline:
                if not self._works_here(running.pid):
                    return True
                pause()
            self._report(f"Postgres (process {running.pid}) has not stopped {wait_s:.0f} s after {number.name}")
        return self.postmaster() is None

    def delete(self) -> bool:
        """Delete the data, the log and the socket's folder of a stopped server. False if a process of it lives."""
        lock = self.take_lock()
        if lock is None:
            return False
        places = self.places
        if places.data_root != places.root:
            (places.root / "cluster").unlink(missing_ok=True)
        for folder in (places.pgdata, places.data_root / "pgdata.tmp", places.socket_dir):
            if folder.exists():
                shutil.rmtree(folder)
        for file in (places.log_file, places.log_file.with_suffix(".log.1"), places.server_lock):
            file.unlink(missing_ok=True)
        if places.data_root != places.root:
            places.data_root.rmdir()
        release(lock)
        return True


def _where() -> str:
    """Tells apart machines, their boots, and containers with process ids of their own."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
