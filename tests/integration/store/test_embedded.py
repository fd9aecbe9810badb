"""The embedded Postgres with real processes: shared, killed, recovered, closed to other users."""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from interlock.config import ManualClock
from interlock.model import DatabaseUnavailable, DatabaseUnfit
from interlock.store.binaries import PostgresBinaries
from interlock.store.embedded import Attached, EmbeddedPostgres

pytestmark = pytest.mark.integration

AS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not AS_ROOT, reason="needs root, to become a second user or another container")
HOLDER = """
import os, sys
from pathlib import Path
from interlock.config import SystemClock
from interlock.store.binaries import PostgresBinaries
from interlock.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(
    Path(sys.argv[1]), PostgresBinaries.find({}), clock=SystemClock(), state_dir=Path(sys.argv[2])
)
with server:
    print("in", flush=True)
    sys.stdin.readline()
print("out", flush=True)
"""


class Holder:
    """Another process that uses the server."""

    def __init__(self, root: Path, state_dir: Path, *, fault: str = "", prefix: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", HOLDER, str(root), str(state_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "INTERLOCK_FAULT": fault},
            start_new_session=True,
        )

    def wait_in(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == "in\n", self.process.communicate(timeout=30)[1]

    def leave(self) -> None:
        out, err = self.process.communicate("\n", timeout=60)
        assert out == "out\n", err

    def kill(self) -> None:
        """SIGKILL to its whole session, as a closed terminal or an out-of-memory killer would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.end()

    def end(self) -> str:
        """Wait for its end; what it wrote to standard error."""
        return self.process.communicate(timeout=60)[1]


@pytest.fixture(scope="session")
def base() -> Iterator[Path]:
    """A folder that the server's own user can reach, which pytest's folders of root are not."""
    folder = Path(tempfile.mkdtemp(prefix="interlock it's ", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


class Make:
    """Makes servers whose surroundings are the test's."""

    def __init__(self, state_dir: Path, binaries: PostgresBinaries) -> None:
        self.state_dir = state_dir
        self.binaries = binaries
        self.env = {"XDG_RUNTIME_DIR": str(state_dir.parent)}

    def __call__(
        self, root: Path, *, env: Mapping[str, str] | None = None, binaries: PostgresBinaries | None = None
    ) -> EmbeddedPostgres:
        return EmbeddedPostgres(
            root, binaries or self.binaries, clock=ManualClock(), state_dir=self.state_dir, env=env or self.env
        )


@pytest.fixture(scope="session")
def make(base: Path) -> Make:
    return Make(base / "state", PostgresBinaries.find({}))


@pytest.fixture(scope="session")
def home(base: Path, make: Make) -> tuple[Path, float]:
    """A root folder whose data is made here, once; and the seconds that it took."""
    folder = base / "home" / "postgres"
    began = time.monotonic()
    with make(folder):
        return folder, time.monotonic() - began


@pytest.fixture
def root(make: Make, home: tuple[Path, float]) -> Iterator[Path]:
    """A root folder whose data is made; its server does not run before the test, and not after."""
    folder, _ = home
    yield folder
    server = make(folder)
    server.attach()
    server.detach()


def postmaster_pid(attached: Attached) -> int:
    return int((attached.data_dir / "postmaster.pid").read_text().split()[0])


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ask(conninfo: str, statement: str) -> object:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def data_root(base: Path, root: Path) -> Path:
    return base / "state" / "postgres" / (root / "cluster").read_text().strip() if AS_ROOT else root


# ---- the ordinary day --------------------


def test_the_first_start_is_quick(home: tuple[Path, float]) -> None:
    assert home[1] < 15


def test_roles_and_settings(make: Make, root: Path) -> None:
    with make(root) as attached:
        rights = "select rolsuper or rolbypassrls or rolcreatedb or rolcreaterole from pg_roles where rolname = user"
        assert ask(attached.app_conninfo, "select session_user") == "interlock_app"
        assert ask(attached.app_conninfo, rights) is False
        assert ask(attached.owner_conninfo, "select session_user") == "interlock_owner"
        assert ask(attached.owner_conninfo, rights) is False
        assert ask(attached.superuser_conninfo, rights) is True
        owner = "select datdba::regrole::text from pg_database where datname = current_database()"
        assert ask(attached.app_conninfo, owner) == "interlock_owner"
        assert ask(attached.app_conninfo, "select extname from pg_extension where extname = 'vector'") == "vector"
        for name, value in {
            "fsync": "on", "listen_addresses": "", "data_checksums": "on", "server_encoding": "UTF8",
            "max_connections": "200", "shared_buffers": "128MB", "unix_socket_permissions": "0700",
        }.items():  # fmt: skip
            assert ask(attached.app_conninfo, f"show {name}") == value
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(attached.app_conninfo, "copy (select 1) to program 'true'")
        with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
            ask(attached.conninfo("stranger"), "select 1")


def test_the_url_for_sqlalchemy(make: Make, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    with make(root) as attached:
        for user in ("interlock_owner", "interlock_app"):
            engine = sqlalchemy.create_engine(attached.sqlalchemy_url(user))
            with engine.connect() as connection:
                assert connection.execute(sqlalchemy.text("select session_user")).scalar() == user
            engine.dispose()


def test_attach_and_detach_can_be_repeated(make: Make, root: Path) -> None:
    server = make(root)
    server.detach()
    attached = server.attach()
    assert server.attach() is attached
    server.detach()
    server.detach()
    assert not (attached.data_dir / "postmaster.pid").exists()
    with server as again:
        assert ask(again.app_conninfo, "select 1") == 1


async def test_the_async_form(make: Make, root: Path) -> None:
    async with make(root) as attached:
        assert ask(attached.app_conninfo, "select 1") == 1
    assert not (attached.data_dir / "postmaster.pid").exists()


async def test_a_cancelled_wait_ends_soon_and_holds_nothing(make: Make, root: Path) -> None:
    with (root / "start.lock").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        server = make(root)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.attach_async(), 0.3)
        assert time.monotonic() - began < 5
    async with server as attached:
        assert ask(attached.app_conninfo, "select 1") == 1


def test_destroy_leaves_nothing_and_never_takes_it_from_others(base: Path, make: Make) -> None:
    folder = base / "trial" / "postgres"
    server, other = make(folder), make(folder)
    attached = server.attach()
    data = data_root(base, folder)
    other.attach()
    with pytest.raises(DatabaseUnavailable, match="still in use"):
        server.destroy()
    assert ask(attached.app_conninfo, "select 1") == 1
    other.destroy()
    left = {entry.name for entry in folder.iterdir()} | (
        {entry.name for entry in data.iterdir()} if data.exists() else set()
    )
    assert left == {"start.lock", "holders.lock"}
    with server as attached:
        assert ask(attached.app_conninfo, "select 1") == 1
    make(base / "never" / "made").destroy()


# ---- several processes --------------------


def test_processes_share_a_server_and_the_last_one_out_stops_it(base: Path, make: Make, root: Path) -> None:
    first, second = Holder(root, base / "state"), Holder(root, base / "state")
    first.wait_in()
    second.wait_in()
    server = make(root)
    pid = postmaster_pid(server.attach())
    first.leave()
    assert runs(pid)
    server.detach()
    assert runs(pid)
    second.leave()
    assert not runs(pid)


def test_the_server_inherits_no_locks_of_its_users_and_no_terminal(make: Make, root: Path) -> None:
    with make(root) as attached:
        pid = postmaster_pid(attached)
        opened = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        assert not {name for name in opened if name.endswith(("holders.lock", "start.lock"))}
        assert {Path(f"/proc/{pid}/fd/{number}").readlink() for number in (1, 2)} == {attached.log_file}
        assert os.getsid(pid) != os.getsid(0)
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"HOME=" not in environment
        assert b"LC_ALL=C\0" in environment


def test_many_start_at_once(base: Path) -> None:
    root = base / "race" / "postgres"
    holders = [Holder(root, base / "state") for _ in range(4)]
    for holder in holders:
        holder.wait_in()
    log = (data_root(base, root) / "server.log").read_text()
    assert log.count("database system is ready to accept connections") == 1
    for holder in holders:
        holder.leave()
    assert not (data_root(base, root) / "pgdata" / "postmaster.pid").exists()


def test_a_killed_holder_does_not_count(base: Path, make: Make, root: Path) -> None:
    holder = Holder(root, base / "state")
    holder.wait_in()
    with make(root) as attached:
        pid = postmaster_pid(attached)
        holder.kill()
        assert ask(attached.app_conninfo, "select 1") == 1
    assert not runs(pid)


def test_the_server_of_killed_holders_is_found_again_and_stopped(base: Path, make: Make, root: Path) -> None:
    holder = Holder(root, base / "state")
    holder.wait_in()
    pid = int((data_root(base, root) / "pgdata" / "postmaster.pid").read_text().split()[0])
    holder.kill()
    assert runs(pid)
    with make(root) as attached:
        assert postmaster_pid(attached) == pid
    assert not runs(pid)


# ---- faults --------------------


def test_rows_survive_a_killed_server(make: Make, root: Path) -> None:
    server = make(root)
    attached = server.attach()
    ask(attached.owner_conninfo, "create table if not exists kept (n int)")
    pid = postmaster_pid(attached)
    with psycopg.connect(attached.owner_conninfo, autocommit=True) as busy:
        busy.execute("insert into kept select generate_series(1, 1000)")
        os.kill(pid, signal.SIGKILL)
        other = make(root)
        again = other.attach()
    assert postmaster_pid(again) != pid
    assert ask(again.owner_conninfo, "select count(*) from kept") == 1000
    ask(again.owner_conninfo, "drop table kept")
    other.detach()
    assert runs(postmaster_pid(again))
    server.detach()


def test_a_server_that_is_killed_while_it_starts(make: Make, root: Path) -> None:
    with make(root) as attached:
        pid_file = attached.data_dir / "postmaster.pid"
        os.kill(postmaster_pid(attached), signal.SIGKILL)
    killed: list[int] = []

    def kill_the_first() -> None:
        while not killed:
            with contextlib.suppress(OSError, IndexError):
                pid = int(pid_file.read_text().split()[0])
                if runs(pid):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    with make(root) as attached:
        assert ask(attached.app_conninfo, "select 1") == 1
        assert postmaster_pid(attached) not in killed
    killer.join()


def test_a_stale_pid_that_names_a_living_process(make: Make, root: Path) -> None:
    with make(root) as attached:
        content = (attached.data_dir / "postmaster.pid").read_text().splitlines()
        lock = (attached.socket_dir / ".s.PGSQL.5432.lock").read_text().splitlines()
        os.kill(postmaster_pid(attached), signal.SIGKILL)
    owner = attached.data_dir.stat().st_uid if AS_ROOT else None
    stranger = subprocess.Popen(["sleep", "60"], cwd="/", user=owner)
    try:
        for path, lines in ((attached.data_dir / "postmaster.pid", content),
                            (attached.socket_dir / ".s.PGSQL.5432.lock", lock)):  # fmt: skip
            path.write_text("\n".join([str(stranger.pid), *lines[1:], ""]))
        with make(root) as again:
            assert ask(again.app_conninfo, "select 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("fault", ["postgres_initialised", "postgres_launched", "postgres_roles_made"])
def test_killed_at_a_step_of_the_first_start(base: Path, make: Make, fault: str) -> None:
    root = base / fault / "postgres"
    holder = Holder(root, base / "state", fault=fault)
    holder.end()
    assert holder.process.returncode == -signal.SIGKILL
    with make(root) as attached:
        assert ask(attached.app_conninfo, "select 1") == 1
    assert not list(data_root(base, root).glob("pgdata.tmp"))


def test_killed_while_initdb_works(base: Path, make: Make) -> None:
    root = base / "killed-early" / "postgres"
    holder = Holder(root, base / "state")
    deadline = time.monotonic() + 30
    while not list(base.glob("state/postgres/*/pgdata.tmp/base") if AS_ROOT else root.glob("pgdata.tmp/base")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(holder.process.pid, signal.SIGKILL)
    holder.end()
    with make(root) as attached:
        assert ask(attached.app_conninfo, "select 1") == 1


def test_a_server_of_another_container_is_left_alone(base: Path, make: Make, root: Path) -> None:
    with (data_root(base, root) / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        json.dump({"where": "elsewhere", "host": "container-7"}, lock)
        lock.flush()
        with pytest.raises(DatabaseUnavailable, match=r"another container \(container-7\)"):
            make(root).attach()


@only_root
def test_a_real_container_finds_the_server_of_the_host(base: Path, make: Make, root: Path) -> None:
    apart = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a namespace of process ids")
    with make(root) as attached:
        said = Holder(root, base / "state", prefix=apart).end()
        assert "in another container" in said
        assert ask(attached.app_conninfo, "select 1") == 1


def test_data_of_another_version(make: Make, base: Path, root: Path) -> None:
    version = data_root(base, root) / "pgdata" / "PG_VERSION"
    before = version.read_text()
    version.write_text("16\n")
    try:
        with pytest.raises(DatabaseUnfit, match=r"made by Postgres 16, but the programs in .* are Postgres 18"):
            make(root).attach()
    finally:
        version.write_text(before)


def test_a_server_that_can_not_start_shows_its_log(make: Make, base: Path, root: Path) -> None:
    extra = data_root(base, root) / "pgdata" / "postgresql.auto.conf"
    before = extra.read_text()
    extra.write_text("shared_preload_libraries = 'no_such_thing'\n")
    try:
        with pytest.raises(DatabaseUnavailable, match=r"(?s)server\.log ends with:.*no_such_thing") as caught:
            make(root).attach()
        assert caught.value.retryable
    finally:
        extra.write_text(before)


# ---- places and other users --------------------


@pytest.mark.parametrize("name", ["with space", "with,comma", 'it\'s "quoted" $HOME \\ %s ü', "x" * 120])
def test_unusual_paths(make: Make, base: Path, name: str) -> None:
    with make(base / name / "postgres") as attached:
        assert ask(attached.app_conninfo, "select 1") == 1
        engine = sqlalchemy.create_engine(attached.sqlalchemy_url())
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1
        engine.dispose()
        for folder in (attached.socket_dir, attached.data_dir):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(AS_ROOT, reason="root's socket is in the state folder")
def test_a_socket_folder_of_another_makes_no_server(make: Make, tmp_path: Path) -> None:
    short = Path(tempfile.mkdtemp(dir="/tmp"))
    trap = short / f"interlock-{os.geteuid()}"
    trap.mkdir()
    trap.chmod(0o777)
    try:
        with pytest.raises(DatabaseUnfit, match=r"only you may enter.*has mode 0777"):
            make(tmp_path / ("y" * 120), env={"XDG_RUNTIME_DIR": str(short)}).attach()
    finally:
        shutil.rmtree(short)


def test_no_mode_of_a_folder_above_changes(make: Make, tmp_path: Path) -> None:
    home = tmp_path / "closed" / "home"
    home.mkdir(parents=True)
    home.chmod(0o700)
    home.parent.chmod(0o750)
    parents = [home, *home.parents, Path("/var/lib"), Path("/tmp")]
    before = [(parent, parent.stat().st_mode, parent.stat().st_uid) for parent in parents]
    with make(home / "postgres"):
        pass
    assert before == [(parent, parent.stat().st_mode, parent.stat().st_uid) for parent in parents]
    assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700


@only_root
def test_the_server_of_root_runs_as_somebody_else(make: Make, root: Path) -> None:
    with make(root) as attached:
        status = Path(f"/proc/{postmaster_pid(attached)}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert "0" not in fields["Uid"].split() + fields["Gid"].split()
        assert "0" not in fields["Groups"].split()
        assert int(fields["CapEff"], 16) == 0


@only_root
def test_another_user_is_refused(make: Make, root: Path) -> None:
    with make(root) as attached:
        query = [str(attached.bin_dir / "psql"), "-h", str(attached.socket_dir), "-d", "interlock", "-c", "select 1"]

        def refused(role: str) -> str:
            done = subprocess.run(
                [*query, "-U", role], user="nobody", group=65534, extra_groups=[], cwd="/", env={"LC_ALL": "C"},
                capture_output=True, text=True, timeout=30, check=False,
            )  # fmt: skip
            assert done.returncode == 2, done.stdout
            return done.stderr

        assert "Permission denied" in refused("interlock_app")
        opened = [attached.socket_dir.parent, attached.socket_dir, attached.socket_dir / ".s.PGSQL.5432"]
        modes = [path.stat().st_mode for path in opened]
        try:
            for path in opened:
                path.chmod(0o777)
            for role in ("postgres", "interlock_owner", "interlock_app", "nobody"):
                assert "Peer authentication failed" in refused(role)
        finally:
            for path, mode in zip(opened, modes, strict=True):
                path.chmod(stat.S_IMODE(mode))


@only_root
def test_a_root_folder_of_another_user_is_refused(make: Make, base: Path) -> None:
    folder = base / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(DatabaseUnfit, match="it belongs to nobody"):
        make(folder).attach()


@only_root
def test_a_new_root_never_gets_the_data_of_a_deleted_one(make: Make, base: Path) -> None:
    root = base / "again" / "postgres"
    with make(root) as attached:
        first = attached.data_dir
    shutil.rmtree(root)
    with make(root) as attached:
        assert attached.data_dir != first
        assert attached.data_dir.parent.name == f"{first.parent.name}-2"


@pytest.mark.skipif(not Path("/usr/lib/postgresql/15/bin/postgres").exists(), reason="no Debian Postgres 15 here")
def test_debians_postgres_15(make: Make, base: Path) -> None:
    debian = PostgresBinaries.find({"INTERLOCK_PG_BIN": "/usr/lib/postgresql/15/bin"})
    with make(base / "debian" / "postgres", binaries=debian) as attached:
        assert str(ask(attached.app_conninfo, "show server_version_num")).startswith("15")
        assert ask(attached.app_conninfo, "show data_checksums") == "on"
