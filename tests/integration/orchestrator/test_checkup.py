"""The calls that show whether a server works: reads only, through the gate, and nobody is asked anything."""

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlock.app import Foundation, check_project, keep_version, this_host
from interlock.app.tool_host import toolbox_of
from interlock.config import Project, Settings
from interlock.guardrails import Checkpoint, Gate, Pulse
from interlock.model import ApprovalState, Denied, Done, Held, TaskState, ToolRef
from interlock.orchestrator import Presence, checkup
from interlock.store import Database, Page, SessionLock, approval_rows, catalog_rows, executor_rows, task_rows
from interlock.testing.postgres import TestPostgres, open_database
from interlock.tools import Snapshots, Toolbox

LOOKUP, ECHO, APPEND = ToolRef("log", "lookup"), ToolRef("log", "echo"), ToolRef("log", "append")


class Ground:
    """A server, a gate before it, and who makes the calls."""

    def __init__(self, foundation: Foundation, project: Project, toolbox: Toolbox) -> None:
        self.database, self.project = foundation.database, project
        pulse = Pulse()
        self.gate = Gate(self.database, project, toolbox, Checkpoint(self.database, Snapshots(toolbox)), pulse)
        lock = SessionLock(foundation.conninfo, "gateway-test")
        self.presence = Presence("gateway", self.database, lock, this_host(), pulse, project.sha256)


@pytest.fixture
async def ground(interlock_postgres: TestPostgres, tmp_path: Path) -> AsyncIterator[Ground]:
    args = ["-m", "interlock.testing.faulty_server", "--log", str(tmp_path / "log")]
    reads = {"class": "read", "egress": False}
    server = {"command": sys.executable, "args": args, "sandbox": {"mode": "off"}}
    rule = {"id": "ask-me", "when": {"tool": "log.echo"}, "then": "ask"}
    config = {
        "tools": {"log": {**server, "contracts": {"lookup": reads, "echo": reads, "append": {"class": "write"}}}},
        "policy": {"rules": [rule]},
    }
    (tmp_path / "interlock.yaml").write_text(json.dumps(config))
    env = {**os.environ, "INTERLOCK_HOME": str(tmp_path / "home")}
    settings, project = Settings.from_env(env), check_project(tmp_path, env)
    conninfo, url = interlock_postgres.fresh()
    async with open_database(conninfo) as database:
        toolbox = toolbox_of(settings, project, env, tmp_path / "servers")
        await keep_version(database, project)
        async with database.transaction() as tx:
            for definition in await toolbox.definitions("log"):
                await catalog_rows.accept_pin(tx, definition, "test", replace=False)
        try:
            yield Ground(Foundation(database, conninfo, url, "test"), project, toolbox)
        finally:
            await toolbox.stop()


async def the_task(database: Database) -> TaskState:
    async with database.transaction() as tx:
        (task,) = await task_rows.listing(tx, Page())
        assert await executor_rows.listing(tx) == [], "whoever made the calls has left"
    return task.state


async def test_only_reads_are_made_and_the_task_ends(ground: Ground, tmp_path: Path) -> None:
    async with checkup(ground.database, ground.project, ground.gate, ground.presence, "test") as found:
        read = await found.call(LOOKUP, {"key": "a"})
        assert isinstance(read, Done)
        assert read.observation.text == "0"
        write = await found.call(APPEND, {"key": "a", "text": "b"})
        assert isinstance(write, Denied)
        assert "a check may only read" in write.observation.text
        misfit = await found.call(LOOKUP, {})
        assert isinstance(misfit, Denied)
    assert not (tmp_path / "log").exists() or (tmp_path / "log").read_text() == ""
    assert await the_task(ground.database) is TaskState.COMPLETED


async def test_what_would_be_asked_is_not_left_as_a_question(ground: Ground) -> None:
    async with checkup(ground.database, ground.project, ground.gate, ground.presence, "test") as found:
        assert isinstance(await found.call(ECHO, {"text": "x"}), Held)
    async with ground.database.transaction() as tx:
        assert [one.state for one in await approval_rows.listing(tx, pending_only=False)] == [ApprovalState.SUPERSEDED]
    assert await the_task(ground.database) is TaskState.COMPLETED


async def test_a_block_that_fails_ends_the_task_too(ground: Ground) -> None:
    with pytest.raises(RuntimeError, match="in the middle"):
        async with checkup(ground.database, ground.project, ground.gate, ground.presence, "test"):
            raise RuntimeError("in the middle")
    assert await the_task(ground.database) is TaskState.COMPLETED
