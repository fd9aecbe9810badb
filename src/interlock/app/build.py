"""The composition root: the only place that wires the rooms together."""

import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from interlock.app.control import Control
from interlock.app.fleet import Fleet
from interlock.app.gateway import GATEWAY, Gateway, state_key_of
from interlock.app.ground import Foundation, foundation
from interlock.app.tool_host import hosted_tools, place_of
from interlock.app.triggers import Triggers
from interlock.app.versions import UP, apply_version
from interlock.config import Project, Secrets, Settings, ensure_key, new_id
from interlock.guardrails import Checkpoint, Gate, Policy, Pulse, Thinker, refuse_unsafe_checks
from interlock.inference import Models
from interlock.model import VERSION
from interlock.orchestrator import DbosEngine, Host, OutsideRuns, Presence, Segments, Worker
from interlock.store import SessionLock
from interlock.tools import HostedTools, Snapshots


def this_host() -> Host:
    """Where this process runs: two containers may share a name, but not a boot and a process namespace."""
    name = socket.gethostname()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return Host(name, os.getpid(), name)
    return Host(name, os.getpid(), f"{name}@{boot}.{namespace}")


@asynccontextmanager
async def control_of(settings: Settings, project: Project, env: Mapping[str, str]) -> AsyncIterator[Control]:
    """The control plane for the HTTP server: database, tools as data, calls of agents outside, and no model."""
    Policy(project.config.policy)  # a policy that can't be loaded stops the start
    refuse_unsafe_checks(project.config.tools)
    async with foundation(settings, project, env) as ground:
        tools = hosted_tools(settings, project, env)
        try:
            await apply_version(ground.database, project, UP)
            gateway = gateway_of(ground, settings, project, tools)
            secrets = Secrets(settings.home, env)
            triggers = Triggers(ground.database, project, secrets)
            fleet = Fleet(ground.database, project, tools)
            try:
                yield Control(ground.database, project, fleet, VERSION, gateway, secrets, triggers)
            finally:
                await gateway.runs.leave()
        finally:
            await tools.stop()


def gateway_of(ground: Foundation, settings: Settings, project: Project, tools: HostedTools) -> Gateway:
    """The way in for agents outside, on a database that is open; whoever has it keeps its watch, and lets it leave."""
    host = this_host()
    executor_id = f"{GATEWAY}{host.name}-{host.pid}-{new_id()[-12:]}"
    database = ground.database
    pulse = Pulse(host=f"{host.place}/{place_of(settings, project).folder.name}")
    gate = Gate(database, project, tools, Checkpoint(database, Snapshots(tools)), pulse)
    lock = SessionLock(ground.conninfo, executor_id)
    presence = Presence("gateway", database, lock, host, pulse, project.sha256)
    runs = OutsideRuns(database, project, gate, presence)
    return Gateway(database, project, runs, state_key_of(ensure_key(settings)))


def worker_of(
    ground: Foundation, settings: Settings, project: Project, env: Mapping[str, str]
) -> tuple[Worker, HostedTools]:
    """A worker on a database that is open, and its tools, which the caller leaves after it."""
    host = this_host()
    executor_id = f"{host.name}-{host.pid}-{new_id()[-12:]}"
    database = ground.database
    tools = hosted_tools(settings, project, env)
    checkpoint = Checkpoint(database, Snapshots(tools))
    pulse = Pulse(host=f"{host.place}/{place_of(settings, project).folder.name}")
    gate = Gate(database, project, tools, checkpoint, pulse)
    models = Models(project.config.models, project.playbooks, env)
    thinker = Thinker(database, gate, models, project.config.models.default)
    lock = SessionLock(ground.conninfo, executor_id)
    worker = Worker(
        database=database,
        engine=DbosEngine(ground.dispatcher_url, executor_id),
        segments=Segments(database, project, gate, thinker, executor_id),
        presence=Presence("worker", database, lock, host, pulse, project.sha256),
        concurrency=project.config.server.concurrency,
    )
    return worker, tools
