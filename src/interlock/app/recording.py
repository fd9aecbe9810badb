"""Writes the runs of a task as recorded runs, version 1: what was asked, seen, called, answered, agreed to, and spent.

Bounded: calls are read a page at a time, each page in a transaction of its own. Nothing that is a secret by its value
or its shape leaves with it; what is shown as `***` may differ from what the model saw in that alone.
"""

import datetime
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from interlock import audit
from interlock.config import SECRET, AgentConfig, PlanEntryConfig, Project, Secrets, ToolServerConfig
from interlock.guardrails import contract_of, delegation_of, is_internal
from interlock.model import (
    Approval,
    ApprovalState,
    Call,
    ConfigError,
    ModelTurn,
    NotFound,
    PlannedCall,
    RecordedApproval,
    RecordedCall,
    RecordedContract,
    RecordedLine,
    RecordedModel,
    RecordedPlan,
    RecordedRequest,
    RecordedResult,
    RecordedTool,
    Task,
    TaskKind,
    ToolContract,
    ToolDefinition,
    write_recorded_line,
)
from interlock.observability import redact
from interlock.store import (
    Database,
    Row,
    Transaction,
    approval_rows,
    call_rows,
    catalog_rows,
    run_rows,
    task_rows,
    version_rows,
)

PAGE = 50
MAX_MODEL_RECORDS = 20_000
_MIN_SECRET_CHARS = 8
_SECRET_NAME = re.compile(r"(?i)(^|_)(key|token|secret|password|passwd|credentials?)($|_)")
_DECISIONS = {
    ApprovalState.APPROVED: "approve",
    ApprovalState.CONSUMED: "approve",
    ApprovalState.DENIED: "deny",
    ApprovalState.EXPIRED: "expired",
}


def known_secrets(project: Project, secrets: Secrets | None) -> tuple[str, ...]:
    """Values that must never leave: what the configuration refers to, and variables whose names say that they are."""
    if secrets is None:
        return ()
    found = {value for name, value in secrets.env.items() if _SECRET_NAME.search(name)}
    named = list(_texts(project.config.model_dump(mode="json", include={"tools", "models", "database"})))
    references = [text for text in named if text.startswith(SECRET)]
    references += [trigger.secret for trigger in project.config.triggers.values()]
    for text in references:
        try:
            found.add(secrets.value_of(text))
        except ConfigError:  # it can't be used now, so nothing was done with it either
            continue
    lines = {line.strip() for value in found for line in (value, *value.splitlines())}
    return tuple(sorted(value for value in lines if len(value) >= _MIN_SECRET_CHARS))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


@dataclass(frozen=True)
class RunExport:
    """Reads one task, a run at a time."""

    database: Database
    project: Project
    secrets: tuple[str, ...] = ()

    async def lines(self, task_id: str, run_no: int | None = None) -> AsyncIterator[dict[str, Any]]:
        """The lines of all its runs, or of one; a run that has not ended has no result yet.

        Raises:
            NotFound: there is no such task, or it has no such run.
        """
        async with self.database.transaction() as tx:
            whole = await task_rows.resolve_id(tx, "task", task_id)
            task = await task_rows.get(tx, whole)
            runs = [row for row in await run_rows.runs(tx, whole) if run_no in (None, row["run_no"])]
        if not runs:
            raise NotFound(f"the task has no run {run_no}", hint=f"interlock tasks show {whole}")
        for row in runs:
            async for line in self._run(task, row):
                yield self._plain(write_recorded_line(line))

    def _plain(self, value: Any) -> Any:
        """Without secrets."""
        if isinstance(value, str):
            return redact(value, self.secrets)
        if isinstance(value, dict):
            return {self._plain(key): self._plain(item) for key, item in value.items()}
        return [self._plain(item) for item in value] if isinstance(value, list) else value

    async def _run(self, task: Task, row: Row) -> AsyncIterator[RecordedLine]:
        run_no, run = row["run_no"], f"{task.id}:{row['run_no']}"
        async with self.database.transaction() as tx:
            body = await task_rows.request_of(tx, task.id)
            agent, servers = await self._configured(tx, task)
            tools = await self._tools(tx, run, agent, (servers, await call_rows.tools_of_run(tx, task.id, run_no)))
            models = await _models(tx, task, run_no)
            tainted = await _began_tainted(tx, task, body, run_no)
        yield RecordedRequest(run=run, agent=task.agent, text=body["text"], inputs=body["inputs"], tainted=tainted)
        for tool in tools:
            yield tool
        if agent.plan:
            yield RecordedPlan(run=run, source="declared", calls=tuple(_planned(entry) for entry in agent.plan))
        async for line in self._calls(task, run_no, models):
            yield line
        if row["outcome"] is not None:
            yield RecordedResult(run=run, state=row["outcome"], text=await self._result(task, run_no))

    async def _calls(
        self, task: Task, run_no: int, models: list[tuple[datetime.datetime, RecordedModel]]
    ) -> AsyncIterator[RecordedLine]:
        """The calls in order, each after the answers of models before it; a check that no agent sees is left out."""
        after, more = 0, True
        while more:
            async with self.database.transaction() as tx:
                page = await call_rows.page_of_run(tx, task.id, run_no, after, PAGE)
                approvals = await approval_rows.of_calls(tx, [call.id for call in page])
            for call in page:
                if call.turn_seq is None and task.kind is not TaskKind.OUTSIDE:
                    continue
                while models and models[0][0] <= call.created_at:
                    yield models.pop(0)[1]
                for line in _call_lines(f"{task.id}:{run_no}", call, approvals):
                    yield line
            after, more = (page[-1].call_no, len(page) == PAGE) if page else (after, False)
        for _, model in models:
            yield model

    async def _configured(self, tx: Transaction, task: Task) -> tuple[AgentConfig, dict[str, ToolServerConfig]]:
        """The agent and the tool servers as they were when the task was submitted."""
        config = self.project.config
        stored = None
        if task.config_sha256 != self.project.sha256:
            stored = await version_rows.content(tx, task.config_sha256)
        if stored is None:
            return config.agents.get(task.agent, AgentConfig()), dict(config.tools)
        try:
            agent = AgentConfig.model_validate(stored.get("agents", {}).get(task.agent, {}))
            servers = {name: ToolServerConfig.model_validate(body) for name, body in stored.get("tools", {}).items()}
        except ValidationError:  # another release wrote it
            return config.agents.get(task.agent, AgentConfig()), dict(config.tools)
        return agent, servers

    async def _tools(
        self, tx: Transaction, run: str, agent: AgentConfig, seen: tuple[dict[str, ToolServerConfig], set[str]]
    ) -> list[RecordedTool]:
        """What the agent may call, and what was called, as it was accepted."""
        servers, called = seen
        granted = {name for pattern in agent.tools for name in (pattern, pattern.partition(".")[0])}
        names = sorted({*granted, *(tool.partition(".")[0] for tool in called)})
        found = []
        for row in await catalog_rows.accepted_definitions(tx, names):
            tool, server = f"{row['server']}.{row['name']}", servers.get(row["server"])
            visible = bool({tool, f"{row['server']}.*"} & granted)
            if server is not None and is_internal(server, row["name"]):
                visible = False
            if visible or tool in called:
                found.append(_tool(run, tool, row["definition"], server))
        own = delegation_of(agent)
        return found if own is None else [*found, _own_tool(run, *own)]

    async def _result(self, task: Task, run_no: int) -> str:
        """What the agent said last in this run, if it asked for nothing more."""
        async with self.database.transaction() as tx:
            turn = await run_rows.last_model_turn(tx, task.id, run_no)
        return turn.text if isinstance(turn, ModelTurn) and not turn.calls else ""


