"""Every model call: budget reserved, recorded, sent, settled, recorded. Tools are shown as the gate grants them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from interlock.audit import compose, record
from interlock.guardrails import catalogue, limits
from interlock.guardrails.case import Subject
from interlock.guardrails.gate import Gate
from interlock.guardrails.undo import UndoSteps
from interlock.inference import Models
from interlock.model import (
    AuditEntry,
    Exhausted,
    Halted,
    InterlockError,
    ModelAnswer,
    ModelRequest,
    TaskKind,
    Turn,
    UnknownModel,
    canonical_sha256,
)
from interlock.observability import count_tokens
from interlock.store import FOREVER, Claim, Database, allowance_rows, parking_rows, segment_rows


@dataclass(frozen=True)
class Thought:
    """What a model answered; `untold` is the record of it, which whoever keeps the answer writes in the same commit."""

    answer: ModelAnswer
    untold: AuditEntry | None = None


@dataclass(frozen=True)
class Minds:
    """The models of one version of the configuration, and which of them an agent has that names none."""

    models: Models
    default_model: str | None


OlderMinds: TypeAlias = Callable[[str], Awaitable[Minds | None]]


async def _none_older(config_sha256: str) -> Minds | None:
    del config_sha256
    return None


@dataclass(frozen=True)
class Thinker:
    """Asks the model of an agent for its next turn.

    Attributes:
        config_sha256: the version of the configuration that `models` and `default_model` are of.
        older: the models of another version, for tasks that were submitted under it.
    """

    database: Database
    gate: Gate
    models: Models
    default_model: str | None
    config_sha256: str | None = None
    older: OlderMinds = _none_older

    async def think(self, subject: Subject, turns: tuple[Turn, ...], context: str = "") -> Thought:
        """The model's next answer.

        Raises:
            Exhausted: the task's money is used up.
            ModelUnavailable: the provider does not answer now.
            ModelRefused: the provider rejects the request; the same one will fail again.
            Fenced: the lease is gone.
            Halted: the agent, or everything, is halted.
        """
        if subject.task.kind is TaskKind.UNDO:
            return Thought(await UndoSteps(self.database).next_answer(subject, turns))
        minds = await self._minds_of(subject)
        name = _model_of(subject, minds)
        tools = await self.gate.tools_for(subject)
        folded = catalogue.is_large(tools) and not name.startswith("playbook:")
        request = ModelRequest(
            model=name,
            instructions="\n\n".join(part for part in (subject.agent.instructions, context) if part),
            turns=turns,
            tools=catalogue.pair(tools) if folded else tools,
        )
        claims = await self._reserve(subject, request, minds.models.quote(request))
        try:
            answer = await minds.models.request(request)
        except BaseException as error:
            await self._settle_failed(subject, claims, error)
            raise
        untold = await self._settle(subject, claims, answer)
        return Thought(catalogue.unfold(answer, tools) if folded else answer, untold)

    async def _minds_of(self, subject: Subject) -> Minds:
        """The models of the version under which a task was submitted, so that it ends as it began."""
        present = Minds(self.models, self.default_model)
        if self.config_sha256 in (None, subject.task.config_sha256):
            return present
        return await self.older(subject.task.config_sha256) or present

    async def _reserve(self, subject: Subject, request: ModelRequest, usd: float) -> list[Claim]:
        claims = limits.money_claims(subject, usd, self.database.clock.now())
        detail = {
            "model": request.model,
            "turns": len(request.turns),
            "tools": len(request.tools),
            "reserved_usd": usd,
            "instructions_sha256": canonical_sha256(request.instructions),
        }
        intent = AuditEntry("model.intent", subject.actor, subject.ids, detail)
        scopes = parking_rows.scopes_of(subject.task)
        if not claims:
            async with self.database.at_once() as tx:
                if await segment_rows.record_held(tx, subject.lease, compose(intent, tx.clock.now()), scopes):
                    return claims
        async with self.database.transaction(subject.lease) as tx:
            stop = await parking_rows.halted(tx, subject.task)
            if stop is not None:
                raise Halted(stop.reason)
            over = await allowance_rows.reserve(tx, claims)
            if over is not None:
                raise Exhausted(
                    f"the next model call may cost {usd:.4f} USD, more than is left of {over.cap:g} USD"
                    f"{'' if over.window_at == FOREVER else ' for this minute'}"
                    f"{'' if over.scope == f'task:{subject.lease.task_id}' else ' of a task above'}",
                    hint=f"raise limits.{over.resource} of the agent",
                )
            await record(tx, intent)
        return claims

    async def _settle(self, subject: Subject, claims: list[Claim], answer: ModelAnswer) -> AuditEntry | None:
        """Record an answer at once if it has cost anything, else leave that to whoever keeps it."""
        usage = answer.usage
        tokens = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cache_read": usage.cache_read_tokens,
            "cache_write": usage.cache_write_tokens,
        }
        detail = {
            "model": answer.model,
            "cost_usd": answer.cost_usd,
            "tokens": tokens,
            "calls": [call.tool for call in answer.calls],
            "text_sha256": canonical_sha256(answer.text),
        }
        outcome = AuditEntry("model.outcome", subject.actor, subject.ids, detail)
        if not claims and not answer.cost_usd and not any(tokens.values()):
            return outcome
        async with self.database.transaction() as tx:
            for claim in claims:
                await allowance_rows.settle(tx, claim, answer.cost_usd)
            await count_tokens(tx, answer.model, tokens, answer.cost_usd)
            await record(tx, outcome)
        return None

    async def _settle_failed(self, subject: Subject, claims: list[Claim], error: BaseException) -> None:
        """A call that failed, or was cut off, may have been billed: it is settled at its worst price."""
        code = error.code if isinstance(error, InterlockError) else type(error).__name__
        async with self.database.transaction() as tx:
            for claim in claims:
                await allowance_rows.settle(tx, claim, claim.amount)
            await record(tx, AuditEntry("model.outcome", subject.actor, subject.ids, {"error": code}))


def _model_of(subject: Subject, minds: Minds) -> str:
    """The model of this run: after each result that was not accepted the next stronger one, up to the last.

    Raises:
        UnknownModel: the agent has none, and there is no default.
    """
    first = subject.agent.model or minds.default_model
    if first is None:
        raise UnknownModel(f"agent '{subject.name}' has no model, and models.default is not set")
    ladder: list[str] = [first, *(subject.agent.stronger or minds.models.tiers_above(first))]
    return ladder[min(subject.task.rung, len(ladder) - 1)]
