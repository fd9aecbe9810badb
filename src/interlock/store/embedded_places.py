"""Whose server it is and where its files are: the user it runs as, its data folder, its socket folder.

An ordinary user has everything below the root folder. Root's server must run as someone else, who can't enter
root's home; so its data is below the system's state folder. No folder that was there before changes its mode.
"""

import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from interlock.model import DatabaseUnavailable, DatabaseUnfit

STATE_DIR = Path("/var/lib/interlock")
DEDICATED_USER = "interlock-pg"
OTHER_USERS = ("postgres", "nobody")
# A socket's full name has at most 107 bytes, and Postgres appends 14 to the folder.
SOCKET_DIR_BYTES = 90
# In any other path something between here and the driver reads a character as its own: a comma parts hosts.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._ '-]*")
_USERADD_TIMEOUT_S = 30.0
_USERADD_TRIES = 5


@dataclass(frozen=True)
class ServerUser:
    """The operating system's user that the server runs as.

    Attributes:
        name: Its name in the user database.
        uid: Its user id.
        gid: Its group id.
        foreign: It is not the user of this process; privileges are dropped before a program starts.
    """

    name: str
    uid: int
    gid: int
    foreign: bool

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        log: int,
        keep: tuple[int, ...] = (),
        timeout_s: float | None = None,
    ) -> int:
        """Run a program as this user with a clean environment, in a session of its own; its exit status.

        Args:
            command: Full path of the program, then its arguments.
            cwd: Folder that this user may enter.
            log: Open descriptor that receives all output.
            keep: Descriptors that stay open in the program; all others are closed.
            timeout_s: Longest run.

        Raises:
            DatabaseUnavailable: It can't be started, or took too long.
        """
        try:
            return subprocess.run(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                pass_fds=keep,
                start_new_session=True,
                timeout=timeout_s,
                umask=0o077,
                user=self.uid if self.foreign else None,
                group=self.gid if self.foreign else None,
                extra_groups=[] if self.foreign else None,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise DatabaseUnavailable(f"{command[0]} took longer than {timeout_s} s") from error
        except OSError as error:
            raise DatabaseUnavailable(
                f"{command[0]} can't be started as the user {self.name}: {error}",
                hint="run interlock as an ordinary user, or set INTERLOCK_DATABASE_URL to a Postgres of yours",
            ) from error


@dataclass(frozen=True)
class Places:
    """Where everything of one embedded server is.

    Attributes:
        root: The folder named by the caller; holds the locks of those who use the server.
        data_root: Holds `pgdata`, the log, and the lock that lives as long as the server; `root` itself, or for
            root a folder of the system's state.
        socket_dir: Folder of the socket that a new server makes; a running one may use another.
        client: Name of the operating system's user of this process.
        server: The user that the server runs as.
    """

    root: Path
    data_root: Path
    socket_dir: Path
    client: str
    server: ServerUser

    @property
    def pgdata(self) -> Path:
        """Postgres's own data folder."""
        return self.data_root / "pgdata"

    @property
    def log_file(self) -> Path:
        """What the server says."""
        return self.data_root / "server.log"

    @property
    def server_lock(self) -> Path:
        """Locked by the server's own processes, so for exactly as long as one of them lives."""
        return self.data_root / "server.lock"


def prepare_root(root: Path) -> None:
    """Make the root folder if it is missing, and refuse another user's.

    Raises:
        DatabaseUnfit: It is not a folder, or not ours.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = root.lstat().st_uid
    except OSError as error:
        raise DatabaseUnfit(f"{root} can't be used as a folder: {error}", hint="set INTERLOCK_HOME") from error
    if owner != os.geteuid() or not stat.S_ISDIR(root.lstat().st_mode):
        raise DatabaseUnfit(
            f"{root} is not a folder of the user {_name_of(os.geteuid())}; it belongs to {_name_of(owner)}",
            hint="run interlock as that user, or set INTERLOCK_HOME to a folder of your own",
        )


def places_for(root: Path, state_dir: Path, env: Mapping[str, str]) -> Places:
    """Find or make the folders of the server of `root`; call it with the start lock held.

    Args:
        root: Absolute path, made by `prepare_root`.
        state_dir: The system's state folder; only used by root.
        env: `XDG_RUNTIME_DIR` and `TMPDIR` are read.

    Raises:
        DatabaseUnfit: A folder belongs to someone else, or this user has no name.
        DatabaseUnavailable: A folder can't be made.
    """
    client = _own_name()
    try:
        if os.geteuid() == 0:
            return _places_of_root(root, state_dir, client)
        server = ServerUser(client, os.geteuid(), os.getegid(), foreign=False)
        return Places(root, root, _socket_dir(root, env), client, server)
    except OSError as error:
        raise DatabaseUnavailable(f"a folder of the embedded database can't be made: {error}") from error


def copy_shelf(state_dir: Path) -> Path:
    """The folder for copies of the Postgres programs; its parents are made."""
    _shared_folder(state_dir)
    return state_dir / "pgbin"


# ---- the socket --------------------


def _socket_dir(root: Path, env: Mapping[str, str]) -> Path:
    """`root/run`, or a short folder with the hash of the root when that path is long or unusual."""
    inside = root / "run"
    if _fits(inside):
        _private_folder(inside)
        return inside
    bases = [env.get("XDG_RUNTIME_DIR"), env.get("TMPDIR"), "/tmp"]
    for base in (Path(name) for name in bases if name):
        mine = base / f"interlock-{os.geteuid()}"
        folder = mine / root_hash(root)
        if base.is_dir() and _fits(folder):
            _private_folder(mine)
            _private_folder(folder)
            return folder
    raise DatabaseUnfit(f"no folder for the socket of {root} can be made: all paths are too long")


def root_hash(root: Path) -> str:
    """Twelve letters that stand for the root's path."""
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:12]


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= SOCKET_DIR_BYTES and _PLAIN_PATH.fullmatch(str(path)) is not None


