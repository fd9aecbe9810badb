"""A cluster of the system's own Postgres, as a database administrator would hand it over: TCP, passwords, roles."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from interlock.store import PostgresBinaries

SYSTEM = Path("/usr/lib/postgresql")
# Every character that a URL or a keyword string gives a meaning of its own, and a word to look for in what is said.
PASSWORD = "p@ss:w/rd %canary'7f3a\\"
READY_S = 30.0


@dataclass(frozen=True)
class Cluster:
    """A running server on a port of the loopback interface, with password authentication."""

    port: int
    version: int

    def dsn(self, user: str, database: str, *, url: bool = True, password: str = PASSWORD) -> str:
        """How `user` reaches a database, in either form."""
        if url:
            return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"
        return make_conninfo("", host="127.0.0.1", port=self.port, user=user, password=password, dbname=database)

    def as_superuser(self, *statements: str, database: str = "postgres") -> None:
        """Run statements; `{password}` in them is the password of all roles."""
        with psycopg.connect(self.dsn("postgres", database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(sql.SQL(statement).format(password=sql.Literal(PASSWORD)))

    def ask(self, dsn: str, question: str) -> object:
        """The first value of the first row."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            row = connection.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]


@dataclass(frozen=True)
class _User:
    uid: int
    gid: int


def _server_user() -> _User | None:
    """Root's server runs as somebody else, as Postgres demands."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "interlock-pg", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return _User(entry.pw_uid, entry.pw_gid)
    pytest.skip("as root, Postgres needs another user, and there is none: useradd --system postgres")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(binaries: PostgresBinaries, folder: Path, port: int, who: _User | None) -> "subprocess.Popen[bytes]":
    data = str(folder / "data")
    options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:

        def run(command: Sequence[str]) -> "subprocess.Popen[bytes]":
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                user=who.uid if who else None,
                group=who.gid if who else None,
                extra_groups=[] if who else None,
            )

        initdb = [binaries.program("initdb"), "-D", data, "-U", "postgres", "--auth=scram-sha-256", "-E", "UTF8"]
        made = run([*initdb, "--locale=C", "--no-sync", f"--pwfile={folder / 'password'}"])
        assert made.wait(60) == 0, (folder / "log").read_text()
        return run([binaries.program("postgres"), "-D", data, "-p", str(port), *options])


def _wait_for(cluster: Cluster, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        assert process.poll() is None, log.read_text()
        try:
            return cluster.as_superuser("select 1")
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Debian's own Postgres, without pgvector."""
    found = sorted(SYSTEM.glob("*/bin/postgres"), key=lambda path: path.parts[-3])
    if not found:
        pytest.skip(f"{SYSTEM} holds no Postgres; this is not tested here: apt-get install postgresql")
    binaries = PostgresBinaries.find({"INTERLOCK_PG_BIN": str(found[-1].parent)})
    who = _server_user()
    folder = Path(tempfile.mkdtemp(prefix="interlock-external-"))
    try:
        (folder / "password").write_text(f"{PASSWORD}\n")
        if who:
            for path in (folder, folder / "password"):
                os.chown(path, who.uid, who.gid)
        running = Cluster(_free_port(), binaries.version)
        process = _start(binaries, folder, running.port, who)
        try:
            _wait_for(running, process, folder / "log")
            yield running
        finally:
            process.send_signal(2)  # a fast shutdown
            process.wait(30)
    finally:
        shutil.rmtree(folder)
