"""What a call costs in the database: one look at everything that it is judged by, and two commits, a statement each."""

import datetime
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from interlock.model import Call, CallRequest, CallState, Fenced, Lease, ToolRef, canonical_sha256
from interlock.store.allowances import FOREVER, Claim
from interlock.store.calls import call_of
from interlock.store.database import Row, Transaction

SERVICE = "service:"  # an allowance of a task for each tool server at which it changed something

# The facts that a call is judged by; `t` is its task. Allowances: those without a window, and those of this minute.
_FACTS: LiteralString = """
  t.tainted as task_tainted,
  (select p.sha256 from tool_pin p where p.server = %(server)s and p.name = %(name)s) as pin,
  case when %(planned)s then (select jsonb_object_agg(u.plan_entry, u.n) from (
     select o.plan_entry, count(*) as n from call o
     where o.task_id = t.id and o.call_no <> %(number)s and o.plan_entry is not null
       and o.state in ('held', 'approved', 'started', 'done', 'failed', 'in_doubt')
     group by o.plan_entry) u) end as plan_use,
  (select jsonb_agg(jsonb_build_array(a.resource, a.window_at = %(forever)s, a.used + a.reserved, a.scope))
     from allowance a
     where a.scope = any(array[%(scope)s] || t.above) and a.window_at in (%(forever)s, %(minute)s)) as taken,
  exists (select 1 from breaker b where b.key = %(breaker)s) as troubled
"""
_LOOK: LiteralString = (
    "select c.*, t.epoch as task_epoch,"
    + _FACTS
    + "from call c join task t on t.id = c.task_id where c.task_id = %(task)s and c.call_no = %(number)s"
)
# It does not wait for the disk: whatever is done about the call is written after it, and does.
_WRITE: LiteralString = """
with t as (
  select id, epoch, tainted, above from task where id = %(task)s and epoch = %(epoch)s
    and set_config('synchronous_commit', 'off', true) = 'off' for update
), added as (
  insert into call (id, task_id, run_no, call_no, tool, args, args_sha256, reason, state, epoch, created_at, untold)
    select %(id)s, t.id, %(run)s, %(number)s, %(tool)s, %(args)s, %(sha256)s, %(reason)s, 'proposed', t.epoch,
      %(now)s, true from t
    on conflict (id) do nothing
)
"""
_PROPOSE: LiteralString = _WRITE + "select" + _FACTS + "from t"


@dataclass(frozen=True)
class CallFacts:
    """Everything besides its row that a call is judged by, as it is at one moment.

    Attributes:
        pin: the accepted definition of its tool, if there is one.
        tainted: the task has read something untrusted.
        plan_use: how often each plan entry was used by other calls of the task.
        taken: of the task's allowances, used and reserved together, by resource; `minute` is those of this minute.
        above: of the allowances of the tasks above, by scope and resource.
        services: tool servers at which the task has changed something.
        troubled: the tool's breaker has something to say.
    """

    pin: str | None = None
    tainted: bool = False
    plan_use: dict[str, int] = field(default_factory=dict)
    taken: dict[str, float] = field(default_factory=dict)
    minute: dict[str, float] = field(default_factory=dict)
    above: dict[tuple[str, str], float] = field(default_factory=dict)
    services: frozenset[str] = frozenset()
    troubled: bool = False


async def look(
    tx: Transaction, lease: Lease, call_no: int, ref: ToolRef, *, planned: bool
) -> tuple[Call, CallFacts] | None:
    """A call's row in the ledger and all facts about it, in one statement; None when it is not in the ledger.

    Args:
        tx: for this one statement.
        lease: of the run.
        call_no: of the call.
        ref: its tool, or one that may stand in for it.
        planned: there is a plan, so it matters how often its entries were used.

    Raises:
        Fenced: the lease is gone.
    """
    row = await tx.row(_LOOK, _asked(tx, lease, call_no, ref, planned=planned))
    if row is None:
        return None
    _refuse_other_epoch(row["task_epoch"], lease)
    return call_of(tx, row), _facts_of(row, lease)


async def propose(
    tx: Transaction, lease: Lease, call_id: str, request: CallRequest, ref: ToolRef, *, planned: bool
) -> tuple[Call, CallFacts]:
    """Write the row of a call that an agent outside makes; it comes back with all facts about it, as from `look`.

    The same call written again is one row.

    Raises:
        Fenced: the lease is gone.
    """
    call = Call(
        id=call_id,
        task_id=lease.task_id,
        run_no=lease.run_no,
        call_no=request.call_no,
        tool=request.tool,
        args=request.args,
        args_sha256=canonical_sha256(request.args),
        reason=request.reason,
        state=CallState.PROPOSED,
        epoch=lease.epoch,
        created_at=tx.clock.now(),
    )
    row = await tx.row(
        _PROPOSE,
        {
            **_asked(tx, lease, request.call_no, ref, planned=planned),
            "epoch": lease.epoch,
            "id": call.id,
            "run": call.run_no,
            "tool": call.tool,
            "args": tx.sealer.seal(call.args, f"call.args:{call.id}"),
            "sha256": call.args_sha256,
            "reason": tx.sealer.seal(call.reason, f"call.reason:{call.id}"),
            "now": call.created_at,
        },
    )
    if row is None:
        raise Fenced(f"another server has task {lease.task_id[:8]} now")
    return call, _facts_of(row, lease)


