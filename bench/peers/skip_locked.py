"""The floor: asyncpg and `for update skip locked`, three commits a task, and nothing of what a queue is for.

python bench/peers/skip_locked.py --database "host=/run/postgresql dbname=test"

The worker has 24 coroutines, each with a connection. One that finds nothing looks again after
five milliseconds.
"""

import asyncio
import sys
from typing import Any

from lanes import CONCURRENCY, CONNECTIONS, Asked, main, own_worker

REQUIREMENT = "asyncpg==0.32.0"
COROUTINES = min(CONCURRENCY, 24)
PAUSE_S = 0.005
TABLE = """
create schema if not exists peer_skip_locked;
create table if not exists peer_skip_locked.job (
  id bigint generated always as identity primary key, priority int not null default 0,
  status text not null default 'queued', payload jsonb not null, result jsonb, finished_at timestamptz);
create index if not exists job_queued on peer_skip_locked.job (priority, id) where status = 'queued';
"""
SUBMIT = "insert into peer_skip_locked.job (payload) values ($1)"
CLAIM = """
update peer_skip_locked.job set status = 'running' where id = (
  select id from peer_skip_locked.job where status = 'queued' order by priority, id for update skip locked limit 1)
returning id
"""
FINISH = """
update peer_skip_locked.job set status = 'done', result = '"done"', finished_at = clock_timestamp() where id = $1
"""
FINISHED = """
select count(*), coalesce(extract(epoch from max(finished_at)), 0)::float8 from peer_skip_locked.job
where status = 'done'
"""


async def pool_of(asked: Asked, size: int) -> Any:
    """A pool on the database that was asked for."""
    import asyncpg

    parts = dict(part.split("=", 1) for part in asked.database.split())
    return await asyncpg.create_pool(
        host=parts["host"], port=int(parts.get("port", 5432)), user=parts.get("user"), database=parts["dbname"],
        min_size=size, max_size=size,
    )  # fmt: skip


class SkipLocked:
    """A table, and statements."""

    pool: Any = None

    async def open(self, asked: Asked) -> list[str]:
        """Make the table; the worker is this script."""
        self.pool = await pool_of(asked, CONNECTIONS)
        await self.pool.execute(TABLE)
        return own_worker(__file__, asked)

    async def close(self) -> None:
        """Disconnect."""
        if self.pool is not None:
            await self.pool.close()

    async def submit(self, number: int) -> None:
        """One row, one commit."""
        await self.pool.execute(SUBMIT, f'{{"number": {number}}}')

    async def finished(self) -> tuple[int, float]:
        """Rows that are done."""
        return tuple(await self.pool.fetchrow(FINISHED))

    async def now(self) -> float:
        """The database's clock."""
        return float(await self.pool.fetchval("select extract(epoch from clock_timestamp())::float8"))


async def _work(asked: Asked) -> None:
    pool = await pool_of(asked, COROUTINES)

    async def take() -> None:
        while True:
            found = await pool.fetchval(CLAIM)
            if found is None:
                await asyncio.sleep(PAUSE_S)
            else:
                await pool.execute(FINISH, found)

    await asyncio.gather(*(take() for _ in range(COROUTINES)))


if __name__ == "__main__":
    sys.exit(main(__file__, [REQUIREMENT], SkipLocked(), lambda asked: asyncio.run(_work(asked))))
