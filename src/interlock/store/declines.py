"""Calls that were not made because somebody, or a rule, said no."""

from dataclasses import dataclass
from typing import Literal

from interlock.store.database import Row, Transaction

LIMIT = 100


@dataclass(frozen=True)
class DeclinedCall:
    """One of them.

    Attributes:
        by: a person said no, nobody answered in time, or a rule of the policy denied it.
        reason: the person's words, or why the rule denied it.
    """

    call_no: int
    args_sha256: str
    by: Literal["person", "nobody", "policy"]
    reason: str


async def of_run(tx: Transaction, task_id: str, run_no: int, tool: str) -> list[DeclinedCall]:
    """Declined calls of one tool in one run, the newest first, at most 100.

    Not those that were refused for another cause: arguments that do not fit, a limit, a server that is not there.
    Those may go well the next time.
    """
    rows = await tx.rows(
        "select c.call_no, c.args_sha256, c.reasons, a.id as approval_id, a.state as approval, a.reason"
        " from call c left join lateral (select id, state, reason from approval where call_id = c.id"
        " order by requested_at desc, id desc limit 1) a on true"
        " where c.task_id = %s and c.run_no = %s and c.tool = %s and c.state in ('denied', 'expired')"
        " and (a.state in ('denied', 'expired') or (c.decision = 'deny' and c.rules <> '[]'))"
        " order by c.call_no desc limit %s",
        [task_id, run_no, tool, LIMIT],
    )
    return [_declined(tx, row) for row in rows]


def _declined(tx: Transaction, row: Row) -> DeclinedCall:
    if row["approval"] not in ("denied", "expired"):
        return DeclinedCall(row["call_no"], row["args_sha256"], "policy", "; ".join(row["reasons"]))
    words = tx.sealer.open(row["reason"], f"approval.reason:{row['approval_id']}") or ""
    by: Literal["person", "nobody"] = "person" if row["approval"] == "denied" else "nobody"
    return DeclinedCall(row["call_no"], row["args_sha256"], by, str(words))
