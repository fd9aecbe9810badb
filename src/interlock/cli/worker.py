"""`interlock worker`: one worker in the foreground, until it is told to stop."""

import asyncio
import os
import signal

from interlock.cli import edge
from interlock.cli.crew import drain_with_parent
from interlock.cli.logs import log_to_stderr
from interlock.cli.options import Json, Project, folder_of
from interlock.config import Settings

POOL = 10
MOST_CONNECTIONS = 24  # of one worker, for a Postgres has not many


def worker(*, project: Project = None, json: Json = False) -> int:
    """Run one more worker, here or on another machine.

    It takes tasks from the queue and runs their agents. SIGTERM or Ctrl-C lets it finish or hand over what it has in
    hand; a second Ctrl-C ends it at once, and another worker goes on with its tasks.
    """
    log_to_stderr(as_json=json)
    asyncio.run(_work(project))
    return edge.OK


async def _work(project: Project) -> None:
    from interlock.app import check_project, foundation, worker_of

    stop = asyncio.Event()
    stop_on_signals(stop)
    if not drain_with_parent(os.environ):
        return
    settings = Settings.from_env(os.environ)
    found = await asyncio.to_thread(check_project, folder_of(project), os.environ)
    pool = max(POOL, min(MOST_CONNECTIONS, found.config.server.concurrency))
    async with foundation(settings, found, os.environ, pool=pool) as ground:
        one, toolbox = worker_of(ground, settings, found, os.environ)
        try:
            await one.run(stop)
        finally:
            await toolbox.stop()


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set the event on SIGTERM and SIGINT; a second SIGINT ends the process at once, which loses nothing."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        if stop.is_set():
            os._exit(edge.INTERRUPTED)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted)