def _private_folder(path: Path) -> None:
    """Make it for us alone; one that is there must be so already.

    Raises:
        DatabaseUnfit: It is a link, or someone else can enter it: then others could take our connections.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise DatabaseUnfit(
            f"{path} must be a folder that only you may enter; it belongs to {_name_of(found.st_uid)} and has mode "
            f"{stat.S_IMODE(found.st_mode):04o}",
            hint=f"look at it, then: rm -r '{path}'",
        )


# ---- root --------------------


def _places_of_root(root: Path, state_dir: Path, client: str) -> Places:
    _refuse_ordinary_data(root)
    _shared_folder(state_dir)
    _shared_folder(state_dir / "postgres")
    data_root = _data_root(root, state_dir / "postgres")
    data_root.mkdir(exist_ok=True)
    server = _unprivileged_user(data_root / "pgdata")
    # The server's user may pass through to its own folders, but not rename or replace them.
    os.chown(data_root, 0, server.gid)
    data_root.chmod(0o710)
    socket_dir = data_root / "run"
    socket_dir.mkdir(mode=0o700, exist_ok=True)
    os.chown(socket_dir, server.uid, server.gid)
    socket_dir.chmod(0o700)
    if not _fits(socket_dir):
        raise DatabaseUnfit(f"the path {socket_dir} can't hold a socket: it is too long or has unusual characters")
    return Places(root, data_root, socket_dir, client, server)


def _refuse_ordinary_data(root: Path) -> None:
    if (root / "pgdata").exists():
        owner = _name_of((root / "pgdata").lstat().st_uid)
        raise DatabaseUnfit(
            f"the database in {root} belongs to the user {owner}, and this process is root",
            hint=f"run interlock as {owner}, or set INTERLOCK_HOME to another folder",
        )


def _data_root(root: Path, shelf: Path) -> Path:
    """The folder noted in `root/cluster`; else a new one, never the data that a deleted root left behind."""
    note = root / "cluster"
    if note.exists():
        name = note.read_text().strip()
        if re.fullmatch(r"[0-9a-f]{12}(-\d+)?", name):
            return shelf / name
        raise DatabaseUnfit(f"{note} does not name a folder of {shelf}: {name[:40]!r}")
    base, number = root_hash(root), 1
    name = base
    while (shelf / name / "pgdata").exists():
        number += 1
        name = f"{base}-{number}"
    fresh = root / "cluster.tmp"
    fresh.write_text(f"{name}\n")
    fresh.rename(note)
    return shelf / name


def _shared_folder(path: Path) -> None:
    """Make a folder that everyone may pass through; one that is there stays as it is."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)


def _unprivileged_user(pgdata: Path) -> ServerUser:
    """Our own system user, made if missing; where no user can be made, Postgres's, or at last `nobody`.

    Data that one of the three owns already keeps its user, so that a running server is never cut off.

    Raises:
        DatabaseUnfit: The system has none of them.
    """
    owner = _name_of(pgdata.lstat().st_uid) if pgdata.exists() else ""
    if owner in (DEDICATED_USER, *OTHER_USERS):
        found = _look_up(owner)
    else:
        found = _look_up(DEDICATED_USER) or _add_user() or next(filter(None, map(_look_up, OTHER_USERS)), None)
    if found is None or found.uid == 0:
        raise DatabaseUnfit(
            f"as root, Postgres must run as another user, and the user {DEDICATED_USER} can't be made",
            hint=f"useradd --system {DEDICATED_USER}, or run interlock as an ordinary user",
        )
    return found


def _add_user() -> ServerUser | None:
    useradd = shutil.which("useradd", path=f"{os.defpath}:/usr/sbin:/sbin")
    if useradd is None:
        return None
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command = [useradd, *options, "--shell", "/usr/sbin/nologin", DEDICATED_USER]
    for _ in range(_USERADD_TRIES):
        try:
            subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_USERADD_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        # Another process may have made it at the same moment, or hold the lock of the user database.
        found = _look_up(DEDICATED_USER)
        if found is not None:
            return found
        time.sleep(0.2)
    return None


def _look_up(name: str) -> ServerUser | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid, foreign=True)


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise DatabaseUnfit(
            f"the user id {os.geteuid()} has no name in the user database, and the embedded Postgres knows its users "
            "by name",
            hint="add the user to /etc/passwd, or set INTERLOCK_DATABASE_URL to a Postgres of yours",
        ) from error


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"
