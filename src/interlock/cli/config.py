"""`interlock config`: check, schema, and the versions that were applied."""

import asyncio
import json as json_format
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.options import Json, Project, WholeNumber, folder_of
from interlock.cli.output import emit, paint_for
from interlock.cli.views.versions import applied_lines, diff_lines, versions_table
from interlock.cli.words import count, one_line
from interlock.config import Settings

if TYPE_CHECKING:
    from interlock.app import Foundation
    from interlock.config import Project as Checked

TAKEN_PATIENCE_S = 30.0
LOOK_EVERY_S = 0.3
ADMIN = "person:admin"  # whoever can use the state folder
Found = TypeVar("Found")
Number: TypeAlias = Annotated[WholeNumber, Parameter(help="Of a version, as `config versions` shows it.")]
Limit: TypeAlias = Annotated[WholeNumber, Parameter(help="How many at most.")]


def check(*, project: Project = None, json: Json = False) -> int:
    """Check interlock.yaml, policy.yaml, .mcp.json, tools/ and playbooks/; nothing is started."""
    from interlock.app import check_project

    found = check_project(folder_of(project), os.environ)
    emit(facts_of(found), [*_lines(found), "ok"], as_json=json)
    return edge.OK


def schema(*, json: Json = False) -> int:
    """Print the JSON Schema of interlock.yaml, for editors and checks."""
    from interlock.config import config_schema

    print(json_format.dumps(config_schema(), ensure_ascii=False, indent=None if json else 2))
    return edge.OK


def apply(*, project: Project = None, json: Json = False) -> int:
    """Check the configuration and make it the active version; `up` does it by itself when it starts.

    Workers take it without a restart where their machine has what it needs; the others take no tasks and say why.
    The same configuration again is the same version.
    """
    from interlock.app import apply_version

    found, applied = _with_database(project, lambda ground, checked: apply_version(ground.database, checked, ADMIN))
    taken = _taken(applied["sha256"])
    emit({**facts_of(found), "stored": True, **applied, "taken": taken}, applied_lines(applied, taken), as_json=json)
    return edge.OK


def versions(*, limit: Limit = 20, project: Project = None, json: Json = False) -> int:
    """The versions that were applied, newest first; tasks keep the one under which they were submitted."""
    from interlock.app import list_versions

    _, found = _with_database(project, lambda ground, _: list_versions(ground.database, limit))
    emit({"items": found}, versions_table(found, paint_for(sys.stdout)), as_json=json)
    return edge.OK


def diff(first: Number, second: Number | None = None, /, *, project: Project = None, json: Json = False) -> int:
    """What makes version SECOND another than version FIRST; without SECOND, what makes this folder another."""
    from interlock.app import compare_versions

    def compared(ground: "Foundation", checked: "Checked") -> Coroutine[Any, Any, dict[str, Any]]:
        return compare_versions(ground.database, first, checked if second is None else second)

    _, found = _with_database(project, compared)
    emit(found, diff_lines(found), as_json=json)
    return edge.OK


def rollback(number: Number, /, *, project: Project = None, json: Json = False) -> int:
    """Make what version NUMBER says the active version again, as a new one.

    The files of this folder stay as they are: the next `up` or `config apply` applies them again.
    """
    from interlock.app import roll_back

    _, applied = _with_database(project, lambda ground, _: roll_back(ground.database, number, ADMIN))
    taken = _taken(applied["sha256"])
    emit({**applied, "taken": taken}, applied_lines(applied, taken), as_json=json)
    return edge.OK


def _taken(sha256: str) -> dict[str, Any] | None:
    """What became of a version at the server of this state folder, if one runs, and at the workers.

    Shape `{server, workers, idle}`: whether the server works by it, how many workers do, and why others take no tasks.
    """
    from interlock.cli.connecting import server_is_ours, way
    from interlock.client import Client
    from interlock.model import InterlockError

    if not server_is_ours():
        return None
    deadline_s = time.monotonic() + TAKEN_PATIENCE_S
    found: dict[str, Any] | None = None
    while True:
        try:
            with Client(*way(), timeout_s=TAKEN_PATIENCE_S) as client:
                status = client.status()
        except InterlockError:
            return found
        idle = [worker["idle_because"] for worker in status["workers"] if worker["idle_because"]]
        here = [worker for worker in status["workers"] if worker["config_sha256"] == sha256]
        working = sum(worker["idle_because"] is None for worker in here)
        found = {"server": status["config_sha256"] == sha256, "workers": working, "idle": idle}
        if (found["server"] and working + len(idle) >= len(status["workers"])) or time.monotonic() > deadline_s:
            return found
        time.sleep(LOOK_EVERY_S)


def _with_database(
    project: Path | None, do: "Callable[[Foundation, Checked], Awaitable[Found]]"
) -> "tuple[Checked, Found]":
    """Do something with the database of a project that was checked."""
    from interlock.app import check_project, foundation

    settings = Settings.from_env(os.environ)
    checked = check_project(folder_of(project), os.environ)

    async def done() -> Found:
        async with foundation(settings, checked, os.environ, pool=2) as ground:
            return await do(ground, checked)

    return checked, asyncio.run(done())


def facts_of(found: "Checked") -> dict[str, Any]:
    """A checked project as JSON."""
    return {
        "ok": True,
        "folder": str(found.folder),
        "config_sha256": found.sha256,
        "agents": sorted(found.config.agents),
        "tools": dict(found.sources),
        "playbooks": sorted(found.playbooks),
        "rules": [rule.id for rule in found.config.policy.rules],
        "notes": list(found.notes),
    }


def _lines(found: "Checked") -> list[str]:
    path = found.config_path or f"{found.folder} (no interlock.yaml: the defaults hold)"
    numbers = ", ".join(
        count(number, noun)
        for number, noun in (
            (len(found.config.agents), "agent"),
            (len(found.config.tools), "tool server"),
            (len(found.playbooks), "playbook"),
            (len(found.config.policy.rules), "policy rule"),
        )
    )
    return [
        f"{path}: {numbers}; version {found.sha256[:12]}",
        *(f"note: {one_line(note, 400)}" for note in found.notes),
    ]
