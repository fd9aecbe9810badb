"""The tool servers of this host, as a worker or the HTTP server sees them: behind the tool host's socket."""

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from interlock.model import ConfigError, ServerHealth, ToolDefinition, ToolLost, ToolRef, ToolResult, ToolUnavailable
from interlock.resilience import Deadline
from interlock.tools.delivery import Delivery
from interlock.tools.host import wording
from interlock.tools.host.frames import Frames
from interlock.tools.host.place import Place

ARRIVE_S = 60.0
_DETACH = Path(__file__).with_name("detach.py")
_LOOK_EVERY_S = 0.03
_SPAWN_EVERY_S = 3.0
_SLACK_S = 5.0  # on top of the time that a request has at the tool host, before it counts as not answering
_ASK_S = 60.0
_TELL_S = 1.0
_START_S = 900.0  # servers may have to be installed first
_SHOWN_CHARS = 300
_LIVES = 4
_LOG_BYTES = 1024 * 1024
Json: TypeAlias = dict[str, Any]


@dataclass(eq=False)
class _Link:
    """One connection to the tool host, until it breaks."""

    frames: Frames
    pid: int
    on_news: Callable[[str], None]
    waiting: dict[int, "asyncio.Future[Json]"] = field(default_factory=dict)
    reader: "asyncio.Task[None] | None" = None
    over: bool = False

    async def listen(self) -> None:
        """Hand replies to those who wait for them, until there are no more."""
        try:
            while (message := await self.frames.read()) is not None:
                if "news" in message:
                    self.on_news(str(message["news"]))
                    continue
                future = self.waiting.pop(int(message["id"]), None)
                if future is not None and not future.done():
                    future.set_result(message)
        finally:
            self.over = True
            for future in self.waiting.values():
                if not future.done():
                    future.set_exception(ConnectionResetError())
            self.waiting.clear()
            await self.frames.close()


@dataclass(frozen=True)
class HostProgram:
    """How to start the tool host.

    Attributes:
        command: the program and its arguments.
        env: its environment.
        fingerprint: of the configuration that it must have.
    """

    command: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    fingerprint: str


