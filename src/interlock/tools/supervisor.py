"""One actor per tool server: it starts the process, shakes hands, publishes the connection, and starts it again.

    stopped -> starting -> ready -> (dies) -> degraded -> starting -> …      parked after several fast exits

All of a connection is entered and left by the actor's own task. Callers only wait for the connection and use it.
`degraded` means: not serving now, will be tried again. A parked server waits for `restart`.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interlock.config import Clock
from interlock.model import InterlockError, ServerHealth, ServerState, ToolUnavailable
from interlock.resilience import Deadline, Rng, backoff_s
from interlock.tools.commands import Surroundings, prepare
from interlock.tools.process import ServerProcess

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig
    from interlock.tools.catalogue import Catalogue
    from interlock.tools.client import Connection

_LAST_WORDS_S = 0.5  # for the exit status of a process whose pipes just closed
_SLACK_S = 1.0  # so that a caller hears why a start failed rather than that it waited too long
_STOP_S = 10.0
_HEALTH_LINES = 20


@dataclass(frozen=True)
class Pace:
    """How a server that dies is started again.

    Attributes:
        first_s, cap_s: the delay before a restart, doubled each time up to the cap, plus jitter.
        fast_exit_s: a life that ended sooner, and answered no call, was a fast exit.
        fast_exits: so many in a row, and the server is parked.
    """

    first_s: float = 1.0
    cap_s: float = 60.0
    fast_exit_s: float = 10.0
    fast_exits: int = 5
    rng: Rng = field(default_factory=secrets.SystemRandom)


@dataclass(frozen=True)
class _Ending:
    """How a life ended.

    Attributes:
        reason: a sentence.
        launched: a process was started at all.
        ready: it got as far as listing its tools.
        useful: it answered a call, or lasted.
    """

    reason: str
    launched: bool = True
    ready: bool = False
    useful: bool = False


class Supervisor:
    """One server: its state, its connection while it is ready, its restarts."""

    def __init__(
        self, server: str, config: "ToolServerConfig", where: Surroundings, clock: Clock, pace: Pace | None = None
    ) -> None:
        self._server = server
        self._config = config
        self._where = where
        self._clock = clock
        self._pace = pace or Pace()
        self._state = ServerState.STOPPED
        self._reason = "not started yet"
        self._connection: Connection | None = None
        self._process: ServerProcess | None = None
        self._tail_before: tuple[str, ...] = ()
        self._tools = 0
        self._restarts = 0
        self._failures = 0
        self._hopeless = False
        self._stop = asyncio.Event()
        self._stale = False
        self._actor: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()

    # ---- for callers --------------------

    def start(self) -> None:
        """Let the server run, also after a `stop`; a parked one stays parked."""
        self._stop.clear()
        self._ensure_actor()

    def _ensure_actor(self) -> None:
        if self._actor is None or (self._actor.done() and self._state is not ServerState.PARKED):
            self._actor = asyncio.create_task(self._run(), name=f"tool server {self._server}")
            self._actor.add_done_callback(self._actor_ended)

    async def ready(self) -> "Connection":
        """The connection; starts the server if it never ran, and waits at most its `start_timeout`.

        Raises:
            ToolUnavailable: it can't be started, died while starting, is parked or stopped, or is not ready in time.
        """
        if (connection := self._current()) is not None:
            return connection
        await _load_sdk()
        if not self._stop.is_set():
            self._ensure_actor()
        failures = self._failures
        deadline = Deadline.after(self._config.start_timeout + _SLACK_S)
        while (connection := self._current()) is None:
            given_up = self._state is ServerState.PARKED or self._hopeless or self._stop.is_set()
            if given_up or self._failures > failures or deadline.passed:
                raise ToolUnavailable(self._reason)
            try:
                async with asyncio.timeout(deadline.remaining_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return connection

    def _current(self) -> "Connection | None":
        return self._connection if self._connection is not None and not self._connection.over else None

    async def catalogue(self, *, refresh: bool) -> "Catalogue":
        """What the server offers now; `refresh` asks it again.

        Raises:
            ToolUnavailable: as in `ready`, or it does not list its tools.
        """
        connection = await self.ready()
        if refresh:
            self._tools = len((await connection.relist()).definitions)
        return connection.catalogue

    def health(self) -> ServerHealth:
        """The state as data, with the last lines of the server's standard error."""
        process = self._process
        tail = process.stderr.lines() if process is not None else ()
        return ServerHealth(
            server=self._server,
            state=self._state,
            reason=self._reason,
            tools=self._tools,
            restarts=self._restarts,
            pid=process.pid if process is not None else None,
            stderr_tail=(tail or self._tail_before)[-_HEALTH_LINES:],
        )

    async def restart(self) -> None:
        """Stop the server, forget its fast exits, and start it anew."""
        await self.stop()
        self._restarts += 1
        self._actor = None
        self.start()

    async def stop(self) -> None:
        """End the server and everything it started; calls under way are lost."""
        self._stop.set()
        self._wake.set()
        self._announce()
        if self._process is not None and self._process.pid is not None and self._connection is None:
            self._process.kill("was stopped")  # it may hang while it starts
        if self._actor is not None:
            _, running = await asyncio.wait({self._actor}, timeout=_STOP_S)
            for task in running:
                task.cancel()
                await asyncio.wait({task}, timeout=_STOP_S)
        self._move(ServerState.STOPPED, "stopped")

    # ---- the actor --------------------

    async def _run(self) -> None:
        fast_exits = tries = 0
        ending: _Ending | None = None
        while not self._stop.is_set():
            again = f" again after this: {ending.reason}" if ending is not None else ""
            self._move(ServerState.STARTING, f"tool server '{self._server}' is starting{again}")
            ending = await self._live()
            if self._stop.is_set():
                return
            self._failures += not ending.ready
            self._hopeless = not ending.launched
            tries = 0 if ending.useful else tries + 1
            fast_exits = 0 if ending.useful or not ending.launched else fast_exits + 1
            if fast_exits >= self._pace.fast_exits:
                since = f"{self._clock.now():%Y-%m-%d %H:%M:%S} UTC"
                self._move(ServerState.PARKED, f"{ending.reason}; parked at {since} after {fast_exits} fast exits")
                return
            delay_s = backoff_s(max(0, tries - 1), self._pace.first_s, self._pace.cap_s, self._pace.rng)
            self._move(ServerState.DEGRADED, f"{ending.reason}; next start in {delay_s:.1f} s")
            await self._sleep(delay_s)
            self._restarts += 1

    def _actor_ended(self, actor: asyncio.Task[None]) -> None:
        if not actor.cancelled() and (error := actor.exception()) is not None:
            self._move(ServerState.PARKED, f"tool server '{self._server}' met a fault of interlock: {error!r}")

    async def _live(self) -> _Ending:
        """One life of the process; always ends with all of it gone."""
        self._wake.clear()
        self._stale = False
        await _load_sdk()
        try:
            launch = prepare(self._server, self._config, self._where)
            process = await ServerProcess.spawn(launch, self._wake.set)
        except (InterlockError, OSError) as error:
            hint = f"; hint: {error.next_step}" if isinstance(error, InterlockError) else ""
            return _Ending(f"tool server '{self._server}' can't be started: {error}{hint}", launched=False)
        if self._process is not None:
            self._tail_before = self._process.stderr.lines()
        self._process = process
        limit_s = self._config.start_timeout
        verdict = f"did not get ready within {limit_s:g} s"
        watchdog = asyncio.get_running_loop().call_later(limit_s, process.kill, verdict)
        try:
            return await self._hold(process, watchdog)
        except asyncio.CancelledError:
            process.kill("was stopped")
            raise
        finally:
            watchdog.cancel()
            self._connection = None
            await process.stop()

    async def _hold(self, process: ServerProcess, watchdog: asyncio.TimerHandle) -> _Ending:
        from interlock.tools.client import Session, last_words

        held: list[tuple[Connection, float]] = []

        async def on_ready(connection: "Connection") -> None:
            watchdog.cancel()
            held.append((connection, time.monotonic()))
            self._connection = connection
            self._tools = len(connection.catalogue.definitions)
            self._move(ServerState.READY, "ready")
            await self._until_over(process, connection)

        session = Session(self._server, self._config.builtin is not None, on_ready, self._mark_stale)
        try:
            await session.run(process)
            reason = f"tool server '{self._server}' {process.ending or 'was stopped'}{last_words(process)}"
        except ToolUnavailable as error:
            reason = error.message
        if not held:
            return _Ending(reason)
        connection, ready_at = held[0]
        lasted_s = time.monotonic() - ready_at
        return _Ending(reason, ready=True, useful=connection.answers > 0 or lasted_s >= self._pace.fast_exit_s)

    async def _until_over(self, process: ServerProcess, connection: "Connection") -> None:
        while not (self._stop.is_set() or process.over):
            await self._wake.wait()
            self._wake.clear()
            if self._stale:
                self._stale = False
                self._tools = len((await connection.relist()).definitions)
        self._connection = None
        await process.exited_within(_LAST_WORDS_S if process.over else 0)

    def _mark_stale(self) -> None:
        self._stale = True
        self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                while not self._stop.is_set():
                    await self._wake.wait()
                    self._wake.clear()
        except TimeoutError:
            return

    def _since(self) -> str:
        return f" at {self._clock.now():%Y-%m-%d %H:%M:%S} UTC"

    def _move(self, state: ServerState, reason: str) -> None:
        self._state, self._reason = state, reason
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _load_sdk() -> None:
    """Load the MCP SDK in a thread: it takes a second, and other servers' calls must not wait for it."""
    await asyncio.to_thread(_import_client)


def _import_client() -> None:
    from interlock.tools import client

    del client
