"""DBOS Transact by itself: a workflow that does nothing, on a queue, in the version that interlock is built on.

python bench/peers/plain_dbos.py --database "host=/run/postgresql dbname=test"

Its queue is asked fifty times a second, five times as often as interlock's; the default, once a second, would end at
64 tasks a second.
"""

import asyncio
import signal
import sys
from typing import Any
from urllib.parse import quote

from lanes import CONCURRENCY, CONNECTIONS, Asked, main, own_worker

REQUIREMENT = "dbos==3.4.0"
SCHEMA, QUEUE, WORKFLOW, VERSION, APPLICATION = "peer_dbos", "peer", "noop", "peer-1", "peer-dbos"
POLL_S = 0.02
FINISHED = """
select count(*), coalesce(max(completed_at), 0) / 1000.0 from peer_dbos.workflow_status
where status = 'SUCCESS' and name = 'noop'
"""


def url_of(asked: Asked) -> str:
    """The DSN as SQLAlchemy takes it."""
    parts = dict(part.split("=", 1) for part in asked.database.split())
    host = quote(parts["host"], safe="")
    return f"postgresql+psycopg://{parts.get('user', '')}@/{parts['dbname']}?host={host}&port={parts.get('port', 5432)}"


class PlainDbos:
    """A client of DBOS."""

    client: Any = None
    connection: Any = None

    async def open(self, asked: Asked) -> list[str]:
        """Make its schema; the worker is this script."""
        import psycopg
        from dbos import DBOS, DBOSClient
        from dbos._serialization import DBOSPortableJSONSerializer

        await asyncio.to_thread(DBOS.migrate, url_of(asked), schema=SCHEMA)
        self.client = DBOSClient(
            system_database_url=url_of(asked),
            dbos_system_schema=SCHEMA,
            serializer=DBOSPortableJSONSerializer(),
            system_database_pool_size=CONNECTIONS,
            application_name=APPLICATION,
        )
        self.connection = await psycopg.AsyncConnection.connect(asked.database, autocommit=True)
        return own_worker(__file__, asked)

    async def close(self) -> None:
        """Disconnect."""
        if self.client is not None:
            self.client.destroy()
        if self.connection is not None:
            await self.connection.close()

    async def submit(self, number: int) -> None:
        """Enqueue one."""
        options = {"workflow_name": WORKFLOW, "queue_name": QUEUE, "app_version": VERSION, "priority": 1}
        await self.client.enqueue_async(options, number)

    async def finished(self) -> tuple[int, float]:
        """Workflows that have their outcome."""
        count, last_s = await (await self.connection.execute(FINISHED)).fetchone()
        return count, float(last_s)

    async def now(self) -> float:
        """The database's clock, which is that of this host."""
        cursor = await self.connection.execute("select extract(epoch from clock_timestamp())::float8")
        return float((await cursor.fetchone())[0])


async def _work(asked: Asked) -> None:
    from dbos import DBOS
    from dbos._serialization import DBOSPortableJSONSerializer

    DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": url_of(asked),
            "dbos_system_schema": SCHEMA,
            "application_version": VERSION,
            "sys_db_pool_size": 20,
            "log_level": "ERROR",
            "serializer": DBOSPortableJSONSerializer(),
        }
    )

    @DBOS.workflow(name=WORKFLOW)
    async def noop(number: int) -> str:
        return f"done {number}"

    DBOS.listen_queues([QUEUE])
    DBOS.launch()
    await DBOS.register_queue_async(
        QUEUE, worker_concurrency=CONCURRENCY, polling_interval_sec=POLL_S, on_conflict="always_update"
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await asyncio.to_thread(lambda: DBOS.destroy(workflow_completion_timeout_sec=1))


if __name__ == "__main__":
    sys.exit(main(__file__, [REQUIREMENT], PlainDbos(), lambda asked: asyncio.run(_work(asked))))
