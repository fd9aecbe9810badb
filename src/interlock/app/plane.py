"""The control plane of a process, which takes the place of itself when another configuration was applied."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from interlock.app.build import control_on
from interlock.app.checking import check_project
from interlock.app.control import Control
from interlock.app.following import LOOK_EVERY_S, Machine, Unfit
from interlock.app.ground import Foundation, foundation
from interlock.app.house import keep_house, wake_tools
from interlock.app.versions import UP, apply_version
from interlock.config import Project, Settings
from interlock.model import InterlockError, Unavailable

log = logging.getLogger("interlock.up")
LEAVE_PATIENCE_S = 20.0


@dataclass
class Plane:
    """The control plane that is there now.

    Attributes:
        ground: the database, open for as long as this is used.
        replaced: is told of the next control plane before the one before it ends.
    """

    ground: Foundation
    settings: Settings
    machine: Machine
    env: Mapping[str, str]
    replaced: Callable[[Control], None] | None = None
    _control: Control | None = None
    _leave: AsyncExitStack = field(default_factory=AsyncExitStack)
    _told: str = ""

    @property
    def control(self) -> Control:
        """What answers now."""
        assert self._control is not None
        return self._control

    async def take(self, project: Project) -> None:
        """Work by a configuration from now on; calls that are under way end under the one before."""
        leave = AsyncExitStack()
        control = await leave.enter_async_context(control_on(self.ground, self.settings, project, self.env))
        before, self._leave, self._control = self._leave, leave, control
        if self.replaced is not None:
            self.replaced(control)
        await _left(before)

    async def run(self) -> None:
        """Keep house, and follow what is applied, until cancelled."""
        waking: asyncio.Task[None] | None = None  # of the first one, whoever started it wakes the tools
        while True:
            house = asyncio.create_task(keep_house(self.control), name="house")
            moving = asyncio.create_task(self._moved(), name="version")
            try:
                await asyncio.wait({house, moving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                chores = [chore for chore in (house, moving, waking) if chore is not None]
                for chore in chores:
                    chore.cancel()
                await asyncio.gather(*chores, return_exceptions=True)
            if not house.cancelled():
                house.result()
            await self.take(moving.result())
            log.info("version.taken sha256=%s", self.control.project.sha256[:12])
            waking = asyncio.create_task(self._wake(self.control), name="tools")

    async def _wake(self, control: Control) -> None:
        """Start the tool servers; those of the version before may have to end first."""
        told = ""
        while True:
            try:
                for problem in await wake_tools(control):
                    log.warning("tools.not_awake problem=%s", problem)
                return
            except InterlockError as error:
                if error.message != told:
                    told = error.message
                    log.warning("tools.delayed error=%s", told)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _moved(self) -> Project:
        """Wait until there is another configuration that this machine can carry out."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with contextlib.suppress(Unavailable):
                found = await self.machine.standing(self.ground.database)
                if isinstance(found, Project):
                    if found.sha256 != self.control.project.sha256:
                        return found
                    self._told = ""
                else:
                    self._tell(found)

    def _tell(self, unfit: Unfit) -> None:
        if unfit.reason != self._told:
            self._told = unfit.reason
            log.warning("version.not_taken number=%d because=%s", unfit.number, unfit.reason)

    async def close(self) -> None:
        """End the control plane."""
        await _left(self._leave)


async def _left(leave: AsyncExitStack) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(leave.aclose(), LEAVE_PATIENCE_S)


@asynccontextmanager
async def plane_of(settings: Settings, project: Project, env: Mapping[str, str]) -> AsyncIterator[Plane]:
    """Apply what a project folder says, and be its control plane, also of what is applied later."""
    async with foundation(settings, project, env) as ground:
        await apply_version(ground.database, project, UP)
        plane = Plane(ground, settings, Machine(lambda: check_project(project.folder, env), project), env)
        await plane.take(project)
        try:
            yield plane
        finally:
            await plane.close()
