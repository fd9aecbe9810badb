"""Bearer tokens of outside agents; only their hashes are kept."""

import datetime
import hashlib
from dataclasses import dataclass

from interlock.store.database import Row, Transaction


@dataclass(frozen=True)
class AgentToken:
    """Who may call tools from outside.

    Attributes:
        id: the part of the token that is no secret.
        agent: whose tools and limits it has.
        task_id: the one task that it is for; None: calls get a task of their own.
        expires_at: None: never.
    """

    id: str
    agent: str
    task_id: str | None
    created_at: datetime.datetime
    created_by: str
    expires_at: datetime.datetime | None
    used_at: datetime.datetime | None = None
    revoked_at: datetime.datetime | None = None


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def add(tx: Transaction, made: AgentToken, token: str) -> None:
    """Keep a new token, as its hash."""
    await tx.run(
        "insert into agent_token (id, sha256, agent, task_id, created_at, created_by, expires_at)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        [made.id, _sha256(token), made.agent, made.task_id, made.created_at, made.created_by, made.expires_at],
    )


async def find(tx: Transaction, token: str) -> AgentToken | None:
    """The token if it is known, not revoked and not expired; notes once a minute that it was used."""
    now = tx.clock.now()
    row = await tx.row(
        "select * from agent_token where sha256 = %s and revoked_at is null and (expires_at is null or expires_at > %s)",
        [_sha256(token), now],
    )
    if row is None:
        return None
    if row["used_at"] is None or (now - row["used_at"]).total_seconds() > 60:
        await tx.run("update agent_token set used_at = %s where id = %s", [now, row["id"]])
    return _token(row)


async def listing(tx: Transaction, limit: int = 1000) -> list[AgentToken]:
    """All tokens, newest first."""
    rows = await tx.rows("select * from agent_token order by created_at desc limit %s", [limit])
    return [_token(row) for row in rows]


async def revoke(tx: Transaction, token_id: str) -> bool:
    """End a token; False when there is none of that id that is still good."""
    count = await tx.run(
        "update agent_token set revoked_at = %s where id = %s and revoked_at is null", [tx.clock.now(), token_id]
    )
    return count == 1


def _token(row: Row) -> AgentToken:
    return AgentToken(
        id=row["id"],
        agent=row["agent"],
        task_id=None if row["task_id"] is None else str(row["task_id"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        expires_at=row["expires_at"],
        used_at=row["used_at"],
        revoked_at=row["revoked_at"],
    )
