"""Celery on Redis, which writes every command to disk before it answers (`appendfsync always`), as Postgres does.

python bench/peers/celery_redis.py --database ""

Threads, acknowledged late, one task at a time for each thread, JSON; Redis is broker and store of results. It needs
`redis-server`, which is a package of the system: `apt-get install redis-server`.
"""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lanes import CONCURRENCY, CONNECTIONS, Asked, main
from venvs import free_port

REQUIREMENT = "celery[redis]==5.7.0"
START_S = 20.0
STOP_S = 10.0
APPLICATION = """
from celery import Celery

app = Celery("peer", broker="{url}/0", backend="{url}/1")
app.conf.update(
    task_acks_late=True, worker_prefetch_multiplier=1, task_serializer="json", result_serializer="json",
    accept_content=["json"], broker_pool_limit={connections}, broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop(number):
    return f"done {{number}}"
"""


class CeleryRedis:
    """A client of Celery, and the Redis."""

    def __init__(self) -> None:
        self.server: Any = None
        self.redis: Any = None
        self.noop: Any = None
        self.threads = ThreadPoolExecutor(CONNECTIONS)

    async def open(self, asked: Asked) -> list[str]:
        """Start Redis, and write the application; the worker is Celery's own."""
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError("there is no redis-server; install it: apt-get install redis-server")
        port = free_port()
        words = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(asked.folder), "--save", ""]
        words += ["--appendonly", "yes", "--appendfsync", "always"]
        with (asked.folder / "redis.log").open("wb") as log:
            self.server = await asyncio.create_subprocess_exec(
                program, *words, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        await self._connect(port)
        url = f"redis://127.0.0.1:{port}"
        text = APPLICATION.format(url=url, connections=CONNECTIONS)
        (asked.folder / "peer_app.py").write_text(text, encoding="utf-8")
        sys.path.insert(0, str(asked.folder))
        import peer_app

        self.noop = peer_app.noop
        words = ["-A", "peer_app", "worker", "--pool", "threads", "--concurrency", str(CONCURRENCY)]
        quiet = ["--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
        return [str(Path(sys.executable).parent / "celery"), *words, *quiet]

    async def _connect(self, port: int) -> None:
        import redis

        self.redis = redis.Redis(port=port, db=1)  # that of the results
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                self.redis.ping()
            except redis.ConnectionError as error:
                if time.monotonic() > deadline_s or self.server.returncode is not None:
                    raise RuntimeError("redis-server does not start") from error
                await asyncio.sleep(0.1)
            else:
                return

    async def close(self) -> None:
        """End Redis."""
        self.threads.shutdown(cancel_futures=True)
        if self.server is not None:
            with contextlib.suppress(TimeoutError, ProcessLookupError):
                self.server.terminate()
                await asyncio.wait_for(self.server.wait(), STOP_S)

    async def submit(self, number: int) -> None:
        """Send one."""
        await asyncio.get_running_loop().run_in_executor(self.threads, self.noop.delay, number)

    async def finished(self) -> tuple[int, float]:
        """Results that Redis holds, now."""
        return self.redis.dbsize(), time.perf_counter()

    async def now(self) -> float:
        """This process's clock."""
        return time.perf_counter()


if __name__ == "__main__":
    sys.exit(main(__file__, [REQUIREMENT], CeleryRedis()))
