"""Where the servers of a project live, and what they must not see."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from interlock.config import SECRET, Secrets, expand_env
from interlock.model import ConfigError
from interlock.tools.packages.packages import Packages
from interlock.tools.shelf import TokenShelf


@dataclass(frozen=True)
class Surroundings:
    """Where the servers of a project live.

    Attributes:
        folder: the project folder; relative paths start here.
        state_dir: below it each server gets a private home.
        env: the environment that `${NAME}` and the search path come from.
        secrets: where `secret://NAME` is looked up, in the state folder among others.
        shelf: where logins to remote servers are kept.
        sandbox: what the policy says: `required`, `preferred` or `off`.
        packages: where packages of registries are installed.
    """

    folder: Path
    state_dir: Path
    env: Mapping[str, str]
    secrets: Secrets | None = None
    shelf: TokenShelf | None = None
    sandbox: str = "preferred"
    packages: Packages | None = None

    @property
    def home(self) -> Path:
        """The state folder of interlock, as far as it is known."""
        return self.state_dir if self.secrets is None else self.secrets.home

    @property
    def hidden(self) -> tuple[Path, ...]:
        """What no server sees: the state folder and the data key. Where the project lies in it: all else of it."""
        key = self.env.get("INTERLOCK_DATA_KEY_FILE", "")
        return (*_all_but(self.home.resolve(), self.folder.resolve()), *([Path(key).absolute()] if key else []))

    def value(self, text: str) -> str:
        """What a text of a configuration says: with its variables, or the secret that it refers to.

        Raises:
            ConfigError: a variable is not set, or the secret is not there.
        """
        if not text.startswith(SECRET):
            return expand_env(text, self.env)
        if self.secrets is None:
            raise ConfigError("there is no place to look secrets up in")
        return self.secrets.resolve(text)


def _all_but(folder: Path, kept: Path) -> Iterator[Path]:
    """A folder; if something in it is to be kept, all that is around that."""
    if folder == kept:
        return
    if folder not in kept.parents:
        yield folder
        return
    for child in sorted(folder.iterdir()):
        yield from _all_but(child, kept)
