"""Stage 5: allowances of a task: calls a minute, files, services, money. Reserved before, settled after."""

import datetime

from interlock.guardrails.case import Case, Subject
from interlock.model import ActionClass, Exhausted, TaskKind
from interlock.store import Claim, Transaction, allowance_rows


def claims_of(case: Case, at: datetime.datetime) -> list[Claim]:
    """What the call will use of the task's allowances."""
    if case.subject.task.kind is TaskKind.UNDO:
        return []  # going back is never stopped half way by a limit
    limits = case.subject.agent.limits
    scope = f"task:{case.call.task_id}"
    minute = at.replace(second=0, microsecond=0)
    claims = [Claim(scope, "calls", 1, limits.calls_per_minute, minute)]
    if case.action_class is ActionClass.READ:
        return claims
    if case.staged is not None:
        claims.append(Claim(scope, "files", case.staged.files, limits.files))
    else:
        claims.append(Claim(f"{scope}:{case.ref.server}", "service_calls", 1, 1_000_000))
    return claims


async def over(tx: Transaction, case: Case) -> str | None:
    """Say which allowance the call would pass, so that a person decides; or None. Reserves nothing.

    Raises:
        Exhausted: it is the number of calls in a minute: no question for a person, only a matter of time.
    """
    at = tx.clock.now()
    for claim in claims_of(case, at):
        rows = await allowance_rows.of_scope(tx, claim.scope)
        taken = sum(
            row["used"] + row["reserved"]
            for row in rows
            if row["resource"] == claim.resource and row["window_at"] == claim.window_at
        )
        if taken + claim.amount > claim.cap:
            if claim.resource == "calls":
                wait_s = 60 - at.second
                raise Exhausted(f"the agent may make {claim.cap:g} calls a minute; the next one in {wait_s} s")
            return _sentence(claim, taken)
    return await _over_services(tx, case)


async def _over_services(tx: Transaction, case: Case) -> str | None:
    if case.action_class is ActionClass.READ or case.contract.snapshot:
        return None
    touched = await allowance_rows.services(tx, f"task:{case.call.task_id}")
    cap = case.subject.agent.limits.services
    if case.ref.server in touched or len(touched) < cap:
        return None
    return f"it would change something at {len(touched) + 1} services; the limit of the agent is {cap}"


def _sentence(claim: Claim, taken: float) -> str:
    return (
        f"it would change {claim.amount:g} {claim.resource} after {taken:g} before; "
        f"the limit of the agent is {claim.cap:g}"
    )


async def reserve(tx: Transaction, case: Case, *, agreed: bool) -> Claim | None:
    """Reserve what the call will use; with `agreed` a person has said yes to more than the limit.

    Returns the claim that does not fit, or None.
    """
    return await allowance_rows.reserve(tx, claims_of(case, tx.clock.now()), beyond=agreed)


async def settle(tx: Transaction, case: Case, files: int) -> None:
    """Settle what the call has used; `files` were measured."""
    started = case.call.started_at or tx.clock.now()
    for claim in claims_of(case, started):
        await allowance_rows.settle(tx, claim, files if claim.resource == "files" else claim.amount)


def money_claim(subject: Subject, usd: float) -> Claim:
    """What a model call may cost at worst."""
    return Claim(f"task:{subject.lease.task_id}", "cost_usd", usd, subject.agent.limits.cost_usd)
