"""A server of ours in a thread with a loop of its own, as long as a test module needs it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeAlias

Serve: TypeAlias = Callable[[asyncio.Event, "Future[str]"], Coroutine[Any, Any, None]]
STARTS_WITHIN_S = 90.0
STOPS_WITHIN_S = 60.0


@contextmanager
def serving(serve: Serve) -> Iterator[str]:
    """Its URL. `serve(stop, started)` tells it by `started`, and runs until `stop` is set."""
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), Future[str]()
    ended: list[BaseException] = []

    def work() -> None:
        try:
            loop.run_until_complete(serve(stop, started))
        except BaseException as error:
            ended.append(error)
            if not started.done():
                started.set_exception(error)
            raise
        finally:
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield started.result(STARTS_WITHIN_S)
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join(STOPS_WITHIN_S)
    assert not thread.is_alive()
    assert ended == []
