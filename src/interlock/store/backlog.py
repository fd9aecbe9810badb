"""How many tasks of each agent wait for their turn; the database counts, in the commits that change it."""

from interlock.store.database import Transaction


async def waiting(tx: Transaction, agent: str) -> int:
    """Tasks of an agent that are queued or delayed, those of this transaction among them."""
    row = await tx.row(
        "select coalesce(sum(waiting), 0)::bigint as n from backlog where tenant = 'default' and agent = %s", [agent]
    )
    return 0 if row is None else int(row["n"])


async def by_agent(tx: Transaction) -> dict[str, int]:
    """The same for each agent that ever had one."""
    rows = await tx.rows("select agent, sum(waiting)::bigint as n from backlog where tenant = 'default' group by agent")
    return {str(row["agent"]): int(row["n"]) for row in rows}
