"""Runs and the append-only history of their turns."""

from dataclasses import asdict
from typing import Any

from interlock.model import (
    CallRequest,
    Conflict,
    ModelTurn,
    NoteTurn,
    Observation,
    RequestTurn,
    Turn,
    Usage,
)
from interlock.store.database import Row, Transaction

_PAGE = 50
_KINDS: dict[type[Turn], str] = {
    RequestTurn: "request",
    ModelTurn: "model",
    Observation: "observation",
    NoteTurn: "note",
}


async def open_run(tx: Transaction, task_id: str, run_no: int, *, clean: bool, note: str = "") -> None:
    """Begin a run; one that is not clean inherits the history of the run before."""
    await tx.run(
        "insert into run (task_id, run_no, clean, note, started_at) values (%s, %s, %s, %s, %s)",
        [task_id, run_no, clean, tx.sealer.seal(note[:2000], f"run.note:{task_id}:{run_no}"), tx.clock.now()],
    )


async def close_run(tx: Transaction, task_id: str, run_no: int, outcome: str) -> None:
    """End a run, if it is open."""
    await tx.run(
        "update run set outcome = %s, ended_at = %s where task_id = %s and run_no = %s and outcome is null",
        [outcome, tx.clock.now(), task_id, run_no],
    )


async def reopen_run(tx: Transaction, task_id: str, run_no: int) -> None:
    """A run goes on that was closed."""
    await tx.run(
        "update run set outcome = null, ended_at = null where task_id = %s and run_no = %s and outcome is not null",
        [task_id, run_no],
    )


async def runs(tx: Transaction, task_id: str) -> list[Row]:
    """All runs of a task, in order."""
    rows = await tx.rows("select * from run where task_id = %s order by run_no", [task_id])
    return [{**row, "note": tx.sealer.open(row["note"], f"run.note:{task_id}:{row['run_no']}")} for row in rows]


async def append(tx: Transaction, task_id: str, run_no: int, turn: Turn) -> int:
    """Add a turn at the end; its number.

    Raises:
        Conflict: somebody else added one at the same time.
    """
    import psycopg

    row = await tx.row(
        "select coalesce(max(seq), 0) + 1 as seq from turn where task_id = %s and run_no = %s", [task_id, run_no]
    )
    assert row is not None
    try:
        await tx.run(
            "insert into turn (task_id, run_no, seq, kind, body, at) values (%s, %s, %s, %s, %s, %s)",
            [
                task_id,
                run_no,
                row["seq"],
                _KINDS[type(turn)],
                sealed_turn(tx, turn, (task_id, run_no, row["seq"])),
                tx.clock.now(),
            ],
        )
    except psycopg.errors.UniqueViolation as error:
        raise Conflict("the history was changed at the same time") from error
    return int(row["seq"])


async def history(tx: Transaction, task_id: str, run_no: int) -> tuple[Turn, ...]:
    """All turns that a run knows, inherited ones first."""
    rows = await tx.rows(
        "with recursive line as ("
        "  select run_no, clean from run where task_id = %(task)s and run_no = %(run)s"
        "  union all select r.run_no, r.clean from line l join run r on r.task_id = %(task)s and r.run_no = l.run_no - 1"
        "  where not l.clean)"
        " select t.kind, t.body, t.run_no, t.seq from turn t join line using (run_no)"
        " where t.task_id = %(task)s order by t.run_no, t.seq",
        {"task": task_id, "run": run_no},
    )
    return tuple(turn_of(tx, row["kind"], row["body"], (task_id, row["run_no"], row["seq"])) for row in rows)


async def last_model_turn(tx: Transaction, task_id: str, run_no: int) -> Turn | None:
    """What a model said last in a run, if it said anything."""
    row = await tx.row(
        "select kind, body, seq from turn where task_id = %s and run_no = %s and kind = 'model' order by seq desc limit 1",
        [task_id, run_no],
    )
    return None if row is None else turn_of(tx, row["kind"], row["body"], (task_id, run_no, row["seq"]))


async def read_untrusted(tx: Transaction, task_id: str, before_run: int) -> bool:
    """Whether a run before that one was answered something that is not to be believed."""
    after, more = (0, 0), True
    while more:
        rows = await tx.rows(
            "select run_no, seq, body from turn where task_id = %s and run_no < %s and kind = 'observation'"
            " and (run_no, seq) > (%s, %s) order by run_no, seq limit %s",
            [task_id, before_run, *after, _PAGE],
        )
        for row in rows:
            after = (row["run_no"], row["seq"])
            answer = tx.sealer.open(row["body"], turn_place(task_id, *after))
            if answer["ok"] and not answer["trusted"]:
                return True
        more = len(rows) == _PAGE
    return False


async def turns(tx: Transaction, task_id: str) -> list[dict[str, Any]]:
    """All turns of all runs for showing; shape `{run_no, seq, kind, body, at}`; provider messages left out."""
    rows = await tx.rows(
        "select run_no, seq, kind, body, at from turn where task_id = %s order by run_no, seq", [task_id]
    )
    shown = []
    for row in rows:
        body = dict(tx.sealer.open(row["body"], turn_place(task_id, row["run_no"], row["seq"])))
        body.pop("provider", None)
        shown.append({"run_no": row["run_no"], "seq": row["seq"], "kind": row["kind"], "body": body, "at": row["at"]})
    return shown


def turn_place(task_id: str, run_no: int, seq: int) -> str:
    """What the body of a turn is sealed for."""
    return f"turn.body:{task_id}:{run_no}:{seq}"


def sealed_turn(tx: Transaction, turn: Turn, place: tuple[str, int, int]) -> bytes:
    """A turn as it is stored at a place `(task_id, run_no, seq)`."""
    return tx.sealer.seal(asdict(turn), turn_place(*place))


def turn_of(tx: Transaction, kind: str, sealed: bytes, place: tuple[str, int, int]) -> Turn:
    """A turn from what is stored at a place `(task_id, run_no, seq)`."""
    body = tx.sealer.open(sealed, turn_place(*place))
    if kind == "request":
        return RequestTurn(**body)
    if kind == "observation":
        return Observation(**body)
    if kind == "note":
        return NoteTurn(**body)
    calls = tuple(CallRequest(**call) for call in body.pop("calls"))
    usage = Usage(**body.pop("usage"))
    return ModelTurn(calls=calls, usage=usage, **body)
