"""The audit record and the hash chain over it: one fixed format, version 1.

A record is an RFC 8785 JSON object. Its leaf hash is `SHA-256(0x00 || record)`, as in RFC 6962; link `n` of the
chain is `SHA-256(0x02 || n as 8 bytes || previous link || leaf)`; link 0 is 32 zero bytes.
"""

import datetime
import hashlib
from dataclasses import dataclass, field
from typing import Any

from interlock.model.canonical import canonical_json

RECORD_VERSION = 1
GENESIS = bytes(32)


@dataclass(frozen=True)
class AuditEntry:
    """What somebody wants recorded; times and ids come from the one who writes it.

    Attributes:
        event: what happened, as `call.intent`, `call.outcome`, `approval.decided`, `task.submitted`.
        actor: who: `person:NAME`, `agent:NAME`, `system:PART`.
        subject: what it is about: ids of task, run, call, approval.
        detail: event-specific, hashes and names only: no contents, no secrets.
    """

    event: str
    actor: str
    subject: dict[str, Any]
    detail: dict[str, Any] = field(default_factory=dict)


def record_body(entry: AuditEntry, record_id: str, at: datetime.datetime, tenant: str) -> bytes:
    """The bytes that are stored and hashed."""
    return canonical_json(
        {
            "v": RECORD_VERSION,
            "id": record_id,
            "at": at.astimezone(datetime.UTC).isoformat(timespec="microseconds"),
            "tenant": tenant,
            "event": entry.event,
            "actor": entry.actor,
            "subject": entry.subject,
            "detail": entry.detail,
        }
    )


def leaf_hash(body: bytes) -> bytes:
    """Hash of one record, apart by its prefix from any hash of the chain."""
    return hashlib.sha256(b"\x00" + body).digest()


def link_hash(seq: int, previous: bytes, leaf: bytes) -> bytes:
    """Link `seq` (from 1) of the chain."""
    return hashlib.sha256(b"\x02" + seq.to_bytes(8, "big") + previous + leaf).digest()
