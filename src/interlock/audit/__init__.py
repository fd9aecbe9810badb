"""The append-only, hash-chained record: writing, sequencing, verifying."""

from interlock.audit.recording import keep_sequencing, record, sequence
from interlock.audit.verifying import Verdict, listing, verify

__all__ = ["Verdict", "keep_sequencing", "listing", "record", "sequence", "verify"]
