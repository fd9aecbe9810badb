"""Forgets tasks that ended long ago, with all that only they refer to; the audit record stays, and tells of it.

Each batch is one commit: it is forgotten as a whole or not at all, whoever dies when. One process at a time does it.
"""

import asyncio
import datetime
import logging
from dataclasses import asdict

from interlock.audit import record
from interlock.config import Project, fault_point
from interlock.model import AuditEntry, Exhausted, Unavailable
from interlock.store import Database, retention_rows, version_rows

log = logging.getLogger("interlock.retention")
LOOK_EVERY_S = 300.0
PAUSE_S = 1.0
BATCH = 50
ACTOR = "system:retention"


async def keep_retention(database: Database, project: Project) -> None:
    """Forget what is due, every five minutes, until cancelled; batch by batch, with pauses for others."""
    while True:
        forgotten = 0
        try:
            forgotten = await forget_old(database, project)
        except (Unavailable, Exhausted) as error:
            log.warning("retention.delayed error=%s", error.message)
        await asyncio.sleep(PAUSE_S if forgotten else LOOK_EVERY_S)


async def forget_old(database: Database, project: Project) -> int:
    """Forget one batch of what is due now; how many tasks.

    Only for the configuration that was applied last: one with an older one leaves it to others.

    Raises:
        Unavailable: the database does not answer, or a row stayed locked; nothing was forgotten.
        Exhausted: too much is being undone just now.
    """
    kept_s = project.config.server.retention.tasks
    if kept_s is None:
        return 0
    async with database.transaction() as tx:
        if (await version_rows.standing(tx)).sha256 != project.sha256 or not await retention_rows.claim(tx):
            return 0
        before = tx.clock.now() - datetime.timedelta(seconds=kept_s)
        ids = await retention_rows.take_due(tx, before, BATCH)
        if not ids:
            return 0
        found = await retention_rows.forget(tx, ids)
        detail = {**asdict(found), "tasks": len(ids), "ids": ids, "ended_before": before.isoformat()}
        await record(tx, AuditEntry("retention.deleted", ACTOR, {}, detail))
        fault_point("retention.deleted")
    log.info("retention.deleted tasks=%d calls=%d blobs=%d", len(ids), found.calls, found.blobs)
    fault_point("retention.committed")
    return len(ids)
