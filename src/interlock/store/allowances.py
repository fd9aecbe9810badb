"""One primitive for money, calls, files and services: cap, reserved, used; reserve and settle are one statement each."""

import datetime
from dataclasses import dataclass

from interlock.store.database import Row, Transaction

FOREVER = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Claim:
    """An amount of a resource in a scope, within a window that begins at `window_at`."""

    scope: str
    resource: str
    amount: float
    cap: float
    window_at: datetime.datetime = FOREVER


async def reserve(tx: Transaction, claims: list[Claim], *, beyond: bool = False) -> Claim | None:
    """Reserve all or nothing; the first claim that does not fit, or None when all do; `beyond` the caps all do.

    Rows are locked in one order, so that two workers never wait for each other. When one does not fit, the caller
    ends the transaction or goes on; nothing was reserved.
    """
    ordered = sorted(claims, key=lambda claim: (claim.scope, claim.resource, claim.window_at))
    for claim in ordered:
        await tx.run(
            "insert into allowance (scope, resource, window_at, cap) values (%s, %s, %s, %s)"
            " on conflict (scope, resource, window_at) do update set cap = excluded.cap",
            [claim.scope, claim.resource, claim.window_at, claim.cap],
        )
    for claim in ordered:
        row = await tx.row(
            "select cap - used - reserved as room from allowance where scope = %s and resource = %s and window_at = %s",
            [claim.scope, claim.resource, claim.window_at],
        )
        if row is None or (row["room"] < claim.amount and not beyond):
            return claim
    for claim in ordered:
        await tx.run(
            "update allowance set reserved = reserved + %s where scope = %s and resource = %s and window_at = %s",
            [claim.amount, claim.scope, claim.resource, claim.window_at],
        )
    return None


async def settle(tx: Transaction, claim: Claim, actual: float) -> None:
    """Turn a reservation into use; `actual` may be less or more than what was reserved."""
    await tx.run(
        "update allowance set reserved = greatest(0, reserved - %s), used = used + %s"
        " where scope = %s and resource = %s and window_at = %s",
        [claim.amount, actual, claim.scope, claim.resource, claim.window_at],
    )


async def of_scope(tx: Transaction, scope: str) -> list[Row]:
    """All allowances of a scope; shape `{resource, window_at, cap, reserved, used}`."""
    return await tx.rows(
        "select resource, window_at, cap, reserved, used from allowance where scope = %s order by resource, window_at desc",
        [scope],
    )
