"""Logins to remote tool servers, sealed: one JSON object per server, and nobody but its owner knows its shape."""

from typing import Any

from interlock.store.database import Transaction


async def get(tx: Transaction, server: str) -> dict[str, Any] | None:
    """What is kept of one server, or None.

    Raises:
        ConfigError: it was sealed with another data key, altered or moved.
    """
    row = await tx.row("select body from server_credential where server = %s", [server])
    return None if row is None else dict(tx.sealer.open(row["body"], _place(server)))


async def put(tx: Transaction, server: str, data: dict[str, Any]) -> None:
    """Keep it, instead of what was there."""
    await tx.run(
        "insert into server_credential (server, body, changed_at) values (%s, %s, clock_timestamp())"
        " on conflict (server) do update set body = excluded.body, changed_at = excluded.changed_at",
        [server, tx.sealer.seal(data, _place(server))],
    )


async def delete(tx: Transaction, server: str) -> bool:
    """Forget it; False when there was nothing."""
    return await tx.run("delete from server_credential where server = %s", [server]) == 1


def _place(server: str) -> str:
    return f"server_credential.body:{server}"
