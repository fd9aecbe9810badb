"""What the API offers, as one object: every method takes and gives plain JSON."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from interlock import audit, observability, orchestrator
from interlock.app.artifacts import artifact_of
from interlock.app.fleet import Fleet
from interlock.app.gateway import GATEWAY, Gateway
from interlock.app.recording import RunExport, known_secrets
from interlock.app.schedules import Schedules
from interlock.app.submission import read_submission
from interlock.app.timeline import timeline_of
from interlock.app.tokens import Tokens
from interlock.app.tool_views import health_view
from interlock.app.triggers import Triggers
from interlock.app.views import approval_view, call_view, child_view, run_view, task_view, undo_view, when, whole_id
from interlock.app.worker_views import fleet_note, worker_view, worker_warnings
from interlock.config import Project, Secrets
from interlock.model import Conflict, InterlockError, NotFound, Resolution, TaskState, UnknownAgent, UserError
from interlock.store import (
    Database,
    Page,
    Row,
    allowance_rows,
    approval_rows,
    call_rows,
    catalog_rows,
    executor_rows,
    family_rows,
    run_rows,
    task_rows,
    version_rows,
)

FOLLOW_EVERY_S = 0.3
MAX_PAGE = 200


@dataclass(frozen=True)
class Control:
    """The control plane of one project on one database.

    Attributes:
        gateway: the way in for agents outside; without one none gets in.
        secrets: where secrets are looked up that must not leave with an export.
        triggers: the way in for deliveries; without it none gets in.
        host: where this process runs.
    """

    database: Database
    project: Project
    fleet: Fleet
    version: str
    gateway: Gateway | None = None
    secrets: Secrets | None = None
    triggers: Triggers | None = None
    host: orchestrator.Host | None = None

    @property
    def tokens(self) -> Tokens:
        """The tokens of agents outside."""
        return Tokens(self.database, self.project)

    @property
    def schedules(self) -> Schedules:
        """Tasks that are submitted again and again."""
        return Schedules(self.database, self.project)

    # ---- tasks ---------------------------------------------------------------------------------

    async def submit(self, body: dict[str, Any], by: str) -> tuple[dict[str, Any], bool]:
        """Take a task in; the task, and whether this request made it.

        `body` is `{agent, text, inputs?, priority?, dedupe_key?, delay?, at?, max_duration?, checks?}`.
        """
        request = read_submission(body, self.database.clock.now())
        submitted = await orchestrator.submit(self.database, self.project, request, by)
        return task_view(submitted.task), submitted.created

    async def tasks(self, state: str | None, agent: str | None, cursor: str | None, limit: int) -> dict[str, Any]:
        """A page of tasks, newest first; shape `{items, next}`."""
        if state is not None and state not in set(TaskState):
            raise UserError(f"state: '{state}' is none of {', '.join(TaskState)}")
        size = max(1, min(limit, MAX_PAGE))
        async with self.database.transaction() as tx:
            before = await task_rows.resolve_id(tx, "task", cursor) if cursor else None
            found = await task_rows.listing(tx, Page(state, agent, before, size + 1))
        items = [task_view(task) for task in found[:size]]
        return {"items": items, "next": items[-1]["id"] if len(found) > size else None}

    async def task(self, task_id: str) -> dict[str, Any]:
        """The whole story of a task."""
        async with self.database.transaction() as tx:
            whole = await task_rows.resolve_id(tx, "task", task_id)
            task = await task_rows.get(tx, whole)
            request = await task_rows.request_of(tx, whole)
            view = task_view(task)
            view["text"] = request["text"]
            view["inputs"] = request["inputs"] if task.kind == "agent" else {}
            view["undo_of"] = request["undo_of"]
            view["checks"] = request.get("checks") or []
            view["result"] = await task_rows.result_of(tx, whole)
            runs, calls = await run_rows.runs(tx, whole), await call_rows.of_task(tx, whole)
            timeline = await timeline_of(tx, task, runs, calls)
            view["runs"] = [run_view(row, timeline.costs_usd) for row in runs]
            view["turns"] = [{**turn, "at": when(turn["at"])} for turn in await run_rows.turns(tx, whole)]
            view["calls"] = [call_view(call) for call in calls]
            view["timeline"] = [entry.view() for entry in timeline.entries]
            view["children"] = [child_view(child) for child in await family_rows.children(tx, whole)]
            rows = await allowance_rows.of_scope(tx, f"task:{whole}")
            view["allowances"] = [{**row, "window_at": when(row["window_at"])} for row in rows]
        return view

    async def calls(self, task_id: str) -> list[dict[str, Any]]:
        """The calls of a task."""
        async with self.database.transaction() as tx:
            whole = await task_rows.resolve_id(tx, "task", task_id)
            return [call_view(call) for call in await call_rows.of_task(tx, whole)]

    async def follow(self, task_id: str) -> AsyncIterator[dict[str, Any]]:
        """What happens to a task, as it happens, until it is final or waits for a person: its audit records."""
        async with self.database.transaction() as tx:
            whole = await task_rows.resolve_id(tx, "task", task_id)
        seen: set[str] = set()
        told: tuple[str, str] | None = None
        while True:
            async with self.database.transaction() as tx:
                task = await task_rows.get(tx, whole)
                records = await audit.listing(tx, whole, 1000)
            for entry in reversed(records):
                if entry["id"] not in seen:
                    seen.add(entry["id"])
                    yield entry
            if (task.state, task.state_reason) != told:
                told = (task.state, task.state_reason)
                yield {"event": "state", "state": task.state, "state_reason": task.state_reason}
            if task.state.final or task.state in (TaskState.ESCALATED, TaskState.WAITING_APPROVAL):
                return
            await asyncio.sleep(FOLLOW_EVERY_S)

    def export_task(self, task_id: str, run_no: int | None) -> AsyncIterator[dict[str, Any]]:
        """The runs of a task, or one of them, as recorded runs: a line at a time, without secrets."""
        export = RunExport(self.database, self.project, known_secrets(self.project, self.secrets))
        return export.lines(task_id, run_no)

    async def cancel(self, task_id: str, by: str) -> dict[str, Any]:
        """Cancel a task."""
        whole = await self._task_id(task_id)
        await orchestrator.cancel(self.database, whole, by)
        return await self._short(whole)

    async def retry(self, task_id: str, reason: str, by: str) -> tuple[dict[str, Any], bool]:
        """Another run of an escalated task, or a new task like one that is final; with whether it is a new one."""
        whole = await self._task_id(task_id)
        async with self.database.transaction() as tx:
            task = await task_rows.get(tx, whole)
        if task.state is TaskState.ESCALATED:
            why = reason or "asked for another run"
            await orchestrator.resolve(self.database, whole, orchestrator.Verdict(Resolution.RETRY, why), by)
            return await self._short(whole), False
        if not task.state.final:
            raise Conflict(f"the task is {task.state}: {task.state_reason}", hint=f"interlock tasks show {whole}")
        submitted = await orchestrator.submit_again(self.database, self.project, whole, by)
        return task_view(submitted.task), submitted.created

    async def resolve(self, task_id: str, body: dict[str, Any], by: str) -> dict[str, Any]:
        """Decide about an escalated task; `body` is `{resolution, reason, text?}`, `text` with `answer` and `change`."""
        whole = await self._task_id(task_id)
        name = str(body.get("resolution", ""))
        if name not in set(Resolution):
            raise UserError(f"resolution: '{name}' is none of {', '.join(Resolution)}")
        words = str(body.get("reason") or ""), str(body.get("text") or "")
        await orchestrator.resolve(self.database, whole, orchestrator.Verdict(Resolution(name), *words), by)
        return await self._short(whole)

    async def _task_id(self, text: str) -> str:
        async with self.database.transaction() as tx:
            return await task_rows.resolve_id(tx, "task", text)

    async def _short(self, task_id: str) -> dict[str, Any]:
        async with self.database.transaction() as tx:
            return task_view(await task_rows.get(tx, task_id))

    # ---- approvals and calls -------------------------------------------------------------------

    async def approvals(self, *, pending_only: bool) -> list[dict[str, Any]]:
        """Questions to people, oldest first."""
        async with self.database.transaction() as tx:
            return [approval_view(a) for a in await approval_rows.listing(tx, pending_only=pending_only)]

    async def approval(self, approval_id: str) -> dict[str, Any]:
        """One question with all that it is about."""
        async with self.database.transaction() as tx:
            whole = await task_rows.resolve_id(tx, "approval", approval_id)
            return approval_view(await approval_rows.get(tx, whole))

    async def decide(self, approval_id: str, body: dict[str, Any], by: str) -> dict[str, Any]:
        """Decide; `body` is `{decision: approve|deny, reason?, binding_sha256}`: the hash of what was seen."""
        if not isinstance(body.get("binding_sha256"), str) or not body["binding_sha256"]:
            raise UserError(
                "binding_sha256: missing; send the hash of what you saw, as the approval shows it",
                hint="interlock approvals show ID",
            )
        async with self.database.transaction() as tx:
            whole = await task_rows.resolve_id(tx, "approval", approval_id)
        verdict = {"decision": body.get("decision", ""), **{key: body.get(key) for key in ("reason", "binding_sha256")}}
        return approval_view(await orchestrator.decide(self.database, whole, verdict, by))

    async def call(self, call_id: str) -> dict[str, Any]:
        """One call."""
        async with self.database.transaction() as tx:
            whole = await task_rows.resolve_id(tx, "call", call_id)
            return call_view(await call_rows.get(tx, whole))

    async def artifact(self, call_id: str, sha256: str) -> tuple[dict[str, Any], bytes]:
        """What a call answered beyond what a model reads; see `artifact_of`."""
        return await artifact_of(self.database, call_id, sha256)

    async def resolve_call(self, call_id: str, body: dict[str, Any], by: str) -> dict[str, Any]:
        """Say whether a call in doubt took effect; `body` is `{outcome: done|not_done, reason}`."""
        async with self.database.transaction() as tx:
            whole = await task_rows.resolve_id(tx, "call", call_id)
        outcome, reason = str(body.get("outcome", "")), str(body.get("reason") or "")
        await orchestrator.resolve_call(self.database, whole, outcome, reason, by)
        return await self.call(whole)

    async def undo(self, target: str, by: str, *, kind: str, dry_run: bool) -> dict[str, Any]:
        """Take back the effects of a `task` or a `call`; shape `{of, task, created, steps, impossible}`."""
        async with self.database.transaction() as tx:
            whole = await task_rows.resolve_id(tx, kind, target)
            task_id = whole if kind == "task" else (await call_rows.get(tx, whole)).task_id
            call_id = None if kind == "task" else whole
            plan = await orchestrator.look_at_undo(tx, self.project, task_id, call_id)
        view = undo_view(task_id, plan.steps, plan.impossible)
        if not dry_run:
            submitted = await orchestrator.submit_undo(self.database, self.project, (task_id, call_id), by)
            view |= {"task": task_view(submitted.task), "created": submitted.created}
        return view

    async def which(self, text: str) -> str:
        """Whether an id is that of a `task` or of a `call`."""
        async with self.database.transaction() as tx:
            try:
                await task_rows.resolve_id(tx, "task", text)
            except UserError:
                await task_rows.resolve_id(tx, "call", text)
                return "call"
        return "task"

    # ---- audit, halt, state ----------------------------------------------------------------------

    async def audit(self, task_id: str | None, limit: int) -> list[dict[str, Any]]:
        """Records of the audit, newest first; of a task that was forgotten by its whole id."""
        size = max(1, min(limit, 1000))
        async with self.database.transaction() as tx:
            try:
                whole = await task_rows.resolve_id(tx, "task", task_id) if task_id else None
            except NotFound:
                found = await audit.listing(tx, whole_id(task_id or ""), size)
                if not found:
                    raise
                return found
            return await audit.listing(tx, whole, size)

    async def verify_audit(self, expected: tuple[int, str] | None = None) -> dict[str, Any]:
        """Recompute the chain; shape `{ok, records, waiting, head, problems}`."""
        await audit.sequence(self.database)
        verdict = await audit.verify(self.database, expected)
        return {
            "ok": verdict.ok,
            "records": verdict.records,
            "waiting": verdict.waiting,
            "head": verdict.head,
            "problems": list(verdict.problems),
        }

    def export_audit(self) -> AsyncIterator[dict[str, Any]]:
        """The whole chain, a line at a time; `verify_export` verifies it anywhere."""
        return audit.export(self.database)

    async def halt(self, scope: str, reason: str | None, by: str, *, stops: bool = False) -> dict[str, Any]:
        """Halt `all`, `agent:NAME` or `tool:SERVER.NAME`, or pause `queue:all` or `queue:agent:NAME`; no reason ends that.

        With `stops` what is under way is stopped as well, which a tool or a queue can't be.
        """
        kind, _, name = scope.removeprefix("queue:").partition(":")
        fits = (kind == "all" and not name) or (kind == "agent" and name) or (kind == "tool" and name)
        if not fits or (scope.startswith("queue:") and kind == "tool"):
            raise UserError(
                f"scope: '{scope}' is neither 'all' nor 'agent:NAME' nor 'tool:NAME', nor 'queue:' and one of the first two"
            )
        if kind == "agent" and reason is not None and not await self._is_known(name):
            raise UnknownAgent(f"there is no agent '{name}', so nothing would be halted")
        if stops and scope.startswith(("tool:", "queue:")):
            raise UserError(
                "stop: only all agents or one can be stopped; of a tool or a queue, what runs ends by itself"
            )
        changed = await orchestrator.set_halt(self.database, scope, by, reason, stops=stops)
        return {"scope": scope, "halted": reason is not None, "changed": changed}

    async def _is_known(self, agent: str) -> bool:
        """Whether an agent is configured, or was when a task of it came in."""
        if agent in self.project.config.agents:
            return True
        async with self.database.transaction() as tx:
            return bool(await task_rows.listing(tx, Page(agent=agent, limit=1)))

    async def status(self) -> dict[str, Any]:
        """Is it healthy, in one object; `warnings` says why not."""
        async with self.database.transaction() as tx:
            states = await task_rows.state_counts(tx)
            workers = [row for row in await executor_rows.listing(tx) if not row["executor_id"].startswith(GATEWAY)]
            halts = await catalog_rows.halts(tx)
            pending = await approval_rows.listing(tx, pending_only=True)
            current = await version_rows.standing(tx)
        warnings = [_halt_line(halt) for halt in halts]
        try:
            health = [health_view(entry) for entry in await self.fleet.health()]
        except InterlockError as error:
            health = []
            warnings.append(f"the tool servers can't be asked: {error.message}")
        concerns, breakers = await self.fleet.concerns()
        warnings += concerns
        warnings += worker_warnings(workers)
        warnings += [
            f"tool server {h['server']} is {h['state']}: {h['reason']}" for h in health if h["state"] != "ready"
        ]
        if current.sha256 not in (None, self.project.sha256):
            warnings.append(
                f"version {current.number} of the configuration was applied, and this server works by another one:"
                f" interlock config diff {current.number}"
            )
        if self.triggers is not None:
            warnings += [f"trigger {name} lets nothing in: {why}" for name, why in self.triggers.problems()]
        if states.get("escalated"):
            warnings.append(f"{states['escalated']} tasks are escalated: interlock tasks list --state escalated")
        return {
            "version": self.version,
            "healthy": not warnings,
            "warnings": warnings,
            "tasks": states,
            "approvals_pending": len(pending),
            "workers": [worker_view(worker) for worker in workers],
            "tools": health,
            "breakers": breakers,
            "halts": [{**halt, "at": when(halt["at"])} for halt in halts],
            "config_sha256": self.project.sha256,
            "config_version": current.number or None,
        }

    async def metrics(self) -> bytes:
        """The text that Prometheus scrapes."""
        if self.triggers is not None:
            await self.triggers.tell()
        return await observability.exposition(self.database, self.version)

    async def ready(self) -> dict[str, Any]:
        """Answer when the database does: `{ready, workers, idle_workers, config_current, note}`, without reasons.

        Raises:
            DatabaseUnavailable: it does not.
        """
        async with self.database.transaction() as tx:
            workers = [row for row in await executor_rows.listing(tx) if not row["executor_id"].startswith(GATEWAY)]
            current = await version_rows.standing(tx)
        return {"ready": True, **fleet_note(workers), "config_current": current.sha256 in (None, self.project.sha256)}

    def agents(self) -> list[dict[str, Any]]:
        """The agents of the project."""
        return [
            {"name": name, **config.model_dump(by_alias=True)} for name, config in self.project.config.agents.items()
        ]


def _halt_line(halt: Row) -> str:
    word = "paused" if halt["scope"].startswith("queue:") else "halted"
    return f"{halt['scope']} is {word} by {halt['by']}: {halt['reason']}"
