"""The append-only, hash-chained record: writing, sequencing, verifying."""

from interlock.audit.recording import compose, keep_sequencing, record, sequence
from interlock.audit.verifying import Verdict, events_of, export, listing, verify, verify_export

__all__ = [
    "Verdict",
    "compose",
    "events_of",
    "export",
    "keep_sequencing",
    "listing",
    "record",
    "sequence",
    "verify",
    "verify_export",
]
