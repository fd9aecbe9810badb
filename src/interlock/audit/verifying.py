"""Proving the record: every link recomputed from the stored bytes, every record accounted for."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from interlock.audit.recording import BATCH, TENANT
from interlock.model import GENESIS, UserError, leaf_hash, link_hash
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


class _Chain:
    """Follows a chain link by link and notes what is wrong."""

    def __init__(self, expected: tuple[int, str] | None) -> None:
        self.seq = 0
        self.link = GENESIS
        self.problems: list[str] = []
        self._expected = expected
        self._met = expected is None

    def follow(self, row: Row) -> None:
        """Check the next link."""
        self.problems += _check_link(row, self.seq, self.link)
        self.seq, self.link = row["seq"], bytes(row["link"])
        if self._expected is not None and self.seq == self._expected[0]:
            self._met = self.link.hex() == self._expected[1]

    def verdict(self, waiting: int = 0) -> Verdict:
        """What was found over the whole chain."""
        if not self._met and self._expected is not None:
            number = self._expected[0]
            self.problems.append(f"the chain does not hold the link noted for number {number}: it was cut or rewritten")
        return Verdict(not self.problems, self.seq, waiting, self.link.hex(), tuple(self.problems[:100]))


async def verify(database: Database, expected: tuple[int, str] | None = None) -> Verdict:
    """Recompute the whole chain; `expected` is a number and link noted earlier that must still be in it."""
    chain = _Chain(expected)
    async with database.transaction() as tx:
        while batch := await audit_rows.chain(tx, TENANT, chain.seq, BATCH):
            for row in batch:
                chain.follow(row)
        unlinked = await audit_rows.unlinked(tx, TENANT)
    chain.problems += [f"record {row['id']} was kept out of the chain" for row in unlinked if not row["waiting"]]
    return chain.verdict(sum(1 for row in unlinked if row["waiting"]))


async def export(database: Database) -> AsyncIterator[dict[str, Any]]:
    """The chain as lines that can be verified anywhere; shape `{seq, link, leaf, record_id, event, body}`."""
    seq = 0
    while True:
        async with database.transaction() as tx:
            batch = await audit_rows.chain(tx, TENANT, seq, BATCH)
        for row in batch:
            seq = row["seq"]
            body = None if row["body"] is None else bytes(row["body"]).decode()
            hashes = {name: bytes(row[name]).hex() for name in ("leaf", "link")}
            yield {"seq": seq, **hashes, "record_id": str(row["record_id"]), "event": row["event"], "body": body}
        if len(batch) < BATCH:
            return


def verify_export(lines: Iterable[str], expected: tuple[int, str] | None = None) -> Verdict:
    """Verify lines of JSON as `export` gives them; needs no database.

    Raises:
        UserError: a line is no line of an export; the message says which.
    """
    chain = _Chain(expected)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row |= {name: bytes.fromhex(row[name]) for name in ("leaf", "link")}
            row["body"] = None if row["body"] is None else row["body"].encode()
            chain.follow(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"line {number} is no line of an audit export: {error}") from error
    return chain.verdict()


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
    try:
        body = json.loads(bytes(row["body"]))
    except ValueError:
        return [*problems, f"the record of number {seq} is no JSON"]
    if body.get("id") != str(row["record_id"]) or body.get("event") != row["event"]:
        problems.append(f"the columns of number {seq} do not say what its record says")
    return problems


async def listing(tx: Transaction, task_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Records, newest first; shape `{seq, v, id, at, tenant, event, actor, subject, detail}`; seq None while waiting."""
    rows = await audit_rows.listing(tx, task_id, limit)
    return [{"seq": row["seq"], **json.loads(bytes(row["body"]))} for row in rows]


async def events_of(tx: Transaction, task_id: str, events: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """Records of a task that tell one of these events, oldest first; shape as of `listing`, without `seq`."""
    rows = await audit_rows.of_task(tx, task_id, list(events), limit)
    return [json.loads(bytes(row["body"])) for row in rows]
