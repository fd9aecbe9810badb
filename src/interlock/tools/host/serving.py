"""The tool host: a toolbox behind a socket, for as long as someone uses it.

A client that breaks off cancels nothing: what it had sent goes on, and its outcome can be asked for by the call's
key. Only a client that says so cancels a call.
"""

import asyncio
import contextlib
import logging
import os
import time
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from interlock.model import (
    Bug,
    ConfigError,
    InterlockError,
    ToolDefinition,
    ToolLost,
    ToolRef,
    ToolResult,
    ToolTimeout,
    ToolUnavailable,
)
from interlock.tools.delivery import Delivery
from interlock.tools.host import wording
from interlock.tools.host.frames import Frames
from interlock.tools.host.mailbox import Letter, Mailbox
from interlock.tools.host.place import Place
from interlock.tools.toolbox import Toolbox

log = logging.getLogger("interlock.toolhost")
LINGER_S = 15.0  # after the last client broke off: a worker that dies is there again within that
MAX_UNDER_WAY = 1024  # requests of one client
_TICK_S = 0.25
Json: TypeAlias = dict[str, Any]


@dataclass(eq=False)
class _Client:
    """One process that uses the tool host."""

    frames: Frames
    under_way: dict[int, "asyncio.Task[None]"] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    listening: list[Letter] = field(default_factory=list)  # for whose outcomes it waits
    called: bool = False
    left: bool = False