def _planned(entry: PlanEntryConfig) -> PlannedCall:
    return PlannedCall(tool=entry.tool, args=entry.args, count=entry.count)


def _tool(run: str, tool: str, definition: dict[str, Any], server: ToolServerConfig | None) -> RecordedTool:
    schema = definition.get("input_schema") or {}
    contract = None if server is None else contract_of(server, tool.partition(".")[2])
    return RecordedTool(
        run=run,
        tool=tool,
        description=definition.get("description") or "",
        input_schema=schema,
        annotations=definition.get("annotations") or {},
        contract=None if contract in (None, ToolContract()) else _contract(contract, schema),
    )


def _own_tool(run: str, tool: ToolDefinition, contract: ToolContract) -> RecordedTool:
    """A tool that no server offers."""
    kept = _contract(contract, tool.input_schema)
    return RecordedTool(
        run=run,
        tool=str(tool.ref),
        description=tool.description,
        input_schema=tool.input_schema,
        annotations=tool.annotations or {},
        contract=kept,
    )


def _contract(contract: ToolContract, schema: dict[str, Any]) -> RecordedContract:
    """What is not control is content, once somebody said what is control."""
    properties = schema.get("properties")
    named = properties if isinstance(properties, dict) and contract.control else {}
    return RecordedContract(
        action_class=None if contract.action_class is None else contract.action_class.value,
        egress=contract.egress,
        control=contract.control,
        content=tuple(sorted(set(named) - set(contract.control))),
        output="trusted" if contract.output == "trusted" else "untrusted",
        inverse=contract.inverse,
    )


async def _began_tainted(tx: Transaction, task: Task, body: dict[str, Any], run_no: int) -> bool:
    """Whether it was tainted from its first call on: by who wrote the inputs, or by what an earlier run had read."""
    if body.get("tainted"):
        return True
    return task.tainted and run_no > 1 and await run_rows.read_untrusted(tx, task.id, before_run=run_no)


async def _models(tx: Transaction, task: Task, run_no: int) -> list[tuple[datetime.datetime, RecordedModel]]:
    """The answers of the agent's models that the record tells of, with their moments; a judge's are not its own."""
    found: list[tuple[datetime.datetime, RecordedModel]] = []
    for entry in await audit.events_of(tx, task.id, ("model.outcome",), MAX_MODEL_RECORDS):
        detail = entry["detail"]
        own = entry["actor"] == f"agent:{task.agent}" and entry["subject"].get("run") == run_no
        if own and "error" not in detail:
            line = RecordedModel(
                run=f"{task.id}:{run_no}",
                n=len(found) + 1,
                model=detail["model"],
                tokens=detail["tokens"],
                cost_usd=detail["cost_usd"],
            )
            found.append((datetime.datetime.fromisoformat(entry["at"]), line))
    return found


def _call_lines(run: str, call: Call, approvals: Sequence[Approval]) -> Iterator[RecordedLine]:
    for approval in approvals:
        decision = _DECISIONS.get(approval.state)
        if approval.call_id == call.id and decision is not None:
            yield RecordedApproval.model_validate(
                {
                    "run": run,
                    "n": call.call_no,
                    "decision": decision,
                    "by": approval.decided_by,
                    "reason": approval.reason,
                }
            )
    text = None if call.result is None else str(call.result.get("text", ""))
    ok = call.result is not None and bool(call.result.get("ok"))
    yield RecordedCall(
        run=run,
        n=call.call_no,
        tool=call.tool,
        args=call.args,
        result=text if ok else None,
        error=None if ok else text,
        started=call.started_at,
        ended=call.ended_at,
    )
