"""Verifying an exported audit chain, without a database or a server."""

from collections.abc import Iterable
from typing import Any

from interlock import audit


def verify_export(lines: Iterable[str]) -> dict[str, Any]:
    """Verify the lines of `audit export`; shape `{ok, records, head, problems}`."""
    verdict = audit.verify_export(lines)
    return {"ok": verdict.ok, "records": verdict.records, "head": verdict.head, "problems": list(verdict.problems)}
