"""Verification: a result that does not pass its checks is none.

The checks are made in order, through the gate, by a principal that may only read; people are asked last. What has been
passed is kept with the result, so that a task that waited for a person does not do it all again.
"""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from interlock.config import AgentConfig, CheckConfig, Config, PlanEntryConfig, new_id, servers_for
from interlock.guardrails import ACCEPT, Gate, Subject, asking, meets, plan_covers
from interlock.model import (
    ActOutcome,
    CallRequest,
    CallState,
    Denied,
    Done,
    Handed,
    Held,
    InDoubt,
    Observation,
    ToolResult,
    Unavailable,
    UndoState,
)
from interlock.orchestrator.typed_result import parsed
from interlock.store import Database, approval_rows, call_rows, task_rows

TRIES = 3
RETRY_S = (1.0, 4.0)
SHOWN_CHARS = 200
RESULT_CHARS = 4000


@dataclass(frozen=True)
class Passed:
    """The check holds; `detail` says what was seen."""

    detail: str = ""


@dataclass(frozen=True)
class Wrong:
    """The result is not accepted, and why."""

    reason: str


@dataclass(frozen=True)
class Unmade:
    """The check could not be made, which says nothing of the result."""

    reason: str


@dataclass(frozen=True)
class Asked:
    """A person was asked."""


Verdict: TypeAlias = Passed | Wrong | Unmade | Asked


class JudgeAgent(Protocol):
    """Lets another agent decide; see `SecondAgent`."""

    async def __call__(self, subject: Subject, check: CheckConfig, output: Any) -> Verdict:
        """What that agent says."""
        ...


