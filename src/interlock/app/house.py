"""What the process that `up` starts does beside answering requests, and what it can say about itself."""

import asyncio
from dataclasses import dataclass

from interlock import audit, orchestrator
from interlock.app.build import this_host
from interlock.app.control import Control
from interlock.store import Database, database_facts


async def keep_house(control: Control) -> None:
    """Take over from dead workers, expire questions, keep the audit chain and schedules, forget what is long over.

    And watch tools and agents outside, and tell of deliveries that were refused. Until it is cancelled.
    """
    host = control.host or this_host()
    chores = [
        asyncio.create_task(orchestrator.housekeeping(control.database, host, control.project), name="housekeeping"),
        asyncio.create_task(audit.keep_sequencing(control.database), name="sequencer"),
        asyncio.create_task(control.fleet.watch(), name="tools"),
        asyncio.create_task(orchestrator.keep_schedules(control.database, control.project), name="schedules"),
        asyncio.create_task(orchestrator.keep_retention(control.database, control.project), name="retention"),
    ]
    if control.triggers is not None:
        chores.append(asyncio.create_task(control.triggers.watch(), name="triggers"))
    if control.gateway is not None:
        chores.append(asyncio.create_task(control.gateway.runs.watch(), name="gateway"))
    try:
        await asyncio.gather(*chores)
    finally:
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)


async def wake_tools(control: Control) -> list[str]:
    """Start every tool server, and accept the tools of those that were never seen before.

    Returns sentences about servers that could not be asked; their health says more.
    """
    await control.fleet.toolbox.start()
    return await control.fleet.accept_first_seen("system:up")


@dataclass(frozen=True)
class DatabaseFacts:
    """What the database of a control plane or a project is.

    Attributes:
        version: of Postgres, as it says itself.
        role: which our sessions work as.
        mighty: that role is a superuser, which it must not be.
        vector: the version of pgvector that could be used, if there is one.
        ahead_s: how many seconds its clock is ahead of ours.
    """

    version: str
    role: str
    mighty: bool
    vector: str | None
    ahead_s: float


async def facts_of(database: Database) -> DatabaseFacts:
    """Ask an open database."""
    async with database.transaction() as tx:
        before = database.clock.now()
        row = await database_facts(tx)
        after = database.clock.now()
    ahead_s = (row["now"] - (before + (after - before) / 2)).total_seconds()
    return DatabaseFacts(str(row["version"]), str(row["role"]), bool(row["mighty"]), row["vector"], ahead_s)
