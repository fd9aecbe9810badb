"""Stages 8 and 11: keep the state to go back to, measure what a call did.

It works with any server that offers the internal tools `capture` and `restore`; workspace and shell do.
File contents go into the store's blobs; the ledger keeps `blob://<sha256>` in their place.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interlock.guardrails.case import Case
from interlock.model import Bug
from interlock.store import Database, catalog_rows
from interlock.tools import Snapshots

BLOB = "blob://"


@dataclass(frozen=True)
class Checkpoint:
    """Capture and restore through the servers that can."""

    database: Database
    snapshots: Snapshots

    async def capture(self, case: Case) -> dict[str, Any] | None:
        """Keep the state of what the call touches, and the hash of the state that it would leave.

        Shape `{server, paths, entries, state_sha256, expected_sha256, expected_effect}`.
        """
        if not case.contract.snapshot:
            return None
        paths = touched(case)
        taken = await self.snapshots.capture(case.ref.server, paths, content=True)
        entries = [await self._to_blob(dict(entry), case.call.task_id) for entry in taken["entries"]]
        return {
            "server": case.ref.server,
            "paths": paths,
            "entries": entries,
            "state_sha256": taken["state_sha256"],
            "expected_sha256": case.staged.after_sha256 if case.staged else None,
            "expected_effect": case.staged.effect if case.staged else None,
        }

    async def measure(self, case: Case, before: dict[str, Any], reported: dict[str, Any] | None) -> dict[str, Any]:
        """What the call did: the server's own measurement and the state after it."""
        after = await self.snapshots.capture(case.ref.server, before["paths"], content=False)
        effect = dict((reported or {}).get("effect") or {})
        effect.setdefault("files_changed", int(after["state_sha256"] != before["state_sha256"]))
        effect["after_sha256"] = after["state_sha256"]
        return effect

    async def state(self, server: str, paths: list[str]) -> str:
        """Hash over the present state of paths."""
        return str((await self.snapshots.capture(server, paths, content=False))["state_sha256"])

    async def with_contents(self, args: dict[str, Any]) -> dict[str, Any]:
        """Arguments with the contents of blobs in their place; done just before a call is sent."""
        entries = args.get("entries")
        if not isinstance(entries, list):
            return args
        return {**args, "entries": [await self._from_blob(dict(entry)) for entry in entries]}

    async def _to_blob(self, entry: dict[str, Any], task_id: str) -> dict[str, Any]:
        content = entry.get("content")
        if not isinstance(content, str):
            return entry
        body = base64.b64decode(content)
        sha256 = hashlib.sha256(body).hexdigest()
        async with self.database.transaction() as tx:
            await catalog_rows.keep_blob(tx, sha256, body, task_id)
        return {**entry, "content": BLOB + sha256}

    async def _from_blob(self, entry: dict[str, Any]) -> dict[str, Any]:
        content = entry.get("content")
        if not isinstance(content, str) or not content.startswith(BLOB):
            return entry
        async with self.database.transaction() as tx:
            body = await catalog_rows.blob(tx, content.removeprefix(BLOB))
        if body is None:
            raise Bug(f"the snapshot {content} is gone")
        return {**entry, "content": base64.b64encode(body).decode()}


def blobs_of(before: Mapping[str, Any] | None) -> list[str]:
    """Hashes of the blobs that a kept state refers to."""
    contents = [entry.get("content") for entry in (before or {}).get("entries", [])]
    return [text.removeprefix(BLOB) for text in contents if isinstance(text, str) and text.startswith(BLOB)]


def touched(case: Case) -> list[str]:
    """Paths that a call touches: those of its preview, else those that it names."""
    if case.staged is not None and case.staged.touched:
        return list(case.staged.touched)
    found: set[str] = set()
    for name in case.contract.paths:
        value = case.call.args.get(name)
        found.update(value if isinstance(value, list) else [value] if isinstance(value, str) else [])
    return sorted(found)
