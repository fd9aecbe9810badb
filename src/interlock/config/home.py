"""The state folder and the two secrets in it: the first access token and the key for encryption at rest.

Several processes may start at the same moment: a secret is written whole to a file of its own and then linked to
its name, so one process wins and all read the same.
"""

import os
import secrets
import stat
from pathlib import Path

from interlock.config.settings import Settings
from interlock.config.tokens import new_token, token_id
from interlock.model import HomeUnfit

KEY_BYTES = 32
_MAX_TOKEN_BYTES = 1024


def ensure_home(settings: Settings) -> Path:
    """Make the state folder (mode 0700) unless it is there, and check that it is ours alone to write.

    Raises:
        HomeUnfit: it can't be made, is no folder, is someone else's, or group or others may write to it.
    """
    _private_folder(settings.home, parents=True)
    return settings.home


def ensure_token(home: Path) -> str:
    """The first start's access token from `token` in the state folder; made there (mode 0600) if there is none.

    Raises:
        HomeUnfit: it can't be written or read, is open to others, or holds no token.
    """
    _write_once(home / "token", new_token().encode() + b"\n")
    token = read_token(home)
    if token is None:
        raise HomeUnfit(f"{home / 'token'} vanished while it was read")
    return token


def read_token(home: Path) -> str | None:
    """The access token in the state folder; None if there is none yet.

    Raises:
        HomeUnfit: it can't be read, is open to others, or holds no token.
    """
    path = home / "token"
    raw = _read_private(path, _MAX_TOKEN_BYTES, stat.S_IRWXG | stat.S_IRWXO)
    if raw is None:
        return None
    token = raw.decode("ascii", "replace").strip()
    if token_id(token) is None:
        raise HomeUnfit(f"{path} holds no interlock token", hint=f"rm '{path}'  # the next start makes a new one")
    return token


def ensure_key(settings: Settings) -> bytes:
    """The 32 bytes that encrypt what is stored; made (mode 0600) if there is no such file yet.

    INTERLOCK_DATA_KEY_FILE names another place. Its folder is never made, so that a mount that failed is no reason
    for a new key; it may be root's or readable for the group, as mounted secrets are.

    Raises:
        HomeUnfit: it can't be written or read, is open to others, or is not 32 bytes long.
    """
    path = settings.data_key_file
    if settings.owns_key_folder:
        _private_folder(path.parent, parents=False)
        forbidden = stat.S_IRWXG | stat.S_IRWXO
    else:
        forbidden = stat.S_IWGRP | stat.S_IRWXO
    _write_once(path, secrets.token_bytes(KEY_BYTES))
    key = _read_private(path, KEY_BYTES + 1, forbidden)
    if key is None or len(key) != KEY_BYTES:
        raise HomeUnfit(
            f"{path} is not {KEY_BYTES} bytes long, so it is no data key",
            hint="restore the key file from a backup; without it nothing that was stored can be read",
        )
    return key


def _private_folder(path: Path, *, parents: bool) -> None:
    try:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=parents, exist_ok=True)
        found = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable file name"
        raise HomeUnfit(f"the state folder {path} can't be made: {reason}") from error
    if found.st_uid != os.geteuid():
        raise HomeUnfit(f"the state folder {path} belongs to another user (uid {found.st_uid})")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise HomeUnfit(f"other users may write to the state folder {path}", hint=f"chmod 700 '{path}'")
    if stat.S_IMODE(found.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        try:
            path.chmod(0o700)
        except OSError as error:
            raise HomeUnfit(f"the state folder {path} can't be closed to others: {error.strerror}") from error


def _write_once(path: Path, content: bytes) -> None:
    """Put `content` at `path` unless something is there; whole or not at all, also among processes."""
    try:
        if path.exists():
            return
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        except FileExistsError:
            return  # another process was first
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise HomeUnfit(f"{path} can't be written: {error.strerror}") from error


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_private(path: Path, limit: int, forbidden: int) -> bytes | None:
    """Read at most `limit` bytes of a file that no one else can open; None if it is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HomeUnfit(f"{path} can't be read: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise HomeUnfit(f"{path} is no regular file")
        if found.st_uid not in (os.geteuid(), 0):
            raise HomeUnfit(f"{path} belongs to another user (uid {found.st_uid})")
        if found.st_mode & forbidden:
            raise HomeUnfit(f"other users can open {path}", hint=f"chmod 600 '{path}'")
        return os.read(descriptor, limit)
    except OSError as error:
        raise HomeUnfit(f"{path} can't be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
