"""Which calls of a run count as declined: those that people, silence or rules refused, and no others."""

from dataclasses import replace
from datetime import timedelta

import pytest_asyncio

from interlock.audit import compose
from interlock.config import new_id
from interlock.guardrails.declined import declined_before
from interlock.model import (
    Approval,
    ApprovalState,
    AuditEntry,
    Call,
    CallRequest,
    CallState,
    Decision,
    Lease,
    TaskLimits,
    TaskRequest,
    TaskState,
)
from interlock.store import (
    Admission,
    Database,
    NewTask,
    admission_rows,
    approval_rows,
    call_rows,
    run_rows,
    version_rows,
)


class Ledger:
    """Calls of two runs of one task."""

    def __init__(self, database: Database, task_id: str) -> None:
        self.database = database
        self.task_id = task_id
        self.last = 0

    async def call(self, text: str = "x", tool: str = "mail.send", run_no: int = 1) -> Call:
        self.last += 1
        lease = Lease(self.task_id, run_no, 0, 0, "w")
        async with self.database.transaction() as tx:
            await call_rows.propose(tx, lease, call_id := new_id(), CallRequest(self.last, tool, {"text": text}, ""))
            return await call_rows.get(tx, call_id)

    async def close(self, call: Call, state: CallState, decision: Decision, *rules: str) -> None:
        async with self.database.transaction() as tx:
            await call_rows.keep(tx, replace(call, state=state, decision=decision, rules=rules, reasons=("no mail",)))

    async def asked(self, call: Call, state: ApprovalState, reason: str = "") -> None:
        now = self.database.clock.now()
        approval = Approval(
            new_id(), self.task_id, call.id, ApprovalState.PENDING, {}, "sha", {}, now, now + timedelta(hours=1)
        )
        async with self.database.transaction() as tx:
            await approval_rows.insert(tx, approval)
            await approval_rows.set_state(tx, replace(approval, state=state, reason=reason))
        closed = CallState.EXPIRED if state is ApprovalState.EXPIRED else CallState.DENIED
        await self.close(call, closed, Decision.ASK, "default-destructive")

    async def answer(self, call: Call) -> str | None:
        async with self.database.transaction() as tx:
            return await declined_before(tx, call)


@pytest_asyncio.fixture
async def ledger(interlock_database: Database) -> Ledger:
    task_id = new_id()
    async with interlock_database.transaction() as tx:
        await version_rows.keep(tx, "sha", {}, "person:ann")
        request = TaskRequest("tidy", "x")
        new = NewTask(task_id, request, "key", TaskLimits(), "sha", "person:ann", TaskState.QUEUED, "x")
        record = compose(AuditEntry("task.submitted", "person:ann", {"task": task_id}, {}), tx.clock.now())
        await admission_rows.admit(tx, Admission(new, record, backlog=None, timeout_s=None))
        await run_rows.open_run(tx, task_id, 2, clean=True)
    return Ledger(interlock_database, task_id)


async def test_what_a_person_refused_is_answered_with_their_words(ledger: Ledger) -> None:
    await ledger.asked(await ledger.call(), ApprovalState.DENIED, "not to them")
    assert await ledger.answer(await ledger.call()) == "a person refused call 1, exactly the same: not to them"
    assert await ledger.answer(await ledger.call("other")) is None
    assert await ledger.answer(await ledger.call(tool="mail.draft")) is None
    assert await ledger.answer(await ledger.call(run_no=2)) is None


async def test_silence_and_rules_are_remembered_too(ledger: Ledger) -> None:
    await ledger.asked(await ledger.call("a"), ApprovalState.EXPIRED)
    await ledger.close(await ledger.call("b"), CallState.DENIED, Decision.DENY, "no-mail")
    assert "nobody answered in time" in (await ledger.answer(await ledger.call("a")) or "")
    assert "was denied: no mail" in (await ledger.answer(await ledger.call("b")) or "")


async def test_what_may_go_well_the_next_time_is_not_remembered(ledger: Ledger) -> None:
    await ledger.close(await ledger.call(), CallState.DENIED, Decision.DENY)  # refused before any rule was looked at
    await ledger.close(await ledger.call(), CallState.DENIED, Decision.ALLOW, "default-read")  # a limit
    await ledger.close(await ledger.call(), CallState.FAILED, Decision.ALLOW, "default-read")
    await ledger.asked(superseded := await ledger.call(), ApprovalState.SUPERSEDED)
    await ledger.close(superseded, CallState.DENIED, Decision.ASK, "default-write-ask")
    assert await ledger.answer(await ledger.call()) is None


async def test_after_three_people_are_left_in_peace(ledger: Ledger) -> None:
    for text in ("a", "b", "c"):
        call = await ledger.call(text)
        assert await ledger.answer(call) is None
        await ledger.asked(call, ApprovalState.DENIED, "no")
    answer = await ledger.answer(call := await ledger.call("d"))
    assert answer == "people have refused 3 calls of this tool in this run; it is not asked about again"
    await ledger.close(call, CallState.DENIED, Decision.ASK, "default-destructive")
    assert await ledger.answer(await ledger.call("e")) == answer
    assert await ledger.answer(await ledger.call("e", run_no=2)) is None
