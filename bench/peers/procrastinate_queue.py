"""Procrastinate with `listen_notify`, as its documentation shows it.

python bench/peers/procrastinate_queue.py --database "host=/run/postgresql dbname=test"
"""

import asyncio
import logging
import sys
from typing import Any

from lanes import CONCURRENCY, CONNECTIONS, Asked, main, own_worker

REQUIREMENT = "procrastinate==3.10.0"
DRIVER = "psycopg[binary,pool]>=3.3,<4"
SCHEMA = "peer_procrastinate"
FINISHED = """
select count(*), coalesce(extract(epoch from max(e.at)), 0)::float8 from procrastinate_events e
where e.type = 'succeeded'
"""


def app_of(asked: Asked, connections: int) -> Any:
    """The application, with one task that does nothing."""
    from procrastinate import App, PsycopgConnector

    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    conninfo = f"{asked.database} options='-c search_path={SCHEMA}'"
    app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=1, max_size=connections))

    @app.task(name="noop")
    async def noop(number: int) -> str:
        return f"done {number}"

    return app


class Procrastinate:
    """A client of Procrastinate."""

    app: Any = None
    connection: Any = None

    async def open(self, asked: Asked) -> list[str]:
        """Make its schema; the worker is this script."""
        import psycopg

        self.connection = await psycopg.AsyncConnection.connect(
            f"{asked.database} options='-c search_path={SCHEMA}'", autocommit=True
        )
        await self.connection.execute(f"create schema {SCHEMA}")
        self.app = app_of(asked, CONNECTIONS)
        await self.app.open_async()
        await self.app.schema_manager.apply_schema_async()
        return own_worker(__file__, asked)

    async def close(self) -> None:
        """Disconnect."""
        if self.app is not None:
            await self.app.close_async()
        if self.connection is not None:
            await self.connection.close()

    async def submit(self, number: int) -> None:
        """Defer one."""
        await self.app.tasks["noop"].defer_async(number=number)

    async def finished(self) -> tuple[int, float]:
        """Jobs that have succeeded; that is all that it keeps of a result."""
        count, last_s = await (await self.connection.execute(FINISHED)).fetchone()
        return count, float(last_s)

    async def now(self) -> float:
        """The database's clock."""
        cursor = await self.connection.execute("select extract(epoch from clock_timestamp())::float8")
        return float((await cursor.fetchone())[0])


async def _work(asked: Asked) -> None:
    app = app_of(asked, 20)
    async with app.open_async():
        await app.run_worker_async(concurrency=CONCURRENCY, listen_notify=True, shutdown_graceful_timeout=1)


if __name__ == "__main__":
    sys.exit(main(__file__, [REQUIREMENT, DRIVER], Procrastinate(), lambda asked: asyncio.run(_work(asked))))
