"""Every model call: budget reserved, recorded, sent, settled, recorded. Tools are shown as the gate grants them."""

from dataclasses import dataclass

from interlock.audit import record
from interlock.guardrails import catalogue, limits
from interlock.guardrails.case import Subject
from interlock.guardrails.gate import Gate
from interlock.guardrails.undo import UndoSteps
from interlock.inference import Models
from interlock.model import (
    AuditEntry,
    Exhausted,
    InterlockError,
    ModelAnswer,
    ModelRequest,
    TaskKind,
    Turn,
    UnknownModel,
    canonical_sha256,
)
from interlock.observability import count_tokens
from interlock.store import Claim, Database, allowance_rows


@dataclass(frozen=True)
class Thinker:
    """Asks the model of an agent for its next turn."""

    database: Database
    gate: Gate
    models: Models
    default_model: str | None

    async def think(self, subject: Subject, turns: tuple[Turn, ...], context: str = "") -> ModelAnswer:
        """The model's next answer.

        Raises:
            Exhausted: the task's money is used up.
            ModelUnavailable: the provider does not answer now.
            ModelRefused: the provider rejects the request; the same one will fail again.
            Fenced: the lease is gone.
        """
        if subject.task.kind is TaskKind.UNDO:
            return await UndoSteps(self.database).next_answer(subject, turns)
        name = subject.agent.model or self.default_model
        if name is None:
            raise UnknownModel(f"agent '{subject.name}' has no model, and models.default is not set")
        tools = await self.gate.tools_for(subject)
        folded = catalogue.is_large(tools) and not name.startswith("playbook:")
        request = ModelRequest(
            model=name,
            instructions="\n\n".join(part for part in (subject.agent.instructions, context) if part),
            turns=turns,
            tools=catalogue.pair(tools) if folded else tools,
        )
        claim = await self._reserve(subject, request)
        try:
            answer = await self.models.request(request)
        except BaseException as error:
            await self._settle_failed(subject, claim, error)
            raise
        await self._settle(subject, claim, answer)
        return catalogue.unfold(answer, tools) if folded else answer

    async def _reserve(self, subject: Subject, request: ModelRequest) -> Claim:
        claim = limits.money_claim(subject, self.models.quote(request))
        async with self.database.transaction(subject.lease) as tx:
            if claim.amount > 0 and await allowance_rows.reserve(tx, [claim]) is not None:
                raise Exhausted(
                    f"the next model call may cost {claim.amount:.4f} USD, more than is left of {claim.cap:g} USD",
                    hint="raise limits.cost_usd of the agent",
                )
            detail = {
                "model": request.model,
                "turns": len(request.turns),
                "tools": len(request.tools),
                "reserved_usd": claim.amount,
                "instructions_sha256": canonical_sha256(request.instructions),
            }
            await record(tx, AuditEntry("model.intent", subject.actor, subject.ids, detail))
        return claim

    async def _settle(self, subject: Subject, claim: Claim, answer: ModelAnswer) -> None:
        async with self.database.transaction() as tx:
            if claim.amount > 0:
                await allowance_rows.settle(tx, claim, answer.cost_usd)
            usage = answer.usage
            tokens = {
                "input": usage.input_tokens,
                "output": usage.output_tokens,
                "cache_read": usage.cache_read_tokens,
                "cache_write": usage.cache_write_tokens,
            }
            await count_tokens(tx, answer.model, tokens, answer.cost_usd)
            detail = {
                "model": answer.model,
                "cost_usd": answer.cost_usd,
                "tokens": tokens,
                "calls": [call.tool for call in answer.calls],
                "text_sha256": canonical_sha256(answer.text),
            }
            await record(tx, AuditEntry("model.outcome", subject.actor, subject.ids, detail))

    async def _settle_failed(self, subject: Subject, claim: Claim, error: BaseException) -> None:
        """A call that failed, or was cut off, may have been billed: it is settled at its worst price."""
        code = error.code if isinstance(error, InterlockError) else type(error).__name__
        async with self.database.transaction() as tx:
            if claim.amount > 0:
                await allowance_rows.settle(tx, claim, claim.amount)
            await record(tx, AuditEntry("model.outcome", subject.actor, subject.ids, {"error": code}))
