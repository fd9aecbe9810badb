"""Metrics: names, counters in Postgres, the text that Prometheus scrapes; and the redaction of secrets."""

from interlock.observability.counters import (
    call_counter,
    count_call,
    count_task,
    count_tokens,
    count_trigger,
    exposition,
    task_counts,
    trigger_counts,
)
from interlock.observability.redaction import HIDDEN, redact

__all__ = [
    "HIDDEN",
    "call_counter",
    "count_call",
    "count_task",
    "count_tokens",
    "count_trigger",
    "exposition",
    "redact",
    "task_counts",
    "trigger_counts",
]
