"""The way to the server for commands that talk to one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from interlock.cli.home_files import holder_of, read_running, url_from
from interlock.config import Settings, read_token
from interlock.model import ServerUnavailable, Unauthorized

if TYPE_CHECKING:
    from interlock.client import Client


def server_url(settings: Settings | None = None) -> str:
    """Where the server is: INTERLOCK_URL, or what `up` wrote into the state folder, or the usual port."""
    found = settings or Settings.from_env(os.environ)
    return url_from(found.home, os.environ, found.url)


@contextmanager
def connected(url: str | None = None) -> "Iterator[Client]":
    """A client for the server, with the token of the environment or of the state folder.

    Raises:
        ServerUnavailable: nothing was ever started for this state folder, and no other server is named.
        Unauthorized: there is no token anywhere.
        HomeUnfit: the token in the state folder can't be used.
    """
    from interlock.client import Client

    found_url, token = way()
    with Client(url or found_url, token) as client:
        yield client


def way() -> tuple[str, str]:
    """The server's URL, and the token of the environment or of the state folder.

    Raises:
        ServerUnavailable: nothing was ever started for this state folder, and no other server is named.
        Unauthorized: there is no token anywhere.
        HomeUnfit: the token in the state folder can't be used.
    """
    settings = Settings.from_env(os.environ)
    token = settings.token or read_token(settings.home)
    if token is None and not os.environ.get("INTERLOCK_URL", "").strip():
        raise ServerUnavailable(f"interlock was never started for {settings.home}")
    if token is None:
        raise Unauthorized(
            f"there is no access token: INTERLOCK_TOKEN is not set, and {settings.home / 'token'} does not exist",
            hint="export INTERLOCK_TOKEN=…",
        )
    return server_url(settings), token


def server_is_ours() -> bool:
    """Whether a server runs for this state folder, and commands speak to it."""
    settings = Settings.from_env(os.environ)
    if os.environ.get("INTERLOCK_URL", "").strip():
        return True
    return holder_of(settings.home) is not None and read_running(settings.home) is not None