class ToolHost:
    """Serves one toolbox; ends when nobody has used it for a while."""

    def __init__(self, toolbox: Toolbox, fingerprint: str, linger_s: float = LINGER_S) -> None:
        """Nothing is started yet.

        Args:
            toolbox: what it serves.
            fingerprint: of the configuration; clients of another one are refused.
            linger_s: how long it stays without clients after one broke off.
        """
        self._toolbox = toolbox
        self._fingerprint = fingerprint
        self._linger_s = linger_s
        self._mailbox = Mailbox()
        self._clients: set[_Client] = set()
        self._versions: dict[str, tuple[int, tuple[ToolDefinition, ...]]] = {}
        self._alone_since_s = time.monotonic()
        self._patience_s = linger_s
        self._awaited = False  # somebody may come for the outcome of a call whose sender broke off
        self._ending = asyncio.Event()
        toolbox.on_news = self._tell

    async def serve(self, place: Place) -> None:
        """Listen until nobody needs it any more; then stop all servers. Only the holder of the place may.

        Raises:
            OSError: it can't listen there.
        """
        server = await place.listen(self._answer)
        try:
            while not self._ending.is_set() and not self._lonely():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_S):
                        await self._ending.wait()
        finally:
            server.close()
            for client in list(self._clients):
                await client.frames.close()
            await self._toolbox.stop()

    def _lonely(self) -> bool:
        if self._clients or self._mailbox.busy:
            self._alone_since_s = time.monotonic()
            return False
        return time.monotonic() - self._alone_since_s >= self._patience_s

    def retire(self) -> None:
        """End soon; calls under way are lost."""
        self._ending.set()

    def _tell(self, server: str) -> None:
        """All clients hear that what they know of a server is old."""
        for client in self._clients:
            client.frames.write({"news": server})

    # ---- one client --------------------

    async def _answer(self, frames: Frames) -> None:
        client = _Client(frames)
        hello = await frames.read()
        try:
            fault = self._refusal(hello)
            if fault is not None:
                frames.write({"id": 0, "error": wording.error_to_json(fault)})
                return
            self._clients.add(client)
            frames.write({"id": 0, "ok": {"pid": os.getpid()}})
            while (message := await frames.read()) is not None:
                self._take(client, message)
        finally:
            self._clients.discard(client)
            for letter in client.listening:
                letter.listeners -= 1
            client.listening.clear()
            self._awaited = self._awaited or (client.called and not client.left)
            self._patience_s = _TICK_S if client.left and not self._awaited else self._linger_s
            await frames.close()

    def _refusal(self, hello: Json | None) -> InterlockError | None:
        if hello is None or hello.get("op") != "hello":
            return Bug("a client of the tool host did not introduce itself")
        if hello.get("fingerprint") == self._fingerprint:
            return None
        if not self._clients:
            self.retire()
            return ToolUnavailable("the tool host of an older configuration is ending")
        return ConfigError(
            "the tool servers that run now were configured differently", hint="interlock down, then: interlock up"
        )

    def _take(self, client: _Client, message: Json) -> None:
        number, op = int(message["id"]), str(message["op"])
        if op == "leave":
            client.left = True
        elif op == "cancel":
            self._cancel(client, int(message["of"]))
        elif len(client.under_way) >= MAX_UNDER_WAY:
            busy = ToolUnavailable(f"this process has {MAX_UNDER_WAY} requests under way at the tool host already")
            client.frames.write({"id": number, "error": wording.error_to_json(busy)})
        else:
            work = asyncio.create_task(self._reply(client, number, op, message))
            client.under_way[number] = work
            work.add_done_callback(lambda _: client.under_way.pop(number, None))

    def _cancel(self, client: _Client, number: int) -> None:
        work = client.under_way.get(number)
        if work is not None:
            client.cancelled.add(number)
            work.cancel()

    async def _reply(self, client: _Client, number: int, op: str, message: Json) -> None:
        try:
            reply: Json = {"id": number, "ok": await self._do(client, number, op, message)}
        except InterlockError as error:
            reply = {"id": number, "error": wording.error_to_json(error)}
        finally:
            client.cancelled.discard(number)
        if client.frames.write(reply):
            with contextlib.suppress(ConnectionError):
                await client.frames.drained()

    async def _do(self, client: _Client, number: int, op: str, message: Json) -> Json:
        match op:
            case "call":
                client.called = True
                return wording.result_to_json(await self._call(client, number, message))
            case "recall":
                return await self._recall(client, str(message["key"]), float(message["patience_s"]))
            case "definitions":
                return await self._definitions(message)
            case "states":
                return {"health": [wording.health_to_json(one) for one in await self._toolbox.states()]}
            case "start":
                found = await self._toolbox.start(message["names"])
                return {"health": [wording.health_to_json(one) for one in found]}
            case "restart":
                return wording.health_to_json(await self._toolbox.restart(str(message["server"])))
            case "release":
                await self._toolbox.release(str(message["run"]))
                return {}
            case "unheard" | "cut_off":
                self._mailbox.cut_off({str(run) for run in message.get("runs", ())})
                return {"runs": sorted(self._mailbox.unheard())}
        raise Bug(f"the tool host has no operation '{op}'")

    async def _definitions(self, message: Json) -> Json:
        """What a server offers, or only that it is what the client has already."""
        server = str(message["server"])
        found = await self._toolbox.definitions(server, refresh=bool(message["refresh"]))
        version, last = self._versions.get(server, (0, ()))
        if found is not last:
            version += 1
            self._versions[server] = (version, found)
        if version == message["have"] and os.getpid() == message["of"]:
            return {"version": version, "of": os.getpid()}
        return {
            "version": version,
            "of": os.getpid(),
            "definitions": [wording.definition_to_json(one) for one in found],
        }

    # ---- calls --------------------

    async def _call(self, client: _Client, number: int, message: Json) -> ToolResult:
        ref = ToolRef(str(message["server"]), str(message["tool"]))
        how = _local(wording.delivery_from_json(message["how"]))
        if how.idempotency_key is None:
            return await self._toolbox.call(ref, message["args"], how)
        letter = self._mailbox.find(how.idempotency_key)
        if letter is None or (how.repeat and letter.work.done()):
            letter = self._mailbox.open(how.idempotency_key, self._toolbox.call(ref, message["args"], how), how.run)
        return await self._listen(client, number, letter)

    async def _listen(self, client: _Client, number: int, letter: Letter) -> ToolResult:
        letter.listeners += 1
        client.listening.append(letter)
        try:
            return await asyncio.shield(letter.work)
        except asyncio.CancelledError:
            if number in client.cancelled and letter.listeners == 1:
                letter.work.cancel()
            raise
        finally:
            _hang_up(client, letter)

    async def _recall(self, client: _Client, key: str, patience_s: float) -> Json:
        self._awaited = False
        letter = self._mailbox.find(key)
        if letter is None:
            return {"known": False}
        letter.listeners += 1
        client.listening.append(letter)
        try:
            _, pending = await asyncio.wait({letter.work}, timeout=patience_s)
        finally:
            _hang_up(client, letter)
        if pending:
            raise ToolTimeout("the call is still under way; whether it acts is not known yet")
        if letter.work.cancelled():
            raise ToolLost("the call was cut off; whether it acted is unknown")
        return {"known": True, "result": wording.result_to_json(letter.work.result())}


def _hang_up(client: _Client, letter: Letter) -> None:
    if letter in client.listening:  # else the client itself is gone, and was counted
        client.listening.remove(letter)
        letter.listeners -= 1


def _local(how: Delivery) -> Delivery:
    """What was told as a moment, as the question that is asked before a call is sent."""
    until_s = how.expect.not_after_s
    if until_s is None:
        return how
    return replace(how, expect=replace(how.expect, still=lambda: time.monotonic() < until_s))
