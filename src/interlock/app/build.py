"""The composition root: the only place that wires the rooms together."""

import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from interlock.app.control import Control
from interlock.app.fleet import Fleet
from interlock.app.gateway import GATEWAY, Gateway, state_key_of
from interlock.app.ground import Foundation, foundation
from interlock.app.tool_host import hosted_tools, place_of
from interlock.app.triggers import Triggers
from interlock.app.versions import UP, apply_version
from interlock.config import ModelsConfig, Project, Secrets, Settings, ensure_key, new_id
from interlock.guardrails import Checkpoint, Gate, Minds, Policy, Pulse, Thinker, refuse_unsafe_checks
from interlock.inference import Models
from interlock.model import VERSION
from interlock.orchestrator import DbosEngine, Host, OutsideRuns, Presence, Segments, Worker
from interlock.store import Database, SessionLock, version_rows
from interlock.tools import HostedTools, Snapshots

MAX_OLDER = 16


def this_host(settings: Settings | None = None) -> Host:
    """Where this process runs: two containers may share a name, but not a boot and a process namespace."""
    name = socket.gethostname() if settings is None or settings.host is None else settings.host
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return Host(name, os.getpid(), name)
    return Host(name, os.getpid(), f"{name}@{boot}.{namespace}")


@asynccontextmanager
async def control_of(settings: Settings, project: Project, env: Mapping[str, str]) -> AsyncIterator[Control]:
    """The control plane of one project, which is applied: what answers requests, without a model."""
    async with foundation(settings, project, env) as ground:
        await apply_version(ground.database, project, UP)
        async with control_on(ground, settings, project, env) as control:
            yield control


@asynccontextmanager
async def control_on(
    ground: Foundation, settings: Settings, project: Project, env: Mapping[str, str]
) -> AsyncIterator[Control]:
    """The control plane for the HTTP server: database, tools as data, calls of agents outside, and no model."""
    Policy(project.config.policy)  # a policy that can't be loaded stops the start
    refuse_unsafe_checks(project.config.tools)
    tools = hosted_tools(settings, project, env)
    try:
        gateway = gateway_of(ground, settings, project, tools)
        secrets = Secrets(settings.home, env)
        triggers = Triggers(ground.database, project, secrets)
        fleet = Fleet(ground.database, project, tools)
        try:
            yield Control(ground.database, project, fleet, VERSION, gateway, secrets, triggers, this_host(settings))
        finally:
            await gateway.runs.leave()
    finally:
        await tools.stop()


def gateway_of(ground: Foundation, settings: Settings, project: Project, tools: HostedTools) -> Gateway:
    """The way in for agents outside, on a database that is open; whoever has it keeps its watch, and lets it leave."""
    host = this_host(settings)
    executor_id = f"{GATEWAY}{host.name}-{host.pid}-{new_id()[-12:]}"
    database = ground.database
    pulse = Pulse(host=f"{host.place}/{place_of(settings, project).folder.name}", machine=host.name)
    gate = Gate(database, project, tools, Checkpoint(database, Snapshots(tools)), pulse)
    lock = SessionLock(ground.conninfo, executor_id)
    presence = Presence("gateway", database, lock, host, pulse, project.sha256)
    runs = OutsideRuns(database, project, gate, presence)
    return Gateway(database, project, runs, state_key_of(ensure_key(settings)))


def worker_of(
    ground: Foundation, settings: Settings, project: Project, env: Mapping[str, str]
) -> tuple[Worker, HostedTools]:
    """A worker on a database that is open, and its tools, which the caller leaves after it."""
    host = this_host(settings)
    executor_id = f"{host.name}-{host.pid}-{new_id()[-12:]}"
    database = ground.database
    tools = hosted_tools(settings, project, env)
    checkpoint = Checkpoint(database, Snapshots(tools))
    pulse = Pulse(host=f"{host.place}/{place_of(settings, project).folder.name}", machine=host.name)
    gate = Gate(database, project, tools, checkpoint, pulse)
    models = Models(project.config.models, project.playbooks, env, project.stored["playbooks"])
    older = OlderVersions(database, project, env)
    thinker = Thinker(database, gate, models, project.config.models.default, project.sha256, older.minds)
    lock = SessionLock(ground.conninfo, executor_id)
    bound = any(server.host is not None for server in project.config.tools.values())
    worker = Worker(
        database=database,
        engine=DbosEngine(ground.dispatcher_url, executor_id, host.name, bound=bound),
        segments=Segments(database, project, gate, thinker, executor_id, host.name),
        presence=Presence("worker", database, lock, host, pulse, project.sha256),
        concurrency=project.config.server.concurrency,
    )
    return worker, tools


def idle_presence(ground: Foundation, settings: Settings, project: Project) -> Presence:
    """A worker that takes no tasks, among those that do, so that it can say why."""
    host = this_host(settings)
    lock = SessionLock(ground.conninfo, f"{host.name}-{host.pid}-{new_id()[-12:]}")
    return Presence("worker", ground.database, lock, host, Pulse(host=host.place), project.sha256)


@dataclass(frozen=True)
class OlderVersions:
    """The models of versions under which tasks were submitted that are not over yet."""

    database: Database
    project: Project
    env: Mapping[str, str]
    _kept: dict[str, Minds] = field(default_factory=dict)

    async def minds(self, config_sha256: str) -> Minds | None:
        """The models of a version; None when what was stored of it does not say."""
        if config_sha256 in self._kept:
            return self._kept[config_sha256]
        async with self.database.transaction() as tx:
            body = await version_rows.content(tx, config_sha256)
        if body is None or "playbooks" not in body:
            return None
        config = ModelsConfig.model_validate(body["models"])
        paths = {name: self.project.folder / "playbooks" / f"{name}.yaml" for name in body["playbooks"]}
        minds = Minds(Models(config, paths, self.env, body["playbooks"]), config.default)
        if len(self._kept) >= MAX_OLDER:
            await self._kept.pop(next(iter(self._kept))).models.close()
        return self._kept.setdefault(config_sha256, minds)
