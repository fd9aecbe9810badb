"""Stage 6: see what a call would do before anybody agrees to it, in the way that its tool allows.

In this order: the server says it without doing it (`preview`), the tool does (`dry_run` of its contract), or the call
is made at another server first that the operator keeps for that (`staging`). What was measured once for a question to
a person is not measured again: a trial may show something else each time.
"""

from dataclasses import dataclass, replace
from typing import Any

from interlock.audit import record
from interlock.guardrails import ledger
from interlock.guardrails.case import Case, Staged
from interlock.model import AuditEntry, ToolRef, ToolResult, Unavailable, UserError, canonical_sha256
from interlock.store import Database, approval_rows
from interlock.tools import Delivery, Snapshots, Tools

SHOWN_CHARS = 20_000


@dataclass(frozen=True)
class Trials:
    """Measures calls without making them."""

    database: Database
    toolbox: Tools
    snapshots: Snapshots
    twins: dict[str, str]

    async def stage(self, case: Case) -> Case:
        """Fill in what the call would do; a tool that can't say leaves it out, with the reason if there is one.

        Raises:
            UserError: the call would fail, and why.
            Unavailable: the server that is to be asked does not answer.
        """
        if case.definition.internal:
            return case
        if case.contract.snapshot or case.contract.preview:
            return await self._preview(case)
        if case.contract.dry_run is not None:
            return await self._once(case, "dry run", case.ref, {**case.call.args, **case.contract.dry_run})
        twin = self.twins.get(case.ref.server)
        if twin is not None:
            return await self._at_twin(case, ToolRef(twin, case.ref.name))
        return case

    async def _preview(self, case: Case) -> Case:
        seen = await self.snapshots.preview(case.ref, case.call.args)
        if seen.get("staged") is False:
            # It can be neither shown nor taken back, so it is judged as one of those, and by a person.
            contract = replace(case.contract, snapshot=False, preview=False, inverse=None)
            return replace(case, contract=contract, unstaged=str(seen.get("why", "it can't be tried first here")))
        staged = Staged(
            effect=dict(seen["effect"]),
            state_sha256=str(seen["state_sha256"]),
            after_sha256=seen.get("state_sha256_after"),
            touched=tuple(seen.get("touched", ())),
        )
        return replace(case, staged=staged)

    async def _at_twin(self, case: Case, ref: ToolRef) -> Case:
        """Only the very same tool shows what the real one would do."""
        offered = {found.ref.name: found.pin_sha256 for found in await self.toolbox.definitions(ref.server)}
        if offered.get(ref.name) != case.definition.pin_sha256:
            return replace(case, unstaged=f"{ref}, where it would be tried, is not the same tool")
        return await self._once(case, "trial", ref, case.call.args)

    async def _once(self, case: Case, kind: str, ref: ToolRef, args: dict[str, Any]) -> Case:
        effect = await self._measured(case)
        if effect is None:
            try:
                effect = {kind.replace(" ", "_"): await self._try(case, kind, ref, args), "at": str(ref)}
            except Unavailable as error:
                return replace(case, unstaged=f"the {kind} got no answer: {error.message}")
        return replace(case, staged=Staged(effect, canonical_sha256(effect), None, ()))

    async def _measured(self, case: Case) -> dict[str, Any] | None:
        """What was shown with a question about this very call that is still open or was agreed to."""
        async with self.database.transaction() as tx:
            known = await approval_rows.open_one(tx, case.call.id)
        same = known is not None and known.binding.get("args_sha256") == case.call.args_sha256
        return dict(known.shown["effect"]) if known is not None and same and known.shown.get("effect") else None

    async def _try(self, case: Case, kind: str, ref: ToolRef, args: dict[str, Any]) -> dict[str, Any]:
        async with self.database.transaction(case.subject.lease) as tx:
            detail = {"tool": str(ref), "for": str(case.ref), "kind": kind, "args_sha256": canonical_sha256(args)}
            await record(tx, AuditEntry("call.tried", case.subject.actor, ledger.subject_ids(case), detail))
        key = f"{case.idempotency_key}:{kind}"
        result: ToolResult = await self.toolbox.call(ref, args, Delivery(case.timeout_s, key, repeat=True))
        if not result.ok:
            raise UserError(f"the {kind} failed: {result.text[:500]}", hint=f"interlock tools show {ref}")
        return {"text": result.text[:SHOWN_CHARS], "structured": result.structured}
