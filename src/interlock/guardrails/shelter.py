"""What stands between a call that was agreed to and its tool: rate limits, the breaker, results that are still good."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from interlock.config import ToolServerConfig
from interlock.guardrails import breakers, cached, rates
from interlock.guardrails.case import Admission, Case
from interlock.guardrails.degraded import Outage, Trouble
from interlock.model import ActionClass, RateLimited, ToolResult, ToolUnavailable, ToolWithheld
from interlock.store import CachedLook, Database, cached_rows


@dataclass(frozen=True)
class Shelter:
    """Protects tools from too many calls, and callers from tools that are not there."""

    database: Database
    servers: Mapping[str, ToolServerConfig]

    async def reuse(self, case: Case) -> CachedLook | None:
        """What is known of an equal read, if the operator says that results of this tool may be used again."""
        if case.contract.cache_s is None or case.action_class is not ActionClass.READ:
            return None
        async with self.database.transaction() as tx:
            return await cached.find(tx, self._key(case))

    async def admit(self, case: Case, missed_at: datetime.datetime | None = None) -> Admission | Outage:
        """Take what the call needs of rate limits and breakers, or say why it can't be made now."""
        buckets = rates.buckets_of(case.subject, case.ref, case.contract.rate)
        if buckets:
            try:
                async with self.database.transaction() as tx:
                    await rates.take(tx, buckets)
            except RateLimited as error:
                return Outage(case.ref, Trouble.RATE_LIMIT, error.message, retry_after_s=error.retry_after_s)
        if not case.facts.troubled:
            return Admission(missed_at=missed_at)
        server = self.servers[case.ref.server]
        async with self.database.transaction() as tx:
            told = await breakers.admit(tx, breakers.breaker_key(case.ref), server.call_timeout + server.start_timeout)
        if told.allowed:
            return Admission(told.probe, told.noted, missed_at)
        return Outage(case.ref, Trouble.BREAKER_OPEN, told.reason, told.since, told.retry_after_s)

    async def passed_by(self, case: Case) -> None:
        """The call was not sent after all."""
        if case.admission.probe:
            async with self.database.transaction() as tx:
                await breakers.given_up(tx, breakers.breaker_key(case.ref))

    async def changing(self, case: Case) -> None:
        """A call that is not a read begins or has ended: what was read of its server before is not good any more."""
        if case.action_class is not ActionClass.READ and self._keeps(case.ref.server):
            async with self.database.transaction() as tx:
                await cached.forget(tx, case.ref.server)

    async def answered(self, case: Case, result: ToolResult) -> None:
        """The tool answered, well or badly: it works."""
        admission = case.admission
        if admission.noted:
            async with self.database.transaction() as tx:
                await breakers.succeeded(tx, breakers.breaker_key(case.ref), probe=admission.probe)
        missed_at, keep_s = admission.missed_at, case.contract.cache_s
        if missed_at is not None and keep_s is not None and cached.may_be_kept(case.action_class, result):
            async with self.database.transaction() as tx:
                await cached.keep(tx, self._key(case), case.definition, result, keep_s, missed_at)

    async def failed(self, case: Case, error: Exception) -> None:
        """The tool was not there, died, or gave no answer; reasons of our own do not speak against it."""
        if isinstance(error, ToolWithheld):
            await self.passed_by(case)
        elif breakers.counts(error):
            rule = self.servers[case.ref.server].breaker
            async with self.database.transaction() as tx:
                key = breakers.breaker_key(case.ref)
                await breakers.failed(tx, key, rule, str(error), probe=case.admission.probe)

    def _keeps(self, server: str) -> bool:
        return any(contract.cache is not None for contract in self.servers[server].contracts.values())

    def _key(self, case: Case) -> str:
        own = self.servers[case.ref.server].scope == "run"
        run = f"{case.call.task_id}:{case.call.run_no}" if own else None
        return cached.cache_key(case.subject, case.definition, case.call.args, run=run)


async def tidy(database: Database) -> None:
    """Forget results that are too old to be used again, and buckets that nobody draws from any more."""
    async with database.transaction() as tx:
        await cached_rows.purge(tx)
        await rates.forget_tasks(tx)


def outage_of(case: Case, error: Exception) -> Outage:
    """What an error of a tool's server means for whoever wanted to call it."""
    retry_after_s = getattr(error, "retry_after_s", None) if isinstance(error, ToolUnavailable) else None
    return Outage(case.ref, Trouble.of(error), str(error), retry_after_s=retry_after_s)
