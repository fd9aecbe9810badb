"""Configuration versions: applied, listed, compared, gone back to."""

from dataclasses import dataclass
from typing import Any

from interlock.app.views import when
from interlock.audit import record
from interlock.config import HIDDEN, Config, Project
from interlock.guardrails import Policy, refuse_unsafe_checks
from interlock.model import AuditEntry, ConfigError, NotFound, UserError
from interlock.observability import redact
from interlock.store import AppliedVersion, Database, Transaction, version_rows

UP = "system:up"
MAX_LISTED = 1000
MAX_CHANGES_RECORDED = 100
_OWN = "own"
_BESIDES = (_OWN, "playbooks")  # of what is stored, beside the blocks of interlock.yaml
_MISSING = object()


@dataclass(frozen=True)
class Change:
    """One difference between two versions.

    Attributes:
        path: of the key, as `agents.tidy.model`.
        kind: `added`, `removed` or `changed`.
        before, after: the values; None where there is none, or where it is not stored.
    """

    path: str
    kind: str
    before: Any = None
    after: Any = None

    def view(self) -> dict[str, Any]:
        """As JSON."""
        return {"path": self.path, "kind": self.kind, "before": self.before, "after": self.after}


async def keep_version(database: Database, project: Project) -> None:
    """Store a configuration, so that tasks can refer to it; it does not become the active one."""
    async with database.transaction() as tx:
        await version_rows.keep(tx, project.sha256, stored_of(project), UP)


async def apply_version(database: Database, project: Project, by: str) -> dict[str, Any]:
    """Make a checked configuration the active version, in one commit with its record.

    Returns:
        `{number, sha256, created, changes}`; the same content as the active one is that version: nothing is created.
    """
    body = stored_of(project)
    async with database.transaction() as tx:
        await version_rows.keep(tx, project.sha256, body, by)
        return await _activate(tx, project.sha256, body, by)


async def roll_back(database: Database, number: int, by: str) -> dict[str, Any]:
    """Make the content of an earlier version the active one again, as a new version; shape as of `apply_version`.

    Raises:
        NotFound: there is no such version.
        ConfigError: it was stored by another release, and this one can't read it.
    """
    async with database.transaction() as tx:
        found = await _version(tx, number)
        body = await _content(tx, found)
        config_of(body, number)
        return await _activate(tx, found.sha256, body, by, content_of=number)


async def list_versions(database: Database, limit: int = 50) -> list[dict[str, Any]]:
    """The last versions, newest first; shape `{number, sha256, applied_at, applied_by, content_of, active}`."""
    if not 1 <= limit <= MAX_LISTED:
        raise UserError(f"limit: {limit} is not between 1 and {MAX_LISTED}", hint="interlock config versions")
    async with database.transaction() as tx:
        found = await version_rows.listing(tx, limit)
    return [{**_view(one), "active": n == 0} for n, one in enumerate(found)]


async def compare_versions(database: Database, first: int, second: int | Project) -> dict[str, Any]:
    """What makes the second one another than the first; a project stands for what is on this machine.

    Returns:
        `{from, to, changes}`; `to` is None for what is on this machine.

    Raises:
        NotFound: there is no such version.
    """
    async with database.transaction() as tx:
        before = await _version(tx, first)
        old = await _content(tx, before)
        if isinstance(second, Project):
            new = {**stored_of(second), "pins": (await version_rows.accepted(tx))}
            after = None
        else:
            after = await _version(tx, second)
            new = {**await _content(tx, after), "pins": after.pins}
    changes = changes_between({**old, "pins": before.pins}, new)
    return {
        "from": _view(before),
        "to": None if after is None else _view(after),
        "changes": [change.view() for change in changes],
    }


def stored_of(project: Project) -> dict[str, Any]:
    """A configuration as it is stored, with all that looks like a secret taken out of its tool servers."""
    return {**project.stored, "tools": _redacted(project.stored["tools"])}


def config_of(body: dict[str, Any], number: int) -> Config:
    """A stored configuration.

    Raises:
        ConfigError: this release can't read it.
    """
    from pydantic import ValidationError

    try:
        config = Config.model_validate({key: value for key, value in body.items() if key not in _BESIDES})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigError(
            f"version {number} was stored by another release, and this one can't read {where}: {first['msg']}",
            hint="apply a configuration that this release can read: interlock config apply",
        ) from error
    Policy(config.policy)
    refuse_unsafe_checks(config.tools)
    return config


def changes_between(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """The differences of two stored configurations, by key."""
    plain = [{key: value for key, value in body.items() if key != _OWN} for body in (old, new)]
    found = _walk("", *plain)
    told = {change.path for change in found}
    parts, others = old.get(_OWN, {}), new.get(_OWN, {})
    for name in sorted({*parts, *others}):
        path = name if "." in name else f"tools.{name}"
        if parts.get(name) == others.get(name) or any(one == path or one.startswith(f"{path}.") for one in told):
            continue
        found.append(Change(f"{path} (its code, or a value that is not stored)", "changed"))
    return found


def _walk(path: str, old: Any, new: Any) -> list[Change]:
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted({*old, *new}):
            below = f"{path}.{key}" if path else str(key)
            found += _walk(below, old.get(key, _MISSING), new.get(key, _MISSING))
        return found
    if _is_named(old) and _is_named(new):
        return _walk(path, {one["id"]: one for one in old}, {one["id"]: one for one in new})
    if old is _MISSING:
        return [Change(path, "added", None, new)]
    if new is _MISSING:
        return [Change(path, "removed", old, None)]
    return [Change(path, "changed", old, new)]


def _is_named(value: Any) -> bool:
    """Whether a list is one of rules, which have names of their own."""
    return isinstance(value, list) and all(isinstance(one, dict) and "id" in one for one in value)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value) if value != HIDDEN else value
    if isinstance(value, list):
        return [_redacted(one) for one in value]
    if isinstance(value, dict):
        return {key: _redacted(one) for key, one in value.items()}
    return value


async def _activate(
    tx: Transaction, sha256: str, body: dict[str, Any], by: str, content_of: int | None = None
) -> dict[str, Any]:
    before = await version_rows.claim(tx)
    if before is not None and before.sha256 == sha256:
        return {**_view(before), "created": False, "changes": []}
    applied = await version_rows.add(tx, before, sha256, by, content_of)
    old = None if before is None else await version_rows.content(tx, before.sha256)
    changes = changes_between(old or {}, body)
    detail: dict[str, Any] = {
        "version": applied.number,
        "config_sha256": sha256,
        "before": None if before is None else before.number,
        "changed": [change.path for change in changes][:MAX_CHANGES_RECORDED],
    }
    if content_of is not None:
        detail["content_of"] = content_of
    event = "config.applied" if content_of is None else "config.rolled_back"
    await record(tx, AuditEntry(event, by, {"config": sha256}, detail))
    return {**_view(applied), "created": True, "changes": [change.view() for change in changes]}


async def _version(tx: Transaction, number: int) -> AppliedVersion:
    found = await version_rows.version(tx, number)
    if found is None:
        raise NotFound(f"there is no configuration version {number}", hint="interlock config versions")
    return found


async def _content(tx: Transaction, version: AppliedVersion) -> dict[str, Any]:
    return await version_rows.content(tx, version.sha256) or {}


def _view(version: AppliedVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "sha256": version.sha256,
        "applied_at": when(version.applied_at),
        "applied_by": version.applied_by,
        "content_of": version.content_of,
    }
