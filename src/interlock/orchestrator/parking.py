"""Tasks that may not begin now are set aside, and go on by themselves when they may: after a halt, a pause, a full house."""

from interlock.config import Config
from interlock.model import FIRST_HOST, Released, Task
from interlock.orchestrator.events import handle
from interlock.store import Database, Transaction, parking_rows, task_rows, version_rows

AT_ONCE = 100


async def release_parked(database: Database, config: Config) -> int:
    """Put back into the queue what nothing keeps any more; how many. Several may do this at the same time."""
    async with database.transaction() as tx:
        agents = await parking_rows.parked_agents(tx)
    released = 0
    for agent in agents:
        async with database.transaction() as tx:
            room = room_of(config, agent)
            first = await parking_rows.first_parked(tx, agent, await _places(tx, room, agent))
            for task_id in first:
                task = await task_rows.get(tx, task_id)
                if await parking_rows.obstacle(tx, task, room) is not None:
                    break  # what keeps one of an agent keeps all of them
                await handle(tx, task_id, Released())
                released += 1
    return released


def room_of(config: Config, agent: str) -> parking_rows.Room:
    """How many tasks may run at a time: of an agent, and of all together."""
    known = config.agents.get(agent)
    return parking_rows.Room(None if known is None else known.concurrency, config.server.running)


async def _places(tx: Transaction, room: parking_rows.Room, agent: str) -> int:
    """How many more may begin; those that find no place after all are set aside again."""
    places = AT_ONCE
    for cap, whose in ((room.agent, agent), (room.everyone, None)):
        if cap is not None:
            places = min(places, cap - await parking_rows.running(tx, whose))
    return max(0, places)


async def elsewhere(tx: Transaction, task: Task, config_sha256: str, host: str) -> parking_rows.Obstacle | None:
    """Why a worker leaves a task to others: it is about to take another configuration, or has not the task's files."""
    active = (await version_rows.standing(tx)).sha256
    if active not in (None, config_sha256):
        return parking_rows.Obstacle("version", "another configuration was applied; a worker that has it begins")
    if task.host not in (None, FIRST_HOST, host):
        return parking_rows.Obstacle("host", f"its files are on the machine '{task.host}'; a worker there begins")
    return None