@dataclass
class Verification:
    """The checks of one result."""

    database: Database
    gate: Gate
    config: Config
    subject: Subject
    judge: JudgeAgent
    text: str
    output: Any = None
    outcomes: dict[int, dict[str, Any]] = field(default_factory=dict)

    async def run(self, checks: list[CheckConfig]) -> Verdict:
        """Make the checks that are still open, and keep what came of each."""
        await self._recall()
        for number, check in sorted(enumerate(checks, start=1), key=lambda pair: pair[1].person is not None):
            if self.outcomes.get(number, {}).get("passed"):
                continue
            try:
                verdict = await self._one(check)
            except Unavailable as error:
                if error.code in ("database_unavailable", "halted"):
                    raise
                verdict = Unmade(error.message)
            await self._keep(number, check, verdict)
            match verdict:
                case Wrong(reason):
                    return Wrong(f"check {number} ({check.label}): {reason}")
                case Unmade(reason):
                    return Unmade(f"check {number} ({check.label}) could not be made: {reason}")
                case Asked():
                    return verdict
        return Passed()

    async def _recall(self) -> None:
        """What was found of the very same result before the task waited."""
        async with self.database.transaction() as tx:
            kept = await task_rows.result_of(tx, self.subject.task.id) or {}
        if kept.get("run") == self.subject.lease.run_no and kept.get("text") == self.text:
            self.outcomes = {int(entry["check"]): entry for entry in kept.get("checks") or []}
            self.output = kept.get("output")

    async def _keep(self, number: int, check: CheckConfig, verdict: Verdict) -> None:
        detail = getattr(verdict, "detail", "") or getattr(verdict, "reason", "")
        passed = None if isinstance(verdict, Asked | Unmade) else isinstance(verdict, Passed)
        self.outcomes[number] = {"check": number, "what": check.label, "passed": passed, "detail": detail[:1000]}
        async with self.database.transaction(self.subject.lease) as tx:
            await task_rows.keep_result(tx, self.subject.task.id, self.result())

    def result(self) -> dict[str, Any]:
        """What is stored; shape `{text, run, output?, checks: [{check, what, passed, detail}]}`."""
        made = [self.outcomes[number] for number in sorted(self.outcomes)]
        result: dict[str, Any] = {"text": self.text, "run": self.subject.lease.run_no, "checks": made}
        return result if self.output is None else {**result, "output": self.output}

    async def _one(self, check: CheckConfig) -> Verdict:
        match check.subject:
            case "schema":
                return self._fits(check)
            case "effect":
                return await self._had_effect(check)
            case "judge":
                return await self.judge(self.subject, check, self.output)
            case "person":
                return await self._person(check)
            case "file":
                return await self._file(check)
            case "command":
                return await self._command(check)
            case _:
                return await self._tool(check)

    def _fits(self, check: CheckConfig) -> Verdict:
        self.output, problem = parsed(self.text, check.json_schema or {})
        return Passed() if problem is None else Wrong(problem)

    async def _had_effect(self, check: CheckConfig) -> Verdict:
        """Whoever says "done" must have done something, and it must still hold."""
        async with self.database.transaction() as tx:
            calls = await call_rows.of_task(tx, self.subject.task.id)
        entry = PlanEntryConfig(tool=check.effect or "", args=check.args)
        done = [
            call
            for call in calls
            if call.is_effect
            and call.state is CallState.DONE
            and call.undo is not UndoState.RESTORED
            and plan_covers(entry, call)
        ]
        if len(done) >= check.at_least:
            return Passed(f"made by call {', '.join(str(call.call_no) for call in done[:10])}")
        wanted = "no call" if check.at_least == 1 else f"{len(done)} of {check.at_least} calls"
        return Wrong(f"it says that it is done, but {wanted} of {check.effect} that took effect was made")

    async def _tool(self, check: CheckConfig) -> Verdict:
        return await self._met(check, str(check.tool), dict(check.args))

    async def _file(self, check: CheckConfig) -> Verdict:
        server = servers_for(check, self.subject.agent, self.config)[0]
        missing = await self._is_missing(server, str(check.file))
        if isinstance(missing, Unmade):
            return missing
        rest = {key: value for key, value in check.expect.items() if key != "exists"}
        if missing is check.expect.get("exists", True):
            return Wrong(f"there is no file {check.file}" if missing else f"there is a file {check.file}")
        if missing or not rest:
            return Passed("there is none" if missing else "it is there")
        return await self._met(check.model_copy(update={"expect": rest}), f"{server}.read", {"path": check.file})

    async def _is_missing(self, server: str, path: str) -> "bool | Unmade":
        answer = await self._call(f"{server}.capture", {"paths": [path]})
        if isinstance(answer, Unmade):
            return answer
        entries = (answer.structured or {}).get("entries")
        if not answer.ok or not entries:
            return Unmade(answer.text[:SHOWN_CHARS])
        return bool(entries[0]["kind"] == "missing")

    async def _command(self, check: CheckConfig) -> Verdict:
        """Tried on a copy, so that a check changes nothing; what can't be tried is not run at all."""
        server = servers_for(check, self.subject.agent, self.config)[0]
        answer = await self._call(f"{server}.preview", {"tool": "run", "args": {"command": check.command}})
        if isinstance(answer, Unmade):
            return answer
        status = ((answer.structured or {}).get("effect") or {}).get("exit_status")
        if status is None:
            return Unmade(answer.text[:SHOWN_CHARS])
        wanted = check.expect.get("exit_status", 0)
        if status != wanted:
            return Wrong(f"expected exit status {wanted}, got {status}: {answer.text[-SHOWN_CHARS:]}")
        rest = {key: value for key, value in check.expect.items() if key != "exit_status"}
        if rest and not meets(ToolResult(True, answer.text, answer.structured), rest):
            return Wrong(f"expected {rest}, got: {answer.text[:SHOWN_CHARS]}")
        return Passed(f"exit status {status}")

    async def _met(self, check: CheckConfig, tool: str, args: dict[str, Any]) -> Verdict:
        answer = await self._call(tool, args)
        if isinstance(answer, Unmade):
            return answer
        if meets(ToolResult(answer.ok, answer.text, answer.structured), check.expect):
            return Passed(answer.text[:SHOWN_CHARS])
        return Wrong(f"expected {check.expect or {'ok': True}}, got: {answer.text[:SHOWN_CHARS]}")

    async def _call(self, tool: str, args: dict[str, Any]) -> "Observation | Unmade":
        """One read, tried again while its tool can't be used."""
        for wait_s in (*RETRY_S, None):
            outcome = await self._act(tool, args)
            match outcome:
                case Done(observation) if (observation.structured or {}).get("unavailable") and not observation.ok:
                    if wait_s is None:
                        return Unmade(observation.text[:SHOWN_CHARS])
                    await asyncio.sleep(wait_s)
                case Done(observation):
                    return observation
                case Denied(observation):
                    return Unmade(observation.text[:SHOWN_CHARS])
                case _:
                    return Unmade("a read is held or in doubt")
        return Unmade("its tool can't be used")

    async def _act(self, tool: str, args: dict[str, Any]) -> ActOutcome:
        """What an operator wrote into a check is its plan, so its arguments are trusted, whatever the run has read."""
        plan = [PlanEntryConfig(tool=tool, args=args, count=10_000)]
        agent: AgentConfig = self.subject.agent.model_copy(update={"plan": plan})
        verifier = replace(self.subject, agent=agent, read_only=True)
        return await self.gate.act(verifier, await propose(self.database, verifier, tool, args))

    async def _person(self, check: CheckConfig) -> Verdict:
        """Asked once for each result: the call of the question is found again after the wait."""
        verifier = asking(self.subject)
        async with self.database.transaction() as tx:
            calls = await call_rows.of_task(tx, self.subject.task.id)
        effects = [f"#{call.call_no} {call.tool} {call.state}" for call in calls if call.is_effect][:50]
        args = {"question": check.person, "result": self.text[:RESULT_CHARS], "effects": effects}
        mine = [c for c in calls if c.tool == str(ACCEPT) and c.run_no == self.subject.lease.run_no and c.args == args]
        if mine:
            request = CallRequest(mine[-1].call_no, str(ACCEPT), args)
        else:
            request = await propose(self.database, verifier, str(ACCEPT), args)
        outcome = await self.gate.act(verifier, request)
        match outcome:
            case Done():
                return Passed("a person accepted it")
            case Held() | Handed():
                return Asked()
            case InDoubt(call_id):
                return Unmade(f"call {call_id} is in doubt")
            case Denied():
                return await self._refusal(request.call_no)

    async def _refusal(self, call_no: int) -> Verdict:
        async with self.database.transaction() as tx:
            call = await call_rows.by_number(tx, self.subject.task.id, call_no)
            approval = await approval_rows.last_one(tx, call.id) if call is not None else None
        if call is None or approval is None or call.state is CallState.EXPIRED:
            return Unmade("nobody answered in time")
        return Wrong(f"{approval.decided_by} says: {approval.reason}")


async def propose(database: Database, verifier: Subject, tool: str, args: dict[str, Any]) -> CallRequest:
    """Number a call of a verifier, and write it into the ledger."""
    async with database.transaction(verifier.lease) as tx:
        number = await call_rows.last_number(tx, verifier.lease.task_id) + 1
        request = CallRequest(number, tool, args, "check of the result")
        await call_rows.propose(tx, verifier.lease, new_id(), request)
    return request