def _asked(tx: Transaction, lease: Lease, call_no: int, ref: ToolRef, *, planned: bool) -> dict[str, Any]:
    return {
        "server": ref.server,
        "name": ref.name,
        "forever": FOREVER,
        "minute": tx.clock.now().replace(second=0, microsecond=0),
        "scope": f"task:{lease.task_id}",
        "planned": planned,
        "breaker": f"tool:{ref}",
        "task": lease.task_id,
        "number": call_no,
    }


def _facts_of(row: Row, lease: Lease) -> CallFacts:
    told, own = row["taken"] or [], f"task:{lease.task_id}"
    taken = [(resource, always, amount) for resource, always, amount, scope in told if scope == own]
    return CallFacts(
        pin=row["pin"],
        tainted=row["task_tainted"],
        plan_use=row["plan_use"] or {},
        taken={resource: amount for resource, always, amount in taken if always},
        minute={resource: amount for resource, always, amount in taken if not always},
        above={(scope, resource): amount for resource, _, amount, scope in told if scope != own},
        services=frozenset(
            resource.removeprefix(SERVICE)
            for resource, always, amount in taken
            if always and amount > 0 and resource.startswith(SERVICE)
        ),
        troubled=row["troubled"],
    )


def _refuse_other_epoch(epoch: int | None, lease: Lease) -> None:
    if epoch != lease.epoch:
        raise Fenced(f"another worker has task {lease.task_id[:8]} now")


@dataclass(frozen=True)
class AuditRow:
    """A record as it is stored: its id, tenant, event and body."""

    id: str
    tenant: str
    event: str
    body: bytes

    @property
    def head(self) -> Jsonb:
        """All but the body."""
        return Jsonb({"id": self.id, "tenant": self.tenant, "event": self.event})


@dataclass(frozen=True)
class Beginning:
    """What the start of a call writes.

    Attributes:
        call: the row as judged.
        approval_id: the approval that it uses up.
        scopes: any of them halted stops it.
        claims: what it reserves; `beyond` the caps if a person agreed to more.
        record: the intent.
    """

    call: Call
    approval_id: str | None
    scopes: list[str]
    claims: list[Claim]
    beyond: bool
    record: AuditRow
    at: datetime.datetime


async def start(tx: Transaction, lease: Lease, begin: Beginning) -> Row:
    """Commit the start of a call, or say why not; shape `{verdict, …}`, with `ok` for started.

    The other verdicts: `conflict` {state}, `halted` {scope, by, reason}, `approval` {state}, `over` {resource, cap}.

    Raises:
        Fenced: the lease is gone.
    """
    call = begin.call
    judged = {
        "class": call.action_class,
        "egress": call.egress,
        "decision": call.decision,
        "rules": list(call.rules),
        "reasons": list(call.reasons),
        "plan_entry": call.plan_entry,
        "pin_sha256": call.pin_sha256,
        "host": call.host,
        "served_by": call.served_by,
    }
    row = await tx.row(
        "select call_start(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) as verdict",
        [
            lease.task_id,
            lease.epoch,
            call.id,
            begin.approval_id,
            begin.scopes,
            Jsonb([_claim(claim) for claim in begin.claims]),
            begin.beyond,
            Jsonb(judged),
            tx.sealer.seal(call.before, f"call.before:{call.id}") if call.before else None,
            begin.record.head,
            begin.record.body,
            begin.at,
        ],
    )
    return _verdict(row, lease)


@dataclass(frozen=True)
class Ending:
    """What the end of a call writes.

    Attributes:
        call: the row with result and effect.
        settled: what it had reserved and what it really used, for each claim.
        taints: it brought something untrusted.
        counter: name and labels of what is counted.
        record: the outcome.
    """

    call: Call
    settled: list[tuple[Claim, float]]
    taints: bool
    counter: tuple[str, dict[str, str]]
    record: AuditRow
    at: datetime.datetime


async def finish(tx: Transaction, lease: Lease, end: Ending) -> None:
    """Commit the outcome of a started call.

    Raises:
        Fenced: the lease is gone.
    """
    call, (name, labels) = end.call, end.counter
    row = await tx.row(
        "select call_finish(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) as verdict",
        [
            lease.task_id,
            lease.epoch,
            call.id,
            call.state,
            tx.sealer.seal(call.result, f"call.result:{call.id}") if call.result else None,
            tx.sealer.seal(call.effect, f"call.effect:{call.id}") if call.effect else None,
            Jsonb([{**_claim(claim), "actual": actual} for claim, actual in end.settled]),
            end.taints and call.state is CallState.DONE,
            Jsonb({"name": name, "labels": labels}),
            end.record.head,
            end.record.body,
            end.at,
        ],
    )
    _verdict(row, lease)


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        "scope": claim.scope,
        "resource": claim.resource,
        "window_at": claim.window_at.isoformat(),
        "amount": claim.amount,
        "cap": claim.cap,
    }


def _verdict(row: Row | None, lease: Lease) -> Row:
    verdict: Row = row["verdict"] if row is not None else {"verdict": "conflict", "state": "gone"}
    if verdict["verdict"] == "fenced":
        _refuse_other_epoch(None, lease)
    return verdict
