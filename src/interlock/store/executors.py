"""Who works: a row with a heartbeat, and a session lock that dies with the process.

Heartbeats are told by the database's clock, so that hosts whose clocks differ agree on who is silent.
"""

from dataclasses import dataclass

from interlock.store.database import Row, Transaction
from interlock.store.dsn import connection_error


@dataclass(frozen=True)
class Arrival:
    """A process that joins.

    Attributes:
        executor_id: its name.
        host: where it runs, with what tells apart hosts of one name.
        pid: its process.
        config_sha256: the version of the configuration that it has.
        idle_because: why it takes no tasks, if it does not.
    """

    executor_id: str
    host: str
    pid: int
    config_sha256: str
    idle_because: str | None = None


async def register(tx: Transaction, arrival: Arrival) -> None:
    """Add this process."""
    await tx.run(
        "insert into executor (executor_id, host, pid, started_at, heartbeat_at, config_sha256, idle_because)"
        " values (%s, %s, %s, now(), now(), %s, %s)",
        [arrival.executor_id, arrival.host, arrival.pid, arrival.config_sha256, arrival.idle_because],
    )


async def say_idle(tx: Transaction, executor_id: str, because: str) -> None:
    """Say why this process takes no tasks."""
    await tx.run("update executor set idle_because = %s where executor_id = %s", [because, executor_id])


async def beat(tx: Transaction, executor_id: str) -> bool:
    """Say that this process lives; False when it was declared dead."""
    count = await tx.run("update executor set heartbeat_at = now() where executor_id = %s", [executor_id])
    return count == 1


async def remove(tx: Transaction, executor_id: str) -> None:
    """Forget a process that ended."""
    await tx.run("delete from executor where executor_id = %s", [executor_id])


async def listing(tx: Transaction) -> list[Row]:
    """All processes that work; shape: the row and `silent_s`, the seconds since the last heartbeat."""
    return await tx.rows(
        "select *, extract(epoch from now() - heartbeat_at)::float8 as silent_s from executor order by started_at"
    )


async def claim_reaper(tx: Transaction) -> bool:
    """Become the one reaper until the transaction ends, which waits two seconds at most for a row that is locked."""
    row = await tx.row(
        "select set_config('lock_timeout', '2s', true), pg_try_advisory_xact_lock(%s) as mine", [7440_0003]
    )
    return bool(row and row["mine"])


async def session_lock_free(tx: Transaction, executor_id: str) -> bool:
    """True when no living session holds the executor's lock."""
    row = await tx.row("select pg_try_advisory_xact_lock(hashtextextended(%s, 0)) as free", [executor_id])
    return bool(row and row["free"])


class SessionLock:
    """Holds the executor's advisory lock on a connection of its own for as long as the process lives."""

    def __init__(self, conninfo: str, executor_id: str) -> None:
        self._conninfo = conninfo
        self.executor_id = executor_id
        self._connection: object | None = None

    async def take(self) -> None:
        """Connect and lock.

        Raises:
            DatabaseUnavailable: Postgres does not answer.
            DatabaseUnfit: it refuses the login.
        """
        import psycopg

        try:
            connection = await psycopg.AsyncConnection.connect(
                self._conninfo,
                autocommit=True,
                connect_timeout=10,
                keepalives=1,
                keepalives_idle=5,
                keepalives_count=3,
            )
            await connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [self.executor_id])
        except psycopg.OperationalError as error:
            raise connection_error(error, self._conninfo) from error
        self._connection = connection

    async def alive(self) -> bool:
        """True while the session, and with it the lock, stands."""
        import psycopg

        connection = self._connection
        if not isinstance(connection, psycopg.AsyncConnection) or connection.closed:
            return False
        try:
            await connection.execute("select 1")
        except psycopg.Error:
            return False
        return True

    async def release(self) -> None:
        """Give the lock up."""
        import psycopg

        if isinstance(self._connection, psycopg.AsyncConnection):
            await self._connection.close()
        self._connection = None
