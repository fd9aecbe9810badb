"""What is known of triggers, and the deliveries that were taken in lately."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from interlock.store.database import Transaction

_PRUNED_AT_ONCE = 200


@dataclass(frozen=True)
class TriggerRow:
    """When a trigger fired last, and the task that it started."""

    name: str
    last_fired: datetime.datetime | None
    last_task: str | None


async def listing(tx: Transaction) -> dict[str, TriggerRow]:
    """All rows by name; triggers that are not configured any more among them."""
    return {
        row["name"]: TriggerRow(
            row["name"], row["last_fired"], None if row["last_task"] is None else str(row["last_task"])
        )
        for row in await tx.rows("select * from trigger_state order by name")
    }


async def lock(tx: Transaction, name: str) -> None:
    """Let nobody else take a delivery of this trigger in until the transaction ends."""
    await tx.run("insert into trigger_state (name) values (%s) on conflict do nothing", [name])
    await tx.row("select 1 from trigger_state where name = %s for update", [name])


async def note_fired(tx: Transaction, name: str, task_id: str) -> None:
    """Keep what was started last."""
    await tx.run(
        "update trigger_state set last_fired = %s, last_task = %s where name = %s", [tx.clock.now(), task_id, name]
    )


async def known_deliveries(tx: Transaction, name: str, keys: Sequence[str]) -> dict[str, str]:
    """Those of these deliveries that were taken in before; shape `{key: task id}`."""
    rows = await tx.rows(
        "select key, task from trigger_delivery where name = %s and key = any(%s) and expires_at > %s",
        [name, list(keys), tx.clock.now()],
    )
    return {row["key"]: str(row["task"]) for row in rows}


async def remember(tx: Transaction, name: str, key: str, task_id: str, for_s: float) -> None:
    """Know a delivery again for so long, and forget some whose time is over."""
    now = tx.clock.now()
    await tx.run(
        "insert into trigger_delivery (name, key, task, expires_at) values (%s, %s, %s, %s)"
        " on conflict (name, key) do update set task = excluded.task, expires_at = excluded.expires_at",
        [name, key, task_id, now + datetime.timedelta(seconds=for_s)],
    )
    await tx.run(
        "delete from trigger_delivery where ctid = any(array(select ctid from trigger_delivery"
        " where expires_at <= %s order by expires_at limit %s for update skip locked))",
        [now, _PRUNED_AT_ONCE],
    )


async def leave_untold(tx: Transaction, name: str, count: int) -> None:
    """Count refusals that the audit does not tell of now."""
    await tx.run(
        "insert into trigger_state as t (name, untold) values (%s, %s)"
        " on conflict (name) do update set untold = t.untold + excluded.untold",
        [name, count],
    )


async def take_untold(tx: Transaction, name: str) -> int:
    """How many refusals the audit has not told of, which it does now."""
    row = await tx.row("select untold from trigger_state where name = %s and untold > 0 for update", [name])
    if row is None:
        return 0
    await tx.run("update trigger_state set untold = 0 where name = %s", [name])
    return int(row["untold"])
