"""What people and programs see of workers."""

from collections.abc import Sequence
from typing import Any

from interlock.app.views import when
from interlock.store import Row


def worker_view(row: Row) -> dict[str, Any]:
    """A worker; `idle_because` says why it takes no tasks, if it does not."""
    return {
        "id": row["executor_id"],
        "host": row["host"].partition("@")[0],
        "pid": row["pid"],
        "heartbeat_at": when(row["heartbeat_at"]),
        "config_sha256": row["config_sha256"],
        "idle_because": row["idle_because"],
    }


def worker_warnings(rows: Sequence[Row]) -> list[str]:
    """Why tasks stay in the queue, or wait longer than they must."""
    if not rows:
        return ["no worker runs: tasks stay in the queue"]
    idle = [row for row in rows if row["idle_because"] is not None]
    told = [
        f"worker {row['host'].partition('@')[0]}:{row['pid']} takes no tasks: {row['idle_because']}" for row in idle
    ]
    return ["no worker takes tasks: they stay in the queue", *told] if len(idle) == len(rows) else told


def fleet_note(rows: Sequence[Row]) -> dict[str, Any]:
    """How many take tasks, how many do not, and where the reasons are."""
    idle = sum(row["idle_because"] is not None for row in rows)
    note = f"{idle} of {len(rows)} workers take no tasks; interlock status says why" if idle else ""
    return {"workers": len(rows) - idle, "idle_workers": idle, "note": note}
