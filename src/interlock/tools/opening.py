"""From a configuration to a server that is there, whatever its kind is."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from interlock.config import Clock
from interlock.tools.commands import prepare
from interlock.tools.packages.ensure import ensure_installed
from interlock.tools.peer import Peer
from interlock.tools.process import ServerProcess
from interlock.tools.remote import Remote
from interlock.tools.remote_http import shared_tls
from interlock.tools.surroundings import Surroundings
from interlock.tools.wire import Wire

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig


async def open_peer(
    server: str, config: "ToolServerConfig", where: Surroundings, clock: Clock, on_news: Callable[[], None]
) -> Peer:
    """Start the process, or work out where the server is; nothing has been said to it yet.

    Args:
        server: its name.
        config: what to start or where it is.
        where: the surroundings.
        clock: tells when a login has to be renewed.
        on_news: told when there is something to look at: its end, or trouble.

    Raises:
        InterlockError: it can't be started, or what it needs is not there.
        OSError: the system does not let it start.
    """
    if config.remote:
        await asyncio.to_thread(shared_tls)
        return Remote(server, config, where, clock, on_news)
    await ensure_installed(where.packages, server, config)
    launch = prepare(server, config, where)
    return Wire(await ServerProcess.spawn(launch, on_news), launch.sandbox, launch.confinement, on_news)
