"""What a run says and hears, written under its lease: a turn and the calls it asks for are one commit."""

from dataclasses import dataclass

from interlock.audit import compose, record
from interlock.config import fault_point, new_id
from interlock.model import AuditEntry, CallRequest, Lease, ModelAnswer, ModelTurn, Observation
from interlock.store import Database, call_rows, run_rows, segment_rows


@dataclass
class History:
    """Appends the turns of one run under its lease.

    Attributes:
        last_seq: the number of the last turn.
        untold: what is to be recorded with the next answer.
    """

    database: Database
    lease: Lease
    last_seq: int
    untold: AuditEntry | None = None

    async def add_answer(self, answer: ModelAnswer) -> ModelTurn:
        """Number the calls and write the turn and their ledger rows in one commit, before any of them runs."""
        if not answer.calls:
            turn = ModelTurn(answer.text, (), answer.model, answer.usage, answer.provider)
            async with self.database.at_once() as tx:
                told = None if self.untold is None else compose(self.untold, tx.clock.now())
                await segment_rows.append_answer(tx, self.lease, turn, self.last_seq + 1, told)
            self.last_seq += 1
            fault_point("turn.saved")
            return turn
        async with self.database.transaction(self.lease) as tx:
            if self.untold is not None:
                await record(tx, self.untold)
            last = await call_rows.last_number(tx, self.lease.task_id)
            calls = tuple(
                CallRequest(last + offset, call.tool, call.args, call.reason, call.provider_call_id)
                for offset, call in enumerate(answer.calls, start=1)
            )
            turn = ModelTurn(answer.text, calls, answer.model, answer.usage, answer.provider)
            seq = await run_rows.append(tx, self.lease.task_id, self.lease.run_no, turn)
            for call in calls:
                await call_rows.propose(tx, self.lease, new_id(), call, seq)
        self.last_seq = seq
        fault_point("turn.saved")
        return turn

    async def add_observation(self, observation: Observation) -> None:
        """Write the answer to a call."""
        async with self.database.transaction(self.lease) as tx:
            self.last_seq = await run_rows.append(tx, self.lease.task_id, self.lease.run_no, observation)
        fault_point("observation.saved")
