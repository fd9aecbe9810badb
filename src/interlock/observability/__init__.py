"""Metrics: names, counters in Postgres, the text that Prometheus scrapes; and the redaction of secrets."""

from interlock.observability.counters import count_call, count_task, count_tokens, exposition
from interlock.observability.redaction import HIDDEN, redact

__all__ = ["HIDDEN", "count_call", "count_task", "count_tokens", "exposition", "redact"]
