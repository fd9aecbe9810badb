"""Logins to remote servers are kept sealed, each bound to its server."""

import pytest

from interlock.model import ConfigError
from interlock.store import Database, credential_rows

DATA = {"tokens": {"access_token": "a-canary-of-a-token"}}


async def test_a_login_is_kept_replaced_and_forgotten(interlock_database: Database) -> None:
    async with interlock_database.transaction() as tx:
        assert await credential_rows.get(tx, "far") is None
        await credential_rows.put(tx, "far", {"old": True})
        await credential_rows.put(tx, "far", DATA)
    async with interlock_database.transaction() as tx:
        assert await credential_rows.get(tx, "far") == DATA
        assert await credential_rows.delete(tx, "far")
        assert not await credential_rows.delete(tx, "far")
        assert await credential_rows.get(tx, "far") is None


async def test_the_database_sees_no_token_and_a_moved_row_does_not_open(interlock_database: Database) -> None:
    async with interlock_database.transaction() as tx:
        await credential_rows.put(tx, "far", DATA)
        row = await tx.row("select body from server_credential")
        assert row is not None
        assert b"canary" not in bytes(row["body"])
        await tx.run("update server_credential set server = 'near'")
        with pytest.raises(ConfigError):
            await credential_rows.get(tx, "near")
