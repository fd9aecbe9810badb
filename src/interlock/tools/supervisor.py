"""One actor per tool server: it starts the process, shakes hands, publishes the connection, and starts it again.

    stopped -> starting -> ready -> (dies) -> degraded -> starting -> …      parked after several fast exits

All of a connection is entered and left by the actor's own task. Callers only wait for the connection and use it.
`degraded` means: not serving now, will be tried again. A parked server waits for `restart`.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interlock.config import Clock
from interlock.model import InterlockError, ServerHealth, ServerState, ToolUnavailable
from interlock.resilience import Deadline, Rng, backoff_s
from interlock.tools.peer import Peer, last_words
from interlock.tools.surroundings import Surroundings
from interlock.tools.upkeep import Rest, Told, Upkeep

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig
    from interlock.tools.catalogue import Catalogue
    from interlock.tools.client import Connection
    from interlock.tools.session import Session

_SLACK_S = 1.0  # so that a caller hears why a start failed rather than that it waited too long
_STOP_S = 10.0
_HEALTH_LINES = 20


@dataclass(frozen=True)
class Pace:
    """How a server that dies is started again: at once after a useful life, then more and more slowly.

    Attributes:
        first_s, cap_s: the delay before another restart, doubled each time up to the cap, plus jitter.
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
        rest: why it ended, if it was ready.
    """

    reason: str
    launched: bool = True
    ready: bool = False
    useful: bool = False
    rest: Rest = Rest.OVER


class Supervisor:
    """One server: its state, its connection while it is ready, its restarts."""

    def __init__(
        self,
        server: str,
        config: "ToolServerConfig",
        where: Surroundings,
        clock: Clock,
        pace: Pace,
        on_news: Callable[[str], None],
    ) -> None:
        self._server = server
        self._config = config
        self._where = where
        self._clock = clock
        self._pace = pace
        self._on_news = on_news
        self._state = ServerState.STOPPED
        self._reason = "not started yet"
        self._connection: Connection | None = None
        self._peer: Peer | None = None
        self._tail_before: tuple[str, ...] = ()
        self._since = ""
        self._tools = 0
        self._listing_sha256 = ""
        self._restarts = 0
        self._failures = 0
        self._hopeless = False
        self._stop = asyncio.Event()
        self._upkeep: Upkeep | None = None
        self._demand = asyncio.Event()
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
        """The connection; starts the server if it does not run, and waits at most its `start_timeout`.

        Raises:
            ToolUnavailable: it can't be started, died while starting, is parked or stopped, or is not ready in time.
        """
        if (connection := self._current()) is not None:
            return connection
        await _load_sdk()
        failures = self._failures
        # One that is being renewed first lets the calls under way end.
        patience_s = self._config.call_timeout if self._connection is not None else 0.0
        deadline = Deadline.after(self._config.start_timeout + patience_s + _SLACK_S)
        while (connection := self._current()) is None:
            given_up = self._state is ServerState.PARKED or self._hopeless or self._stop.is_set()
            if given_up or self._failures > failures or deadline.passed:
                raise ToolUnavailable(self._reason)
            self._ensure_actor()
            self._demand.set()
            self._wake.set()
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
        connection.used_s = time.monotonic()
        if refresh:
            await connection.relist()
            self._listed()
        return connection.catalogue

    def health(self) -> ServerHealth:
        """The state as data, with the last lines of the server's standard error."""
        peer = self._peer
        return ServerHealth(
            server=self._server,
            state=self._state,
            reason=self._reason,
            tools=self._tools,
            restarts=self._restarts,
            pid=peer.pid if peer is not None else None,
            stderr_tail=((peer.words() if peer is not None else ()) or self._tail_before)[-_HEALTH_LINES:],
            sandbox=peer.sandbox if peer is not None else "",
            since=self._since,
            listing_sha256=self._listing_sha256,
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
        if self._peer is not None and self._connection is None:
            self._peer.kill("was stopped")  # it may hang while it starts
        if self._actor is not None:
            _, running = await asyncio.wait({self._actor}, timeout=_STOP_S)
            for task in running:
                task.cancel()
                await asyncio.wait({task}, timeout=_STOP_S)
        self._move(ServerState.STOPPED, "stopped")

    # ---- the actor --------------------

    async def _run(self) -> None:
        fast_exits = tries = 0
        again = ""
        while not self._stop.is_set():
            self._move(ServerState.STARTING, f"tool server '{self._server}' is starting{again}")
            ending = await self._live()
            if self._stop.is_set():
                return
            again = f" again after this: {ending.reason}"
            if ending.rest is Rest.IDLE:
                self._move(ServerState.STOPPED, ending.reason)
                return
            self._failures += not ending.ready
            self._hopeless = not ending.launched
            tries = 0 if ending.useful else tries + 1
            fast_exits = 0 if ending.useful or not ending.launched or self._config.remote else fast_exits + 1
            if fast_exits >= self._pace.fast_exits:
                since = f"{self._clock.now():%Y-%m-%d %H:%M:%S} UTC"
                self._move(ServerState.PARKED, f"{ending.reason}; parked at {since} after {fast_exits} fast exits")
                return
            if ending.rest is not Rest.AGED:
                await self._wait_before_next(ending, tries)
                self._restarts += 1

    async def _wait_before_next(self, ending: _Ending, tries: int) -> None:
        pace = self._pace
        delay_s = backoff_s(tries - 1, pace.first_s, pace.cap_s, pace.rng) if tries > 0 else 0.0
        self._move(ServerState.DEGRADED, f"{ending.reason}; next start in {delay_s:.1f} s")
        # Nothing of a remote server has to be started, so whoever needs it may ask sooner.
        least_s = min(delay_s, pace.first_s) if self._config.remote else delay_s
        self._demand.clear()
        await self._sleep(least_s)
        if delay_s > least_s and not self._stop.is_set():
            await self._sleep(delay_s - least_s, unless=self._demand)

    def _actor_ended(self, actor: asyncio.Task[None]) -> None:
        if not actor.cancelled() and (error := actor.exception()) is not None:
            self._move(ServerState.PARKED, f"tool server '{self._server}' met a fault of interlock: {error!r}")

    async def _live(self) -> _Ending:
        """One life of the server; always ends with all of it gone."""
        from interlock.tools.opening import open_peer

        self._wake.clear()
        try:
            peer = await open_peer(self._server, self._config, self._where, self._clock, self._wake.set)
        except (InterlockError, OSError) as error:
            hint = f"; hint: {error.next_step}" if isinstance(error, InterlockError) else ""
            return _Ending(f"tool server '{self._server}' can't be started: {error}{hint}", launched=False)
        if self._peer is not None:
            self._tail_before = self._peer.words()
        self._peer = peer
        limit_s = self._config.start_timeout
        watchdog = asyncio.get_running_loop().call_later(limit_s, peer.kill, f"did not get ready within {limit_s:g} s")
        try:
            return await self._hold(peer, watchdog)
        except asyncio.CancelledError:
            peer.kill("was stopped")
            raise
        finally:
            watchdog.cancel()
            self._connection = self._upkeep = None
            await peer.end()

    async def _hold(self, peer: Peer, watchdog: asyncio.TimerHandle) -> _Ending:
        from interlock.tools.client import Terms
        from interlock.tools.session import Session

        held: list[tuple[Connection, float]] = []
        rest = Rest.OVER

        async def on_ready(connection: "Connection") -> None:
            nonlocal rest
            watchdog.cancel()
            held.append((connection, time.monotonic()))
            self._connection = connection
            self._upkeep = Upkeep(self._config, peer, connection, Told(self._listed, self._leaving))
            self._listed()
            self._move(ServerState.READY, "ready")
            rest = await self._upkeep.hold(self._stop, self._wake)
            connection.close()
            self._connection = None
            if rest is Rest.CUT_OFF:  # it was told already, and had its time
                peer.kill("was ended, for it did not end a call that was cut off")
            await peer.settled()

        terms = Terms(self._server, self._config.builtin is not None, self._config.concurrency, self._wake.set)
        reason = await self._run_session(Session(terms, on_ready, self._mark_stale), peer)
        if not held:
            hint = peer.advice(self._server)
            return _Ending(f"{reason}; hint: {hint}" if hint else reason)
        if rest is Rest.IDLE:
            idle = f"idle: tool server '{self._server}' was not called for {self._config.idle_timeout:g} s"
            return _Ending(f"{idle}; the next call starts it", ready=True, useful=True, rest=rest)
        if rest is Rest.AGED:
            reason = f"tool server '{self._server}' had run for {self._config.max_age:g} s"
        connection, ready_at = held[0]
        lasted_s = time.monotonic() - ready_at
        useful = connection.answers > 0 or lasted_s >= self._pace.fast_exit_s
        return _Ending(reason, ready=True, useful=useful or rest in (Rest.AGED, Rest.CUT_OFF), rest=rest)

    async def _run_session(self, session: "Session", peer: Peer) -> str:
        """Run it to its end; why it ended, as a sentence."""
        try:
            async with asyncio.timeout(None) as scope:
                peer.on_kill(lambda: scope.reschedule(0))
                try:
                    await session.run(peer)
                finally:
                    peer.on_kill(None)
        except ToolUnavailable as error:
            return error.message
        except TimeoutError:
            pass
        return f"tool server '{self._server}' {peer.ending or 'was stopped'}{last_words(peer)}"

    def _listed(self) -> None:
        if self._connection is not None:
            catalogue = self._connection.catalogue
            self._tools, self._listing_sha256 = len(catalogue.definitions), catalogue.sha256
            self._on_news(self._server)

    def _leaving(self, reason: str) -> None:
        self._move(ServerState.DEGRADED, f"tool server '{self._server}' is being started anew: {reason}")

    def _mark_stale(self) -> None:
        if self._upkeep is not None:
            self._upkeep.stale = True
        self._wake.set()

    async def _sleep(self, seconds: float, unless: asyncio.Event | None = None) -> None:
        """Wait, but not beyond a stop, nor once `unless` is set."""
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                while not self._stop.is_set() and not (unless is not None and unless.is_set()):
                    await self._wake.wait()
                    self._wake.clear()
        except TimeoutError:
            return

    def _move(self, state: ServerState, reason: str) -> None:
        if state is not self._state:
            self._since = self._clock.now().isoformat(timespec="seconds")
        self._state, self._reason = state, reason
        self._announce()
        self._on_news(self._server)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _load_sdk() -> None:
    """Load the MCP SDK in a thread: it takes a second, and other servers' calls must not wait for it."""
    await asyncio.to_thread(_import_client)


def _import_client() -> None:
    from interlock.sandbox import prospect
    from interlock.tools import opening, session

    prospect()  # asks the machine once, which takes a moment
    del opening, session
