"""What keeps a task from beginning now: halts, a paused queue, a full house; and those that were set aside for it."""

from dataclasses import dataclass

from interlock.model import Task
from interlock.store.database import Row, Transaction

QUEUE = "queue:"
HALT, PAUSE, FULL = "halt", "pause", "full"


@dataclass(frozen=True)
class Room:
    """How many tasks may run at a time; None: as many as the workers take.

    Attributes:
        agent: of one agent.
        everyone: of all agents together.
    """

    agent: int | None = None
    everyone: int | None = None


@dataclass(frozen=True)
class Obstacle:
    """Why a task may not begin now: `kind` is halt, pause or full, `reason` a sentence."""

    kind: str
    reason: str


def scopes_of(task: Task) -> list[str]:
    """The halts that stop a task as a whole: of everyone, of its agent, of the agents of the tasks above."""
    return ["all", f"agent:{task.agent}", *(f"agent:{above.agent}" for above in task.lineage)]


def stops_of(task: Task) -> tuple[str, ...]:
    """The halts and pauses that keep a task from beginning."""
    return (*scopes_of(task), f"{QUEUE}all", f"{QUEUE}agent:{task.agent}")


async def halted(tx: Transaction, task: Task) -> Obstacle | None:
    """The halt that stops a task, if there is one."""
    return _stop(await _stops(tx, scopes_of(task)))


async def obstacle(tx: Transaction, task: Task, room: Room) -> Obstacle | None:
    """What keeps a locked task from beginning now.

    With a bound, whoever asks waits for those who ask at the same moment, so that no two take the last place.
    """
    found = _stop(await _stops(tx, list(stops_of(task))))
    if found is not None:
        return found
    for cap, agent in ((room.everyone, None), (room.agent, task.agent)):
        if cap is None:
            continue
        await tx.run("select pg_advisory_xact_lock(hashtextextended(%s, 7))", [f"interlock.room:{agent or ''}"])
        taken = await running(tx, agent, besides=task.id)
        if taken >= cap:
            whose = "all agents together" if agent is None else f"the agent '{agent}'"
            return Obstacle(FULL, f"{taken} tasks of {whose} run, as many as may; it begins when one has ended")
    return None


async def running(tx: Transaction, agent: str | None, besides: str | None = None) -> int:
    """How many tasks are in the hands of workers."""
    row = await tx.row(
        "select count(*) as n from task where state in ('running', 'verifying') and kind = 'agent'"
        " and (%(agent)s::text is null or agent = %(agent)s) and (%(besides)s::uuid is null or id <> %(besides)s)",
        {"agent": agent, "besides": besides},
    )
    return 0 if row is None else int(row["n"])


async def _stops(tx: Transaction, scopes: list[str]) -> Row | None:
    return await tx.row(
        "select scope, by, reason from halt where scope = any(%s) order by scope like 'queue:%%', scope limit 1",
        [scopes],
    )


def _stop(row: Row | None) -> Obstacle | None:
    if row is None:
        return None
    scope = str(row["scope"])
    if scope.startswith(QUEUE):
        what = scope.removeprefix(QUEUE)
        whose = "the queue" if what == "all" else f"the queue of {what.replace(':', ' ')}"
        return Obstacle(PAUSE, f"{whose} is paused by {row['by']}: {row['reason']}")
    whose = "everything" if scope == "all" else scope.replace(":", " ")
    return Obstacle(HALT, f"{whose} is halted by {row['by']}: {row['reason']}")


async def parked_agents(tx: Transaction) -> list[str]:
    """The agents that have tasks set aside."""
    return [
        str(row["agent"])
        for row in await tx.rows(
            "select distinct agent from task where parked is not null and state = 'queued' limit 1000"
        )
    ]


async def first_parked(tx: Transaction, agent: str, limit: int) -> list[str]:
    """Tasks of an agent that were set aside, in the order of the queue; those that somebody else looks at are left out.

    So are those that a halt of an agent above keeps: it keeps no other task of the agent.
    """
    rows = await tx.rows(
        "select id from task where parked is not null and state = 'queued' and agent = %s"
        " and not exists (select 1 from halt h where h.scope = any(task.above))"
        " order by virtual_deadline, id limit %s for update skip locked",
        [agent, limit],
    )
    return [str(row["id"]) for row in rows]
