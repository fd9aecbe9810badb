"""Stage 5: allowances of a task: calls a minute, files, services, money. Reserved before, settled after."""

import datetime

from interlock.config import LimitsConfig
from interlock.guardrails.case import Case, Subject
from interlock.model import ActionClass, Ancestor, Exhausted, TaskKind
from interlock.store import FOREVER, SERVICE, Claim


def claims_of(case: Case, at: datetime.datetime) -> list[Claim]:
    """What the call will use of the task's allowances."""
    if case.subject.task.kind is TaskKind.UNDO:
        return []  # going back is never stopped half way by a limit
    claims = _claims(case, f"task:{case.call.task_id}", case.subject.agent.limits, at)
    for above in case.subject.task.lineage:
        claims += _claims(case, above.scope, above, at)
    return claims


def _claims(case: Case, scope: str, limits: LimitsConfig | Ancestor, at: datetime.datetime) -> list[Claim]:
    minute = at.replace(second=0, microsecond=0)
    claims = [Claim(scope, "calls", 1, limits.calls_per_minute, minute)]
    if case.action_class is ActionClass.READ:
        return claims
    if case.staged is not None:
        claims.append(Claim(scope, "files", case.staged.files, limits.files))
    else:
        claims.append(Claim(scope, f"{SERVICE}{case.ref.server}", 1, 1_000_000))
    return claims


def over(case: Case, at: datetime.datetime) -> str | None:
    """Say which allowance the call would pass, so that a person decides; or None. Reserves nothing.

    Raises:
        Exhausted: it is the number of calls in a minute: no question for a person, only a matter of time.
    """
    whose = {
        above.scope: f"the task above, of '{above.agent}', and those below it" for above in case.subject.task.lineage
    }
    for claim in claims_of(case, at):
        known = case.facts.taken if claim.window_at == FOREVER else case.facts.minute
        taken = known.get(claim.resource, 0.0)
        if claim.scope in whose:
            taken = case.facts.above.get((claim.scope, claim.resource), 0.0)
        if taken + claim.amount > claim.cap:
            who = whose.get(claim.scope, "the agent")
            if claim.resource == "calls":
                wait_s = 60 - at.second
                raise Exhausted(f"{who} may make {claim.cap:g} calls a minute; the next one in {wait_s} s")
            return _sentence(claim, taken, who)
    return _over_services(case)


def _over_services(case: Case) -> str | None:
    if case.action_class is ActionClass.READ or case.contract.snapshot:
        return None
    bounds = [(case.facts.services, case.subject.agent.limits.services, "the agent")]
    for above in case.subject.task.lineage:
        touched = frozenset(
            resource.removeprefix(SERVICE)
            for (scope, resource), amount in case.facts.above.items()
            if scope == above.scope and resource.startswith(SERVICE) and amount > 0
        )
        bounds.append((touched, above.services, f"the task above, of '{above.agent}', and those below it"))
    for touched, cap, who in bounds:
        if case.ref.server not in touched and len(touched) >= cap:
            return f"it would change something at {len(touched) + 1} services; the limit of {who} is {cap}"
    return None


def _sentence(claim: Claim, taken: float, who: str) -> str:
    return (
        f"it would change {claim.amount:g} {claim.resource} after {taken:g} before; the limit of {who} is {claim.cap:g}"
    )


def settled(case: Case, files: int, at: datetime.datetime) -> list[tuple[Claim, float]]:
    """What the call had reserved, and what it has used; `files` were measured."""
    claims = claims_of(case, case.call.started_at or at)
    return [(claim, files if claim.resource == "files" else claim.amount) for claim in claims]


def money_claims(subject: Subject, usd: float, at: datetime.datetime) -> list[Claim]:
    """What a model call may cost at worst, of the task's money and of what it may spend in a minute."""
    if usd <= 0:
        return []
    minute = at.replace(second=0, microsecond=0)
    own: tuple[str, LimitsConfig | Ancestor] = (f"task:{subject.lease.task_id}", subject.agent.limits)
    claims = []
    for scope, limits in (own, *((above.scope, above) for above in subject.task.lineage)):
        claims.append(Claim(scope, "cost_usd", usd, limits.cost_usd))
        if limits.cost_usd_per_minute is not None:
            claims.append(Claim(scope, "cost_usd_per_minute", usd, limits.cost_usd_per_minute, minute))
    return claims
