"""The pool of connections and the transaction that every repository works in.

Every statement is parametrised. Driver errors become errors of our tree here and nowhere else.
"""

import time
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, LiteralString, TypeAlias
from weakref import WeakKeyDictionary

from interlock.config import Clock, SystemClock
from interlock.model import DatabaseUnavailable, Fenced, Lease
from interlock.store.dsn import connection_error, plain_error
from interlock.store.login import check_login
from interlock.store.sealing import Sealer

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

Row: TypeAlias = dict[str, Any]
Params: TypeAlias = Mapping[str, Any] | Sequence[Any]

SCHEMA = "interlock"
APP_ROLE = "interlock_app"
CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 60.0
_TRUSTED_S = 0.5  # a connection that was used so short a time ago is not asked whether it lives
IDLE_TRANSACTION_S = 15.0  # so that a process that is stopped does not keep rows locked for long


class Transaction:
    """One open transaction; repositories take it and run their statements in it."""

    def __init__(self, connection: "AsyncConnection[Row]", clock: Clock, sealer: Sealer) -> None:
        self._connection = connection
        self.clock = clock
        self.sealer = sealer

    async def run(self, sql: LiteralString, params: Params = ()) -> int:
        """Execute a statement; the number of rows it touched."""
        cursor = await self._connection.execute(sql, params)
        return cursor.rowcount

    async def rows(self, sql: LiteralString, params: Params = ()) -> list[Row]:
        """All rows of a query."""
        cursor = await self._connection.execute(sql, params)
        return await cursor.fetchall()

    async def row(self, sql: LiteralString, params: Params = ()) -> Row | None:
        """The first row of a query, if there is one."""
        cursor = await self._connection.execute(sql, params)
        return await cursor.fetchone()

    @asynccontextmanager
    async def part(self) -> AsyncIterator[None]:
        """A part that is taken back by itself when it raises; the rest of the transaction stays."""
        async with self._connection.transaction():
            yield

    async def many(self, sql: LiteralString, params: Sequence[Params]) -> None:
        """Execute a statement once for each set of parameters."""
        if params:
            async with self._connection.cursor() as cursor:
                await cursor.executemany(sql, params)


class Database:
    """A pool on one Postgres, as the application's role."""

    def __init__(self, conninfo: str, sealer: Sealer, clock: Clock | None = None, *, size: int = 10) -> None:
        self.conninfo = conninfo
        self.sealer = sealer
        self.clock: Clock = clock or SystemClock()
        self._size = size
        self._pool: AsyncConnectionPool[AsyncConnection[Row]] | None = None
        self._used_s: MutableMapping[AsyncConnection[Row], float] = WeakKeyDictionary()

    async def open(self) -> None:
        """Connect.

        Raises:
            DatabaseUnavailable: nothing answers within ten seconds.
            DatabaseUnfit: the login or the database can't be used; see `check_login`.
        """
        import psycopg
        from psycopg.rows import dict_row
        from psycopg_pool import AsyncConnectionPool, PoolTimeout

        # First a connection of its own: a pool would only say that it waited in vain.
        await check_login(self.conninfo, migrated=True)
        pool: AsyncConnectionPool[AsyncConnection[Row]] = AsyncConnectionPool(
            self.conninfo,
            min_size=1,
            max_size=self._size,
            timeout=CONNECT_TIMEOUT_S,
            open=False,
            kwargs={"row_factory": dict_row},
            check=self._check_rested,
            configure=_configure,
            reconnect_timeout=60.0,
        )
        try:
            await pool.open(wait=True, timeout=CONNECT_TIMEOUT_S)
        except (psycopg.Error, PoolTimeout) as error:
            await pool.close()
            raise connection_error(error, self.conninfo) from error
        self._pool = pool

    async def _check_rested(self, connection: "AsyncConnection[Row]") -> None:
        """Ask a connection whether it still lives, unless it did so a moment ago: the question costs a round trip."""
        from psycopg_pool import AsyncConnectionPool

        now_s = time.monotonic()
        if now_s - self._used_s.get(connection, 0.0) > _TRUSTED_S:
            await AsyncConnectionPool.check_connection(connection)
        self._used_s[connection] = now_s

    async def close(self) -> None:
        """Give all connections back."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    @asynccontextmanager
    async def at_once(self) -> AsyncIterator[Transaction]:
        """For single statements: each is committed by itself, which saves two round trips.

        Raises:
            DatabaseUnavailable: the connection was lost; whether the statement was committed is then not known.
        """
        async with self._connected() as connection:
            await connection.set_autocommit(True)
            try:
                yield Transaction(connection, self.clock, self.sealer)
            finally:
                if not connection.closed:
                    await connection.set_autocommit(False)

    @asynccontextmanager
    async def transaction(self, lease: Lease | None = None) -> AsyncIterator[Transaction]:
        """A transaction; with a lease it first locks the task's row and checks that the lease still holds it.

        Raises:
            Fenced: another worker has the run now.
            DatabaseUnavailable: the connection was lost; nothing of the transaction was kept, unless it was
                lost during the commit.
        """
        async with self._connected() as connection:
            tx = Transaction(connection, self.clock, self.sealer)
            if lease is not None:
                await _check_lease(tx, lease)
            yield tx

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["AsyncConnection[Row]"]:
        import psycopg
        from psycopg_pool import PoolClosed, PoolTimeout

        if self._pool is None:
            raise DatabaseUnavailable("the database is not open")
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (
            psycopg.OperationalError,
            psycopg.InterfaceError,
            psycopg.errors.IdleInTransactionSessionTimeout,
            PoolTimeout,
            PoolClosed,
        ) as error:
            raise DatabaseUnavailable(f"Postgres does not answer: {plain_error(error)}") from error


async def _configure(connection: "AsyncConnection[Row]") -> None:
    """Sessions work as the application's role even when the DSN names a mightier one."""
    await connection.execute("select set_config('search_path', 'interlock, pg_catalog', false)")
    await connection.execute(
        "select set_config('statement_timeout', %s, false)", [str(int(STATEMENT_TIMEOUT_S * 1000))]
    )
    await connection.execute(
        "select set_config('idle_in_transaction_session_timeout', %s, false)", [str(int(IDLE_TRANSACTION_S * 1000))]
    )
    await connection.execute(f"set role {APP_ROLE}")
    await connection.commit()


async def _check_lease(tx: Transaction, lease: Lease) -> None:
    row = await tx.row("select epoch from task where id = %s for update", [lease.task_id])
    if row is None or row["epoch"] != lease.epoch:
        raise Fenced(f"another worker has task {lease.task_id[:8]} now")
