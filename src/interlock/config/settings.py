"""What the environment says: where the state folder, the database and the server are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from interlock.model import UserError

DEFAULT_URL = "http://127.0.0.1:7440"


@dataclass(frozen=True)
class Settings:
    """The environment of this process, read once.

    Attributes:
        home: the state folder, absolute.
        database_url: DSN of a Postgres of the user's own; None means the embedded one.
        url: where the HTTP server is, without a slash at the end.
        token: the access token for it, if one is given.
        data_key_file: where the key for encryption at rest is.
        host: the name of this machine among those that work together; None means what it calls itself.
    """

    home: Path
    database_url: str | None = field(default=None, repr=False)
    url: str = DEFAULT_URL
    token: str | None = field(default=None, repr=False)
    data_key_file: Path = field(default=Path())
    host: str | None = None

    def __post_init__(self) -> None:
        if self.data_key_file == Path():
            object.__setattr__(self, "data_key_file", self.home / "keys" / "data.key")

    @property
    def owns_key_folder(self) -> bool:
        """Whether the key lies in the state folder, where its folder may be made."""
        return self.data_key_file == self.home / "keys" / "data.key"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read INTERLOCK_HOME, _DATABASE_URL, _URL, _TOKEN, _DATA_KEY_FILE and _HOST; an empty one counts as not set.

        Raises:
            UserError: INTERLOCK_URL is no http or https URL, INTERLOCK_HOST no name, or the path of a folder can't be one.
        """
        key_file = _path(env, "INTERLOCK_DATA_KEY_FILE")
        return cls(
            home=_path(env, "INTERLOCK_HOME") or _default_home(),
            database_url=_text(env, "INTERLOCK_DATABASE_URL"),
            url=_url(_text(env, "INTERLOCK_URL") or DEFAULT_URL),
            token=_text(env, "INTERLOCK_TOKEN"),
            data_key_file=key_file or Path(),
            host=_host(_text(env, "INTERLOCK_HOST")),
        )


def _default_home() -> Path:
    from platformdirs import user_data_dir

    return Path(user_data_dir("interlock", appauthor=False))


def _text(env: Mapping[str, str], name: str) -> str | None:
    return env.get(name, "").strip() or None


def _path(env: Mapping[str, str], name: str) -> Path | None:
    text = _text(env, name)
    if text is None:
        return None
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise UserError(f"{name} can't be resolved: {error}", hint=f"set {name} to an absolute path") from error


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UserError("INTERLOCK_URL is no http or https URL", hint=f"export INTERLOCK_URL={DEFAULT_URL}")
    return text.rstrip("/")


def _host(name: str | None) -> str | None:
    if name is not None and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) is None:
        raise UserError(
            "INTERLOCK_HOST is no name; expected letters, digits, '.', '_' and '-'", hint="export INTERLOCK_HOST=NAME"
        )
    return name
