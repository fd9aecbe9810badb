"""Proving the record: every link recomputed from the stored bytes, every record accounted for."""

import json
from dataclasses import dataclass
from typing import Any

from interlock.audit.recording import BATCH, TENANT
from interlock.model import GENESIS, leaf_hash, link_hash
from interlock.store import Database, Row, Transaction, audit_rows


@dataclass(frozen=True)
class Verdict:
    """What `verify` found.

    Attributes:
        ok: nothing is wrong.
        records: how many records are in the chain.
        waiting: how many were made so recently that they have no place yet.
        head: the last link, in hex; keep it elsewhere, and a shortened or rewritten chain can't pass for this one.
        problems: what is wrong, in words, the first hundred.
    """

    ok: bool
    records: int
    waiting: int
    head: str
    problems: tuple[str, ...]


async def verify(database: Database, expected: tuple[int, str] | None = None) -> Verdict:
    """Recompute the whole chain; `expected` is a number and link noted earlier that must still be in it."""
    problems: list[str] = []
    seq, link = 0, GENESIS
    met = expected is None
    async with database.transaction() as tx:
        while batch := await audit_rows.chain(tx, TENANT, seq, BATCH):
            for row in batch:
                problems += _check_link(row, seq, link)
                seq, link = row["seq"], bytes(row["link"])
                if expected is not None and seq == expected[0]:
                    met = link.hex() == expected[1]
        unlinked = await audit_rows.unlinked(tx, TENANT)
    problems += [f"record {row['id']} was kept out of the chain" for row in unlinked if not row["waiting"]]
    if not met and expected is not None:
        problems.append(f"the chain does not hold the link noted for number {expected[0]}: it was cut or rewritten")
    waiting = sum(1 for row in unlinked if row["waiting"])
    return Verdict(not problems, seq, waiting, link.hex(), tuple(problems[:100]))


def _check_link(row: Row, last_seq: int, last_link: bytes) -> list[str]:
    seq = row["seq"]
    if seq != last_seq + 1:
        return [f"number {last_seq + 1} is missing; the next one is {seq}"]
    if row["body"] is None:
        return [f"the record of number {seq} was deleted"]
    leaf = leaf_hash(bytes(row["body"]))
    problems = []
    if leaf != bytes(row["leaf"]):
        problems.append(f"the record of number {seq} was altered")
    if link_hash(seq, last_link, leaf) != bytes(row["link"]) and not problems:
        problems.append(f"link {seq} does not follow from link {last_seq}")
    body = json.loads(bytes(row["body"]))
    if body.get("id") != str(row["record_id"]) or body.get("event") != row["event"]:
        problems.append(f"the columns of number {seq} do not say what its record says")
    return problems


async def listing(tx: Transaction, task_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Records, newest first; shape `{seq, v, id, at, tenant, event, actor, subject, detail}`; seq None while waiting."""
    rows = await audit_rows.listing(tx, task_id, limit)
    return [{"seq": row["seq"], **json.loads(bytes(row["body"]))} for row in rows]
