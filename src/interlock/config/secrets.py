"""`secret://NAME`: a reference to a secret that is looked up only where it is used, and is never written down.

Places, the first that has it wins: a systemd credential, a container secret, a file below the state folder, an
environment variable. The value never becomes part of a configuration, a hash, a record or a message.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from interlock.config.environment import expand_env
from interlock.model import ConfigError

SECRET = "secret://"
MAX_SECRET_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_EXPECTED = f"expected {SECRET}NAME as the whole value, the name of letters, digits, '.', '_' and '-'"
_CONTAINER_SECRETS = Path("/run/secrets")
_ENV_PREFIX = "INTERLOCK_SECRET_"


@dataclass(frozen=True)
class Secrets:
    """Where secrets of a project are looked up.

    Attributes:
        home: the state folder; files are in `secrets/` below it.
        env: the environment; `CREDENTIALS_DIRECTORY` of systemd, and `INTERLOCK_SECRET_NAME` as the last place.
    """

    home: Path
    env: Mapping[str, str] = field(repr=False)

    def resolve(self, text: str) -> str:
        """The text itself, or what it refers to when it begins with `secret://`.

        Raises:
            ConfigError: the reference is no good, or nothing has that secret.
        """
        return self.find(text.removeprefix(SECRET)) if text.startswith(SECRET) else text

    def value_of(self, reference: str) -> str:
        """What `secret://NAME` or `${NAME}` stands for; a value is never taken for another reference.

        Raises:
            ConfigError: nothing has it.
        """
        return self.resolve(reference) if reference.startswith(SECRET) else expand_env(reference, self.env)

    def find(self, name: str) -> str:
        """A secret by its name, without a line end after it.

        Raises:
            ConfigError: the name is no name, or nothing has it.
        """
        if not _is_name(name):
            raise ConfigError(f"found '{SECRET}{name[:40]}', which names no secret; {_EXPECTED}")
        for folder in self._folders():
            value = _read(folder / name)
            if value is not None:
                return value
        value = self.env.get(_ENV_PREFIX + re.sub(r"[^A-Za-z0-9]", "_", name).upper())
        if value is None:
            raise ConfigError(f"there is no secret '{name}'", hint=f"(umask 077; cat > {self.home}/secrets/{name})")
        return value

    def _folders(self) -> list[Path]:
        given = self.env.get("CREDENTIALS_DIRECTORY")
        return [*([Path(given)] if given else []), _CONTAINER_SECRETS, self.home / "secrets"]


def secret_fault(text: str) -> str | None:
    """What is wrong with the reference in a text, if it holds one: a bad name, or more than the reference."""
    if SECRET not in text or (text.startswith(SECRET) and _is_name(text.removeprefix(SECRET))):
        return None
    return f"found a text that holds {SECRET} and more, or no name; {_EXPECTED}"


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and ".." not in name


def _read(path: Path) -> str | None:
    """The content of a file, or None when there is none.

    Raises:
        ConfigError: it is there and can't be used.
    """
    try:
        with path.open("rb") as file:
            body = file.read(MAX_SECRET_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"the secret in {path} can't be read: {error.strerror}", hint=f"ls -l {path}") from error
    if len(body) > MAX_SECRET_BYTES:
        raise ConfigError(f"the secret in {path} is larger than {MAX_SECRET_BYTES} bytes")
    try:
        return body.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"the secret in {path} is no UTF-8 text") from None
