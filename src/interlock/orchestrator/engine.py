"""The dispatcher behind a seam: DBOS on the same Postgres takes segments from the queue and calls us with them.

It is used as an outer dispatcher only: a segment is one workflow without steps, our own rows hold everything else.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, Protocol, TypeAlias

from interlock.store import dispatch_rows as dispatch
from interlock.store import mark_prepared, prepared, preparing

RunSegment: TypeAlias = Callable[[str, int], Awaitable[dict[str, str]]]
POLL_S = 0.1  # half of it is what a task waits for an idle worker, and asking is what an idle worker costs
SELDOM_S = 2.0  # where no server is bound to a machine, but tasks of before may be
STOP_TIMEOUT_S = 15.0
IDLE_TRANSACTION_S = 15.0  # so that a process that is stopped does not keep rows locked for long
_PART = "dbos"


class Engine(Protocol):
    """Takes segments that are due and runs a bounded number of them at a time."""

    def load(self) -> None:
        """Import what it needs, which takes seconds on a busy machine."""
        ...

    async def start(self, run: RunSegment, concurrency: int) -> None:
        """Begin to take segments."""
        ...

    async def stop(self, patience_s: float) -> None:
        """Take no more segments, wait for those in hand for as long as `patience_s`, and disconnect."""
        ...


def prepare_dispatcher(owner_conninfo: str, owner_url: str, app_role: str) -> None:
    """Bring the dispatcher's schema up to date and let the application's role use it; skipped when it is current.

    Raises:
        DatabaseUnfit: it is not current, and this role does not own it.
    """
    current = version("dbos")
    if prepared(owner_conninfo, _PART) == current:
        return
    from dbos import DBOS

    with preparing(owner_conninfo):
        if prepared(owner_conninfo, _PART) != current:  # another process may have been first
            DBOS.migrate(owner_url, application_role=app_role)
            mark_prepared(owner_conninfo, _PART, current)


class DbosEngine:
    """DBOS Transact 3.4, once per process."""

    def __init__(self, app_url: str, executor_id: str, host: str | None = None, *, bound: bool = False) -> None:
        """Nothing is started yet.

        Args:
            app_url: of the database.
            executor_id: the name of this process.
            host: the machine whose own segments it takes too.
            bound: whether there are likely to be any, so that they are looked for as often as others.
        """
        self._url = app_url
        self._executor_id = executor_id
        self._polls = {dispatch.QUEUE: POLL_S}
        if host is not None:
            self._polls[dispatch.queue_of(host)] = POLL_S if bound else SELDOM_S

    def load(self) -> None:
        """Import what it needs, which takes seconds on a busy machine."""
        import dbos

        del dbos

    async def start(self, run: RunSegment, concurrency: int) -> None:
        """Begin to take segments."""
        from dbos import DBOS, DBOSConfig
        from dbos._serialization import DBOSPortableJSONSerializer

        config = DBOSConfig(
            name=dispatch.APPLICATION,
            system_database_url=self._url,
            executor_id=self._executor_id,
            application_version=dispatch.PROTOCOL_VERSION,
            sys_db_pool_size=max(5, min(20, concurrency)),
            sys_db_idle_transaction_timeout_sec=IDLE_TRANSACTION_S,
            log_level="ERROR",
            run_migrations=False,
            serializer=DBOSPortableJSONSerializer(),
        )
        DBOS(config=config)

        @DBOS.workflow(name=dispatch.WORKFLOW, max_recovery_attempts=50)
        async def segment(task_id: str, segment_no: int) -> dict[str, Any]:
            return dict(await run(task_id, segment_no))

        DBOS.listen_queues(list(self._polls))
        DBOS.launch()
        for queue, poll_s in self._polls.items():
            await DBOS.register_queue_async(
                queue, worker_concurrency=concurrency, polling_interval_sec=poll_s, on_conflict="always_update"
            )

    async def stop(self, patience_s: float) -> None:
        """Take no more segments, wait for those in hand, and disconnect."""
        from dbos import DBOS

        whole_s = max(1, int(patience_s))
        destroy = asyncio.to_thread(lambda: DBOS.destroy(workflow_completion_timeout_sec=whole_s))
        try:
            await asyncio.wait_for(destroy, whole_s + STOP_TIMEOUT_S)
        finally:
            # DBOS made its own threads the loop's default, and they are gone now.
            own = ThreadPoolExecutor(max_workers=8, thread_name_prefix="interlock")
            asyncio.get_running_loop().set_default_executor(own)
