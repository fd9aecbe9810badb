"""Which configuration a process works by: the applied one, as far as its machine has what that needs."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interlock.app.build import idle_presence, worker_of
from interlock.app.checking import check_project
from interlock.app.ground import Foundation, foundation
from interlock.app.versions import config_of
from interlock.config import OF_ALL, Project, Settings
from interlock.model import ConfigError, InterlockError, Unavailable, UserError
from interlock.orchestrator import Presence
from interlock.store import Database, version_rows
from interlock.tools import HostedTools

log = logging.getLogger("interlock.worker")
LOOK_EVERY_S = 1.0
READ_AGAIN_EVERY_S = 5.0
POOL = 10
MOST_CONNECTIONS = 24  # of one worker, for a Postgres has not many


@dataclass(frozen=True)
class Unfit:
    """Why a machine can't work by the active version: `number` is that version's."""

    number: int
    reason: str


async def standing_of(database: Database, mine: Project) -> Project | Unfit:
    """The active version as this machine carries it out, or why it can't; its own one while nothing was applied.

    What tool servers are started with stays the machine's, and must be what the version was applied with.
    """
    async with database.transaction() as tx:
        active = await version_rows.active(tx)
        if active is None or active.sha256 == mine.sha256:
            return mine
        body = await version_rows.content(tx, active.sha256) or {}
    own = body.get("own")
    if own is None:
        return Unfit(active.number, "it was stored by an older release; apply it again: interlock config apply")
    differing = _differing(mine.stored["own"], own)
    if differing:
        return Unfit(active.number, f"{differing}; bring the files here up to date, or apply what they say")
    try:
        return _carried_out(mine, body, active.sha256, active.number)
    except UserError as error:
        return Unfit(active.number, error.message)


def _differing(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """What of a machine is not as a version was applied with, in words."""
    parts = []
    for words, names in (
        ("is not here", theirs.keys() - mine.keys()),
        ("is here and not in it", mine.keys() - theirs.keys()),
        ("is not the same here", {name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name]}),
    ):
        parts += [f"{name if '.' in name else f'the tool server {name}'} {words}" for name in sorted(names)]
    return ", ".join(parts[:10])


def _carried_out(mine: Project, body: dict[str, Any], sha256: str, number: int) -> Project:
    config = config_of(body, number)
    tools = {
        name: mine.config.tools[name].model_copy(update={key: getattr(server, key) for key in OF_ALL})
        for name, server in config.tools.items()
    }
    return replace(
        mine,
        config=config.model_copy(update={"tools": tools, "database": mine.config.database}),
        playbooks={name: mine.folder / "playbooks" / f"{name}.yaml" for name in body["playbooks"]},
        notes=(),
        sha256=sha256,
        stored=body,
    )


@dataclass
class Machine:
    """One machine's project folder, read again when it does not fit what was applied.

    Attributes:
        read: reads and checks the folder.
        mine: what it said last.
    """

    read: Callable[[], Project]
    mine: Project
    _next_read_s: float = 0.0

    async def standing(self, database: Database) -> Project | Unfit:
        """See `standing_of`."""
        found = await standing_of(database, self.mine)
        now_s = asyncio.get_running_loop().time()
        if isinstance(found, Project) or now_s < self._next_read_s:
            return found
        self._next_read_s = now_s + READ_AGAIN_EVERY_S
        with contextlib.suppress(UserError):  # half a change: what was read before still says why
            self.mine = await asyncio.to_thread(self.read)
        return await standing_of(database, self.mine)


# ---- a worker --------------------


async def work(settings: Settings, folder: Path, env: Mapping[str, str], stop: asyncio.Event) -> None:
    """Be a worker until told to stop, under the version that is active, and anew when another one is.

    Raises:
        ConfigError: the folder can't be used.
        DatabaseUnavailable: the database stayed away.
    """
    mine = await asyncio.to_thread(check_project, folder, env)
    pool = max(POOL, min(MOST_CONNECTIONS, mine.config.server.concurrency))
    async with foundation(settings, mine, env, pool=pool) as ground:
        await work_on(ground, settings, Machine(lambda: check_project(folder, env), mine), env, stop)


async def work_on(
    ground: Foundation, settings: Settings, machine: Machine, env: Mapping[str, str], stop: asyncio.Event
) -> None:
    """The same on a database that is open."""
    while not stop.is_set():
        fit = await _wait_idle(ground, settings, machine, stop)
        if fit is None:
            return
        worker, tools = worker_of(ground, settings, fit, env)
        try:
            if not fit.config.tools or await _tools_fit(worker.presence, tools, stop):
                await worker.run(stop)
        finally:
            await tools.stop()


async def _wait_idle(ground: Foundation, settings: Settings, machine: Machine, stop: asyncio.Event) -> Project | None:
    """What to work by, as soon as the machine fits it; None when told to stop. Until then it says why it is idle."""
    presence: Presence | None = None
    try:
        while not stop.is_set():
            with contextlib.suppress(Unavailable):
                found = await machine.standing(ground.database)
                if isinstance(found, Project):
                    return found
                presence = presence or idle_presence(ground, settings, machine.mine)
                await _say_idle(presence, f"configuration version {found.number} is active: {found.reason}")
            await _pause(stop)
        return None
    finally:
        if presence is not None:
            await presence.leave()


async def _tools_fit(presence: Presence, tools: HostedTools, stop: asyncio.Event) -> bool:
    """Wait until the tool servers of this machine are those of the configuration; False when told to stop."""
    try:
        while not stop.is_set():
            try:
                await tools.states()
            except ConfigError as error:  # others of this machine still use those of the version before
                with contextlib.suppress(Unavailable):
                    await _say_idle(presence, error.message)
            except InterlockError as error:
                log.warning("tools.not_asked error=%s", error.message)
                break
            else:
                break
            await _pause(stop)
        return not stop.is_set()
    finally:
        presence.idle_because = None
        await presence.leave()


async def _say_idle(presence: Presence, because: str) -> None:
    if presence.idle_because != because:
        log.warning("worker.idle executor=%s because=%s", presence.executor_id, because)
    await presence.idle(because)
    await presence.beat()


async def _pause(stop: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
