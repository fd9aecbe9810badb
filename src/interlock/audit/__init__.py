"""The append-only, hash-chained record: writing, sequencing, verifying."""

from interlock.audit.recording import compose, keep_sequencing, record, sequence
from interlock.audit.verifying import Verdict, export, listing, verify, verify_export

__all__ = [
    "Verdict",
    "compose",
    "export",
    "keep_sequencing",
    "listing",
    "record",
    "sequence",
    "verify",
    "verify_export",
]
