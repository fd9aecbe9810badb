"""Tasks and those that they brought about: who waits for whom, and who is left over."""

from dataclasses import dataclass

from interlock.model import Call, Task
from interlock.store.calls import call_of
from interlock.store.database import Row, Transaction
from interlock.store.tasks import task_of

AT_ONCE = 200


@dataclass(frozen=True)
class Family:
    """A task that waits, and whether it waits for its effects to be taken back."""

    task_id: str
    undoing: bool


async def child_of_call(tx: Transaction, call_id: str) -> Task | None:
    """The task that a call gave away."""
    row = await tx.row("select * from task where parent_call = %s", [call_id])
    return None if row is None else task_of(tx, row)


async def children(tx: Transaction, task_id: str) -> list[Task]:
    """All tasks that a task brought about, oldest first."""
    rows = await tx.rows("select * from task where parent_id = %s order by id limit 1000", [task_id])
    return [task_of(tx, row) for row in rows]


async def open_children(tx: Transaction, task_id: str, run_no: int) -> int:
    """How many tasks that a run gave away are not done."""
    row = await tx.row(
        "select count(*) as n from task t join call c on c.id = t.parent_call where t.parent_id = %s and c.run_no = %s"
        " and t.state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected')",
        [task_id, run_no],
    )
    return 0 if row is None else int(row["n"])


async def given(tx: Transaction, task_id: str) -> int:
    """How many tasks a task has given away so far."""
    row = await tx.row("select count(*) as n from task where parent_id = %s and parent_call is not null", [task_id])
    return 0 if row is None else int(row["n"])


async def waiting_for_nothing(tx: Transaction, parent_id: str | None = None) -> list[Family]:
    """Tasks that wait for others of which none is under way any more; of all, or only this one."""
    rows = await tx.rows(
        "select p.id, p.parked is not null as undoing from task p where p.state = 'waiting_children'"
        " and (%(only)s::uuid is null or p.id = %(only)s) and not exists (select 1 from task c where c.parent_id = p.id"
        "   and c.state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected')) limit %(limit)s",
        {"only": parent_id, "limit": AT_ONCE},
    )
    return [Family(str(row["id"]), row["undoing"]) for row in rows]


async def left_over(tx: Transaction) -> list[tuple[str, str]]:
    """Tasks that nobody waits for any more, with why: what gave them away is over, is cancelled, or began another run."""
    rows = await tx.rows(
        "select t.id, p.state, p.cancel_requested, c.run_no < p.run_no as tried_again"
        " from task t join task p on p.id = t.parent_id join call c on c.id = t.parent_call"
        " where t.parent_id is not null and t.state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected')"
        " and not t.cancel_requested and (p.cancel_requested or c.run_no < p.run_no"
        "   or p.state in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected')) limit %s",
        [AT_ONCE],
    )
    return [(str(row["id"]), _why_left(row)) for row in rows]


def _why_left(row: Row) -> str:
    if row["cancel_requested"]:
        return "is cancelled"
    return "began another run" if row["tried_again"] else f"is {row['state']}"


async def calls_of_family(tx: Transaction, task_id: str) -> list[Call]:
    """The calls of a task and of all that it gave away, and they again, in the order in which they began."""
    rows = await tx.rows(
        "with recursive family as (select %(task)s::uuid as id"
        " union all select t.id from task t join family f on t.parent_id = f.id where t.parent_call is not null)"
        " select c.* from call c join family f on f.id = c.task_id order by coalesce(c.started_at, c.created_at), c.id",
        {"task": task_id},
    )
    return [call_of(tx, row) for row in rows]


async def at_work(tx: Transaction, task_id: str) -> str | None:
    """A task below this one that a worker holds; None when there is none."""
    row = await tx.row(
        "select id from task where above @> array['task:' || %s] and kind = 'agent' and state in ('running', 'verifying')"
        " limit 1",
        [task_id],
    )
    return None if row is None else str(row["id"])
