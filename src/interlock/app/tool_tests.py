"""`tools test`: starts every tool server, lists what it offers, compares it with what was accepted, makes one safe call.

The servers are children of this process, beside those that may run already. The call goes through the gate, as every
call does, as that of a task that may only read.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from interlock.app.build import this_host
from interlock.app.fleet import Fleet, kind_of
from interlock.app.gateway import GATEWAY
from interlock.app.ground import Foundation, foundation
from interlock.app.installing import install_packages
from interlock.app.pinning import Look
from interlock.app.shelf import ADMIN
from interlock.app.tool_host import toolbox_of
from interlock.app.versions import keep_version
from interlock.config import Project, Settings, ToolServerConfig, new_id
from interlock.guardrails import Checkpoint, Gate, Pulse, class_of, contract_of
from interlock.model import (
    ActionClass,
    ActOutcome,
    Denied,
    Done,
    Held,
    InDoubt,
    InterlockError,
    NotFound,
    ServerState,
    ToolDefinition,
    ToolRef,
)
from interlock.orchestrator import Checkup, Presence, checkup
from interlock.store import SessionLock
from interlock.tools import Snapshots, Toolbox

TESTER = "system:tools-test"
AT_ONCE = 4  # servers that start at the same time
_SAID_CHARS = 300
Tell = Callable[[str], None]


@dataclass(frozen=True)
class ServerTest:
    """What became of one server.

    Attributes:
        kind: `builtin NAME`, `command`, `package` or `url`.
        start_s: until it had listed its tools, or until it was given up.
        pins: `{new, changed, missing}`; None when there is no database to compare with.
        first_seen: nothing of it had been accepted before, and now it is, as at its first start by `up`.
        call: `ok`, `error`, `refused` (by the gate), `asks` (a person), or `none` (there is no safe one).
        tool: that was called.
        call_ms: how long the call took, the gate included.
        reason: why something is not as it should be, or why no call was made.
    """

    server: str
    kind: str
    required: bool
    state: str
    start_s: float
    tools: int = 0
    pins: dict[str, int] | None = None
    first_seen: bool = False
    sandbox: str = ""
    call: str = "none"
    tool: str | None = None
    call_ms: float | None = None
    reason: str = ""

    @property
    def passed(self) -> bool:
        """It is ready, offers what was accepted, and its call did not fail."""
        clean = self.pins is None or not any(self.pins.values())
        return self.state == ServerState.READY and self.tools > 0 and clean and self.call != "error"


@dataclass(frozen=True)
class _Bench:
    """What the tests of all servers share; without a database no call can be made."""

    project: Project
    toolbox: Toolbox
    fleet: Fleet | None
    checkup: Checkup | None
    why_not: str = ""


async def try_tools(
    settings: Settings, project: Project, env: Mapping[str, str], names: Sequence[str] = (), tell: Tell = lambda _: None
) -> list[ServerTest]:
    """Try tool servers, all by default; needs no server of ours, and stops what it started.

    Raises:
        NotFound: no server has that name.
        HomeUnfit: the state folder can't be used.
    """
    servers = project.config.tools
    for name in names:
        if name not in servers:
            known = ", ".join(sorted(servers)) or "none"
            raise NotFound(
                f"there is no tool server '{name[:100]}'; configured are: {known}", hint="interlock config check"
            )
    chosen = list(dict.fromkeys(names)) or sorted(servers)
    for name in chosen:
        await asyncio.to_thread(install_packages, settings, project, env, server=name, tell=tell)
    async with _bench(settings, project, env) as bench:
        places = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> ServerTest:
            async with places:
                tell(f"{name}: starting…")
                return await _tested(bench, name)

        return list(await asyncio.gather(*(one(name) for name in chosen)))


@asynccontextmanager
async def _bench(settings: Settings, project: Project, env: Mapping[str, str]) -> AsyncIterator[_Bench]:
    toolbox = toolbox_of(settings, project, env, settings.home / "tools" / "test")
    async with AsyncExitStack() as stack:
        try:
            ground = await stack.enter_async_context(foundation(settings, project, env, pool=4))
        except InterlockError as error:
            bench = _Bench(project, toolbox, None, None, f"there is no database: {error.message}")
        else:
            fleet = Fleet(ground.database, project, toolbox)
            bench = _Bench(project, toolbox, fleet, await stack.enter_async_context(_checkup(ground, project, toolbox)))
        stack.push_async_callback(toolbox.stop)
        yield bench


@asynccontextmanager
async def _checkup(ground: Foundation, project: Project, toolbox: Toolbox) -> AsyncIterator[Checkup]:
    database, host = ground.database, this_host()
    executor_id = f"{GATEWAY}tools-test-{host.name}-{host.pid}-{new_id()[-12:]}"
    await keep_version(database, project)
    pulse = Pulse(host=f"{host.place}/{executor_id}")  # its servers are no other process's
    gate = Gate(database, project, toolbox, Checkpoint(database, Snapshots(toolbox)), pulse)
    lock = SessionLock(ground.conninfo, executor_id)
    presence = Presence("gateway", database, lock, host, pulse, project.sha256)
    async with checkup(database, project, gate, presence, ADMIN) as found:
        yield found


async def _tested(bench: _Bench, server: str) -> ServerTest:
    config = bench.project.config.tools[server]
    began_s = time.monotonic()
    (health,) = await bench.toolbox.start([server])
    start_s = round(time.monotonic() - began_s, 3)
    found = ServerTest(server, kind_of(config), config.required, health.state, start_s, health.tools)
    found = replace(found, sandbox=health.sandbox)
    if health.state is not ServerState.READY:
        return replace(found, reason=_short(health.reason))
    try:
        definitions = await bench.toolbox.definitions(server, refresh=True)  # it answers a second time, too
        if bench.fleet is None:
            return replace(found, reason=bench.why_not)
        look = await bench.fleet.look(server, definitions, first_by=TESTER)
        pins = {kind: look.count(kind) for kind in ("new", "changed", "missing")}
        found = replace(found, pins=pins, first_seen=look.fresh)
        return await _called(bench, found, definitions, look)
    except InterlockError as error:
        return replace(found, call="error", reason=_short(error.message))


async def _called(bench: _Bench, found: ServerTest, definitions: Sequence[ToolDefinition], look: Look) -> ServerTest:
    config = bench.project.config.tools[found.server]
    offered = [tool for tool in definitions if look.pins.get(tool.ref.name) == tool.pin_sha256 and not tool.internal]
    chosen = safe_call(found.server, config, offered)
    not_accepted = f"not all tools are the accepted ones: interlock tools show {found.server}"
    if chosen is None or bench.checkup is None:
        why = not_accepted if found.pins and any(found.pins.values()) else f"no read without arguments; {_HINT}"
        return replace(found, reason=why)
    ref, args = chosen
    began_s = time.monotonic()
    call, said = _read(await bench.checkup.call(ref, args))
    found = replace(found, call=call, tool=str(ref), call_ms=round((time.monotonic() - began_s) * 1000, 1))
    why = said if call != "ok" else not_accepted if found.pins and any(found.pins.values()) else ""
    return replace(found, reason=_short(why))


_HINT = "name a call with `test: {tool: …, args: {…}}`"


def safe_call(
    server: str, config: ToolServerConfig, offered: Iterable[ToolDefinition]
) -> tuple[ToolRef, dict[str, Any]] | None:
    """The call that does no harm: the one that is configured, or a read that needs no arguments; None if there is none.

    Where nobody declared a class, both the definition and the server itself must say that the tool only reads.
    """
    if config.test is not None:
        return ToolRef(server, config.test.tool), dict(config.test.args)
    ranked = [(rank, tool.ref.name, tool.ref) for tool in offered if (rank := _rank(config, tool)) is not None]
    return (min(ranked)[2], {}) if ranked else None


def _rank(config: ToolServerConfig, tool: ToolDefinition) -> int | None:
    """Which safe call is taken first: declared before told, staying here before going out."""
    if tool.input_schema.get("required"):
        return None
    contract = contract_of(config, tool.ref.name)
    action_class, _ = class_of(tool, contract, trusted_hints=config.trusted_hints)
    if action_class is not ActionClass.READ:
        return None
    if contract.action_class is None and tool.annotations.get("readOnlyHint") is not True:
        return None
    return 2 * (contract.action_class is None) + (contract.egress is not False)


def _read(outcome: ActOutcome) -> tuple[str, str]:
    """What became of the call, in a word, and what was said."""
    match outcome:
        case Done(observation):
            return ("ok" if observation.ok else "error"), observation.text
        case Denied(observation):
            return "refused", observation.text
        case Held():
            return "asks", "your policy asks a person about it"
        case InDoubt():
            return "error", outcome.reason
    return "error", "it is the work of another task"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SAID_CHARS else f"{line[: _SAID_CHARS - 1]}…"
