"""What `doctor` asks of the parts that have to be started to be known: the database and the tool servers."""

from collections.abc import Mapping
from dataclasses import dataclass

from interlock.app.fleet import concerns_of
from interlock.app.ground import foundation
from interlock.app.house import DatabaseFacts, facts_of
from interlock.app.tool_host import toolbox_of
from interlock.config import Project, Settings
from interlock.model import ServerHealth
from interlock.sandbox import prospect


async def examine_database(
    settings: Settings, project: Project, env: Mapping[str, str]
) -> tuple[str, DatabaseFacts, list[str]]:
    """Start or reach the database, bring it up to date, and ask what it is, and which tools can't be called and why.

    Returns `embedded` or `external`, the facts, and sentences about tools.

    Raises:
        DatabaseUnavailable: it does not answer.
        DatabaseUnfit: it is too old, or a role is not what it must be.
    """
    async with foundation(settings, project, env, pool=2) as ground:
        concerns, _ = await concerns_of(ground.database, project)
        return ground.kind, await facts_of(ground.database), concerns


def examine_sandbox() -> tuple[str, str]:
    """By what means tool servers are confined here (`none` if they are not), and what is missing or why not better."""
    found = prospect()
    return str(found.means), found.why


@dataclass(frozen=True)
class ServerFinding:
    """One tool server after it was started: its health, and whether a run may do without it."""

    health: ServerHealth
    required: bool


async def examine_tools(settings: Settings, project: Project, env: Mapping[str, str]) -> list[ServerFinding]:
    """Start every tool server, look, and stop it again."""
    toolbox = toolbox_of(settings, project, env, settings.home / "tools" / "doctor")
    try:
        health = await toolbox.start()
    finally:
        await toolbox.stop()
    return [ServerFinding(entry, project.config.tools[entry.server].required) for entry in health]
