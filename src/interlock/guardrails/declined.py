"""A declined call is remembered for the run: people are not asked the same thing again and again.

Exactly the same call gets the same answer at once. Other calls of a tool are asked about until people have declined
three of them; then every further one that needs a person is declined without asking.
"""

from collections.abc import Sequence

from interlock.model import Call
from interlock.store import DeclinedCall, Transaction, decline_rows

ENOUGH = 3


async def declined_before(tx: Transaction, call: Call) -> str | None:
    """Why a call that would need a person is declined without asking one, or None; one query over the run."""
    return remembered(await decline_rows.of_run(tx, call.task_id, call.run_no, call.tool), call)


def remembered(declined: Sequence[DeclinedCall], call: Call) -> str | None:
    """The same out of the declined calls of the same tool in the run, the newest first."""
    earlier = [one for one in declined if one.call_no < call.call_no]
    same = next((one for one in earlier if one.args_sha256 == call.args_sha256), None)
    if same is not None:
        return _again(same)
    asked = [one for one in earlier if one.by != "policy"]
    if len(asked) < ENOUGH:
        return None
    if all(one.by == "person" for one in asked):
        said = f"people have refused {len(asked)} calls of this tool in this run"
    else:
        said = f"{len(asked)} questions about this tool were refused or not answered in this run"
    return f"{said}; it is not asked about again"


def _again(same: DeclinedCall) -> str:
    number = f"call {same.call_no}, exactly the same,"
    if same.by == "nobody":
        return f"{number} needed a person's agreement, and nobody answered in time"
    if same.by == "policy":
        return f"{number} was denied: {same.reason}"
    return f"a person refused {number.rstrip(',')}: {same.reason}"
