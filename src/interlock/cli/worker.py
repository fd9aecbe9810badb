"""`interlock worker`: one worker in the foreground, until it is told to stop."""

import asyncio
import os
import signal

from interlock.cli import edge
from interlock.cli.crew import drain_with_parent
from interlock.cli.logs import log_to_stderr
from interlock.cli.options import Json, Project, folder_of
from interlock.config import Settings


def worker(*, project: Project = None, json: Json = False) -> int:
    """Run one more worker, here or on another machine.

    It takes tasks from the queue and runs their agents. SIGTERM or Ctrl-C lets it finish or hand over what it has in
    hand; a second Ctrl-C ends it at once, and another worker goes on with its tasks. It works by the configuration
    that was applied; where this machine has not what that needs, it takes no tasks and says why.
    """
    log_to_stderr(as_json=json)
    asyncio.run(_work(project))
    return edge.OK


async def _work(project: Project) -> None:
    from interlock.app import work

    stop = asyncio.Event()
    stop_on_signals(stop)
    if drain_with_parent(os.environ):
        await work(Settings.from_env(os.environ), folder_of(project), os.environ, stop)


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set the event on SIGTERM and SIGINT; a second SIGINT ends the process at once, which loses nothing."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        if stop.is_set():
            os._exit(edge.INTERRUPTED)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted)
