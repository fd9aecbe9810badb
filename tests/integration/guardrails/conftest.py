"""A gate over real tool servers and a real database, and an agent whose calls pass it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from interlock.app import check_project, keep_version
from interlock.app.tool_host import toolbox_of
from interlock.config import Project, Settings, new_id
from interlock.guardrails import Checkpoint, Gate, Subject
from interlock.model import ActOutcome, CallRequest, Done, Held, RequestTurn, TaskRequest
from interlock.orchestrator import decide, submit
from interlock.store import Database, call_rows, catalog_rows, task_rows
from interlock.testing.postgres import TestPostgres, open_database
from interlock.tools import Snapshots, Toolbox

PERSON = "person:ann"
READ = {"class": "read", "egress": False, "output": "trusted"}


def faulty(log: Path, mode: str = "ok", **config: Any) -> dict[str, Any]:
    """A tool server that may misbehave."""
    args = ["-m", "interlock.testing.faulty_server", "--mode", mode, "--log", str(log)]
    return {"command": sys.executable, "args": args, "sandbox": {"mode": "off"}, "start_timeout": 20, **config}


@dataclass
class Scene:
    """One agent before the gate."""

    database: Database
    project: Project
    toolbox: Toolbox
    gate: Gate
    subject: Subject
    numbers: list[int] = field(default_factory=list)

    async def act(self, tool: str, args: dict[str, Any], call_no: int | None = None) -> ActOutcome:
        """Make a call, or go on with one."""
        number = call_no or len(self.numbers) + 1
        request = CallRequest(number, tool, args, "a reason")
        if call_no is None:
            self.numbers.append(number)
            async with self.database.transaction(self.subject.lease) as tx:
                await call_rows.propose(tx, self.subject.lease, new_id(), request, 1)
        return await self.gate.act(self.subject, request)

    async def done(self, tool: str, args: dict[str, Any], call_no: int | None = None) -> Done:
        outcome = await self.act(tool, args, call_no)
        assert isinstance(outcome, Done), outcome
        return outcome

    async def held(self, tool: str, args: dict[str, Any]) -> Held:
        outcome = await self.act(tool, args)
        assert isinstance(outcome, Held), outcome
        return outcome

    async def decide(self, held: Held, decision: str, reason: str = "no") -> None:
        await decide(self.database, held.approval_id, {"decision": decision, "reason": reason}, PERSON)

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What the audit says of the task, in order."""
        async with self.database.transaction() as tx:
            rows = await tx.rows(
                "select body from audit_record where task_id = %s order by at, id", [self.subject.lease.task_id]
            )
        records = [json.loads(bytes(row["body"])) for row in rows]
        return [(record["event"], record["detail"]) for record in records]


Build = Callable[..., Any]


@pytest.fixture
async def scene(interlock_postgres: TestPostgres, tmp_path: Path) -> AsyncIterator[Build]:
    """Builds a scene from tool servers and what the agent may use; more keys are of the agent."""
    stack = AsyncExitStack()

    async def build(tools: dict[str, Any], granted: list[str], **agent: Any) -> Scene:
        config = {"tools": tools, "agents": {"a": {"model": "playbook:p", "tools": granted, **agent}}}
        (tmp_path / "playbooks").mkdir()
        steps = [{"id": "a", "call": "x.y", "args": {}}]
        (tmp_path / "playbooks" / "p.yaml").write_text(json.dumps({"version": 1, "steps": steps, "result": "x"}))
        (tmp_path / "interlock.yaml").write_text(json.dumps(config))
        env = {**os.environ, "INTERLOCK_HOME": str(tmp_path / "home")}
        settings, project = Settings.from_env(env), check_project(tmp_path, env)
        conninfo, _ = interlock_postgres.fresh()
        database = await stack.enter_async_context(open_database(conninfo))
        toolbox = toolbox_of(settings, project, env, tmp_path / "servers")
        stack.push_async_callback(toolbox.stop)
        await keep_version(database, project)
        for server in tools:
            definitions = await _offered(toolbox, server)
            async with database.transaction() as tx:
                for definition in definitions:
                    await catalog_rows.accept_pin(tx, definition, PERSON, replace=False)
        gate = Gate(database, project, toolbox, Checkpoint(database, Snapshots(toolbox)))
        task = (await submit(database, project, TaskRequest("a", "go"), PERSON)).task
        async with database.transaction() as tx:
            lease = await task_rows.take_lease(tx, task, "w")
            task = await task_rows.get(tx, task.id)
        subject = Subject(lease, task, project.config.agents["a"], RequestTurn("go", {}))
        return Scene(database, project, toolbox, gate, subject)

    yield build
    await asyncio.wait_for(stack.aclose(), 60)


async def _offered(toolbox: Toolbox, server: str) -> tuple[Any, ...]:
    from interlock.model import ToolUnavailable

    try:
        return await toolbox.definitions(server)
    except ToolUnavailable:
        return ()
