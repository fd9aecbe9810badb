"""Tokens that let agents outside in: made once, shown once, kept as hashes."""

import datetime
from dataclasses import dataclass
from typing import Any

from interlock.app.views import when
from interlock.audit import record
from interlock.config import Project, new_token, parse_duration_s, token_id
from interlock.model import AuditEntry, Bug, Conflict, NotFound, UnknownAgent, UserError
from interlock.store import AgentToken, Database, task_rows, token_rows

_CREATE = "interlock tokens create --agent AGENT --expires 30d"


@dataclass(frozen=True)
class Tokens:
    """The tokens of agents outside."""

    database: Database
    project: Project

    async def create(self, body: dict[str, Any], by: str) -> dict[str, Any]:
        """Make one; `body` is `{agent, expires?, task?}`. What comes back holds the token itself, this once.

        Raises:
            UnknownAgent: no such agent is configured.
            UserError: the duration is none.
            Conflict: the task is of another agent, or over.
        """
        agent = str(body.get("agent", ""))
        if agent not in self.project.config.agents:
            known = ", ".join(sorted(self.project.config.agents)) or "none"
            raise UnknownAgent(f"there is no agent '{agent[:100]}'; configured are: {known}")
        secret = new_token()
        name = token_id(secret)
        if name is None:
            raise Bug("a new token does not pass its own check")
        async with self.database.transaction() as tx:
            now = tx.clock.now()
            task_id = None
            if body.get("task") is not None:
                task_id = await task_rows.resolve_id(tx, "task", str(body["task"]))
                task = await task_rows.get(tx, task_id)
                if task.kind != "outside" or task.agent != agent or task.state.final:
                    raise Conflict(
                        f"task {task_id} is {task.state} and of the agent '{task.agent}': no calls from outside are for it",
                        hint=f"interlock tasks show {task_id}",
                    )
            made = AgentToken(name, agent, task_id, now, by, _expiry(body.get("expires"), now))
            await token_rows.add(tx, made, secret)
            detail = {"agent": agent, "expires_at": when(made.expires_at)}
            await record(tx, AuditEntry("token.created", by, {"token": name, "task": task_id}, detail))
        return {**token_view(made, now), "token": secret}

    async def listing(self) -> list[dict[str, Any]]:
        """All of them, newest first; never the tokens themselves."""
        async with self.database.transaction() as tx:
            now = tx.clock.now()
            return [token_view(token, now) for token in await token_rows.listing(tx)]

    async def revoke(self, name: str, by: str) -> dict[str, Any]:
        """End one for good.

        Raises:
            NotFound: there is none of that id.
            Conflict: it was revoked before.
        """
        async with self.database.transaction() as tx:
            known = next((token for token in await token_rows.listing(tx) if token.id == name), None)
            if known is None:
                raise NotFound(f"there is no token '{name[:40]}'", hint="interlock tokens list")
            if not await token_rows.revoke(tx, name):
                raise Conflict(f"token {name} was revoked before", hint="interlock tokens list")
            await record(tx, AuditEntry("token.revoked", by, {"token": name}, {"agent": known.agent}))
            now = tx.clock.now()
            after = next(token for token in await token_rows.listing(tx) if token.id == name)
        return token_view(after, now)


def token_view(token: AgentToken, now: datetime.datetime) -> dict[str, Any]:
    """A token as in lists; `state` is active, expired or revoked."""
    expired = token.expires_at is not None and token.expires_at <= now
    return {
        "id": token.id,
        "agent": token.agent,
        "task": token.task_id,
        "state": "revoked" if token.revoked_at else "expired" if expired else "active",
        "created_at": when(token.created_at),
        "created_by": token.created_by,
        "expires_at": when(token.expires_at),
        "used_at": when(token.used_at),
        "revoked_at": when(token.revoked_at),
    }


def _expiry(text: Any, now: datetime.datetime) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        seconds = parse_duration_s(text)
    except ValueError as error:
        raise UserError(f"expires: {error}", hint=_CREATE) from error
    if seconds <= 0:
        raise UserError("expires: a token that is over at once lets nobody in", hint=_CREATE)
    return now + datetime.timedelta(seconds=seconds)