class HostedTools:
    """Starts the tool host if there is none, and speaks with it; another life of it is found by itself.

    Belongs to the event loop that it is first used in; `stop` must be called there too.
    """

    def __init__(self, place: Place, program: HostProgram) -> None:
        """Nothing is started yet."""
        self._place = place
        self._program = program
        self._link: _Link | None = None
        self._left = False
        self._arriving = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._seen: dict[str, tuple[int, int, tuple[ToolDefinition, ...]]] = {}
        self._news: Counter[str] = Counter()
        self._fresh: dict[str, tuple[_Link, int]] = {}  # whose list we have, and how much we had heard when we asked
        self._stoppable: dict[int, str | None] = {}  # requests under way that end with their caller, and their runs

    lasting = True

    # ---- what everyone asks --------------------

    async def start(self, names: Iterable[str] | None = None) -> tuple[ServerHealth, ...]:
        """Have servers started, all by default, and wait for each; look at the health that is returned."""
        asked = {"op": "start", "names": None if names is None else list(names)}
        reply = await self._ask(asked, _START_S)
        return tuple(wording.health_from_json(one) for one in reply["health"])

    async def states(self) -> tuple[ServerHealth, ...]:
        """The state of every server."""
        reply = await self._ask({"op": "states"}, _ASK_S)
        return tuple(wording.health_from_json(one) for one in reply["health"])

    async def restart(self, server: str) -> ServerHealth:
        """Stop one server, forget why it was parked, start it and wait for it.

        Raises:
            NotFound: no server has that name.
        """
        return wording.health_from_json(await self._ask({"op": "restart", "server": server}, _START_S))

    async def definitions(self, server: str, refresh: bool = False) -> tuple[ToolDefinition, ...]:
        """What a server that is ready now offers.

        Raises:
            NotFound: no server has that name.
            ToolUnavailable: it is not ready and does not get ready in time.
        """
        host, version, known = self._seen.get(server, (0, 0, ()))
        heard = self._news[server]
        if (
            not refresh
            and self._link is not None
            and not self._link.over
            and self._fresh.get(server) == (self._link, heard)
        ):
            return known
        message = {"op": "definitions", "server": server, "refresh": refresh, "have": version, "of": host}
        reply = await self._ask(message, _START_S)
        if "definitions" in reply:
            known = tuple(wording.definition_from_json(server, one) for one in reply["definitions"])
            self._seen[server] = (int(reply["of"]), int(reply["version"]), known)
        if self._link is not None and int(reply["of"]) == self._link.pid:
            self._fresh[server] = (self._link, heard)
        return known

    async def unheard(self) -> list[str]:
        """Runs with calls under way of which nobody waits to hear; none when there is no tool host."""
        return [str(run) for run in (await self._tell({"op": "unheard"})).get("runs", ())]

    async def cut_off(self, runs: list[str]) -> None:
        """Cancel those calls of some runs; nothing to do when there is no tool host."""
        await self._tell({"op": "cut_off", "runs": runs})

    async def _tell(self, message: Json) -> Json:
        """Ask the tool host only if there is one; `{}` otherwise. It may have calls of others who are dead."""
        await self._meet()
        if self._link is not None and not self._link.over:
            with contextlib.suppress(ConnectionError):
                return await self._exchange(self._link, message, _TELL_S)
        return {}

    async def _meet(self) -> None:
        """Connect to the tool host that runs, if there is one and this process has not done so."""
        async with self._arriving:
            if (self._link is None or self._link.over) and not self._left:
                with contextlib.suppress(OSError, ToolUnavailable, ConfigError):
                    self._link = await self._greet()

    async def release(self, run: str) -> None:
        """End the processes that servers have for one run; nothing to do when there is no tool host."""
        if self._link is not None and not self._link.over:
            with contextlib.suppress(ConnectionError):
                await self._exchange(self._link, {"op": "release", "run": run}, _ASK_S)

    async def stop(self) -> None:
        """Leave for ever; the last one to leave ends the tool host."""
        self._left = True  # else whoever is late would come back, and keep one of an older configuration
        link, self._link = self._link, None
        if link is None:
            return
        link.frames.write({"id": 0, "op": "leave"})
        with contextlib.suppress(ConnectionError):
            await link.frames.drained()
        await link.frames.close()
        if link.reader is not None:
            await asyncio.wait({link.reader}, timeout=_SLACK_S)

    # ---- calls --------------------

    async def call(self, ref: ToolRef, args: dict[str, Any], how: Delivery) -> ToolResult:
        """Send one call and wait for its result.

        Raises:
            ToolUnavailable: nothing was sent, so the tool can't have acted.
            ToolLost: it was sent, and the server or the tool host died; whether it acted is unknown.
            ToolTimeout: it was sent and not answered in time; whether it acted is unknown.
        """
        link = await self._connected()
        still = how.expect.still
        if still is not None and not still():
            raise ToolUnavailable(f"this worker was silent for too long; the call of {ref} was not sent")
        message = {
            "op": "call",
            "server": ref.server,
            "tool": ref.name,
            "args": args,
            "how": wording.delivery_to_json(how),
        }
        # The tool host keeps the time of the call; this is for a tool host that hangs.
        try:
            return wording.result_from_json(await self._exchange(link, message, how.timeout_s + _START_S))
        except ConnectionAbortedError:
            what = "does not answer"
        except ConnectionError:
            what = "died"
        raise ToolLost(f"the tool host {what} during the call of {ref}; whether it acted is unknown")

    def abandon(self, run: str) -> None:
        """Calls of a run that are under way go on at the tool host when their caller here is stopped."""
        for number in [number for number, of in self._stoppable.items() if of == run]:
            del self._stoppable[number]

    async def recall(self, key: str, patience_s: float) -> ToolResult | None:
        """The outcome of a call that someone else on this host sent; None if it was never sent from here.

        Raises:
            ToolLost, ToolTimeout: whether it acted is unknown.
        """
        reply = await self._ask({"op": "recall", "key": key, "patience_s": patience_s}, patience_s + _ASK_S)
        return wording.result_from_json(reply["result"]) if reply["known"] else None

    async def _ask(self, message: Json, patience_s: float) -> Json:
        """Send a request that may be repeated, and wait for the reply; also from the next life of a tool host that dies.

        Raises:
            ToolUnavailable: there is no answer.
        """
        for _ in range(_LIVES):
            with contextlib.suppress(ConnectionError):
                return await self._exchange(await self._connected(), message, patience_s)
        raise ToolUnavailable("the tool host died, several times in a row")

    async def _exchange(self, link: _Link, message: Json, patience_s: float) -> Json:
        """One request and its reply.

        Raises:
            ToolUnavailable: nothing was sent, or nothing came back in time.
            ConnectionError: the tool host died before it answered.
        """
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        link.waiting[number] = future
        if link.over or not link.frames.write({"id": number, **message}):
            link.waiting.pop(number, None)
            raise ToolUnavailable("the tool host is gone; nothing was sent")
        self._stoppable[number] = message["how"]["run"] if message["op"] == "call" else None
        try:
            async with asyncio.timeout(patience_s + _SLACK_S):
                reply = await future
        except TimeoutError:
            raise ConnectionAbortedError from None
        except asyncio.CancelledError:
            if number in self._stoppable:
                link.frames.write({"id": 0, "op": "cancel", "of": number})
            raise
        finally:
            self._stoppable.pop(number, None)
            link.waiting.pop(number, None)
        if "error" in reply:
            raise wording.error_from_json(reply["error"])
        return dict(reply["ok"])

    # ---- the connection --------------------

    async def _connected(self) -> _Link:
        """The connection; with a new tool host if there is none.

        Raises:
            ToolUnavailable: none gets ready in time.
            ConfigError: the one that runs has another configuration.
        """
        if self._link is not None and not self._link.over:
            return self._link
        async with self._arriving:
            if self._link is not None and not self._link.over:
                return self._link
            self._refuse_if_left()
            self._link = await self._arrive()
            try:
                self._refuse_if_left()
            except ToolUnavailable:
                await self.stop()
                raise
            return self._link

    def _refuse_if_left(self) -> None:
        if self._left:
            raise ToolUnavailable("this process works by another configuration now; ask again")

    async def _arrive(self) -> _Link:
        self._place.make()
        deadline, started = Deadline.after(ARRIVE_S), Deadline.after(0)
        why = "it does not listen"
        while not deadline.passed:
            try:
                return await self._greet()
            except ToolUnavailable as error:
                why = error.message
            except OSError:
                if started.passed:
                    await asyncio.to_thread(self._spawn)
                    started = Deadline.after(_SPAWN_EVERY_S)
            await asyncio.sleep(_LOOK_EVERY_S)
        raise ToolUnavailable(f"the tool host does not get ready: {why}{await asyncio.to_thread(self._last_words)}")

    async def _greet(self) -> _Link:
        """Introduce this process.

        Raises:
            OSError: nobody listens.
            ToolUnavailable: who listens is about to end.
            ConfigError: it has another configuration.
        """
        frames = await self._place.connect()
        frames.write({"op": "hello", "fingerprint": self._program.fingerprint, "pid": os.getpid()})
        try:
            async with asyncio.timeout(_SLACK_S):
                hello = await frames.read()
        except TimeoutError:
            hello = None
        if hello is None:
            await frames.close()
            raise ToolUnavailable("it does not answer")
        if "error" in hello:
            await frames.close()
            raise wording.error_from_json(hello["error"])
        link = _Link(frames, int(hello["ok"]["pid"]), self._hear)
        link.reader = asyncio.create_task(link.listen(), name="tool host")
        return link

    def _hear(self, server: str) -> None:
        """A server offers something else, or is not ready any more: what is known of it is old."""
        self._news[server] += 1

    def _spawn(self) -> None:
        """Start a tool host that outlives this process; if there is one by then, it ends by itself."""
        command = [sys.executable, "-I", "-S", str(_DETACH), *self._program.command]
        with self._place.log.open("ab") as output:
            if output.tell() > _LOG_BYTES:
                output.truncate(0)
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(self._program.env),
                timeout=_SLACK_S,
                check=False,
            )

    def _last_words(self) -> str:
        try:
            text = self._place.log.read_text(errors="replace").strip()
        except OSError:
            return ""
        return f"; its last output: {text[-_SHOWN_CHARS:]}" if text else ""
