"""Reads that are answered again without asking the server, where the operator says for how long (`cache: 30s`).

A result is used again only for the same agent, tenant and configuration, the same accepted definition and the same
arguments, and only until anybody makes a call that is not a read at that server.
"""

import datetime

from interlock.guardrails.case import Subject
from interlock.model import ActionClass, ToolDefinition, ToolResult, canonical_sha256
from interlock.store import CachedLook, Transaction, cached_rows


def cache_key(
    subject: Subject, definition: ToolDefinition, args: object, *, run: str | None = None, tenant: str = "default"
) -> str:
    """The hash that equal reads share.

    Args:
        subject: on whose behalf.
        definition: of the tool, as it is pinned.
        args: of the call.
        run: for whom the server has a process of its own (`scope: run`); such results stay in the run.
        tenant: of the task.
    """
    return canonical_sha256(
        {
            "agent": subject.name,
            "tenant": tenant,
            "config": subject.task.config_sha256,
            "server": definition.ref.server,
            "tool": definition.ref.name,
            "pin": definition.pin_sha256,
            "args": args,
            "run": run,
        }
    )


def may_be_kept(action_class: ActionClass, result: ToolResult) -> bool:
    """Only good and whole results of reads; a call that may change something is always made."""
    return action_class is ActionClass.READ and result.ok and not result.truncated


async def find(tx: Transaction, key: str) -> CachedLook:
    """What may be used again; if there is nothing, `at` goes to `keep` together with the result of the real read."""
    return await cached_rows.get(tx, key)


async def keep(
    tx: Transaction, key: str, definition: ToolDefinition, result: ToolResult, ttl_s: float, begun_at: datetime.datetime
) -> bool:
    """Keep the result of a read (see `may_be_kept`) that was begun at a moment of the database; False if too large."""
    return await cached_rows.put(tx, key, definition.ref.server, result, ttl_s, begun_at)


async def forget(tx: Transaction, server: str) -> None:
    """For a call that is not a read: call it when it starts and when it ends, as one of the last statements.

    In between, the server may be asked while it changes; the second time drops what was read then.
    """
    await cached_rows.forget(tx, server)
