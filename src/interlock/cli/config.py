"""`interlock config`: check, schema, apply."""

import asyncio
import json as json_format
import os
from typing import TYPE_CHECKING, Any

from interlock.cli import edge
from interlock.cli.home_files import holder_of
from interlock.cli.options import Json, Project, folder_of
from interlock.cli.output import emit
from interlock.cli.words import count, one_line
from interlock.config import Settings

if TYPE_CHECKING:
    from interlock.config import Project as Checked


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
    """Check the configuration and store it as a version; `up` does it by itself when it starts."""
    from interlock.app import check_project, foundation, keep_version

    settings = Settings.from_env(os.environ)
    found = check_project(folder_of(project), os.environ)

    async def store() -> None:
        async with foundation(settings, found, os.environ, pool=2) as ground:
            await keep_version(ground.database, found)

    asyncio.run(store())
    running = holder_of(settings.home) is not None
    lines = [f"checked, and stored as version {found.sha256[:12]}"]
    if running:
        lines.append("next: interlock down, then interlock up, which then runs it")
    emit({**facts_of(found), "stored": True, "restart_needed": running}, lines, as_json=json)
    return edge.OK


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
