"""The checks of `doctor`, each giving a record: what, good or not, needed or not, what was found, the fix."""

import errno
import shutil
import socket
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.cli.home_files import holder_of, read_running
from interlock.cli.words import count, size
from interlock.config import Settings, ensure_home, ensure_key
from interlock.model import InterlockError

if TYPE_CHECKING:
    from interlock.config import Project

OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1_000_000_000
MOST_CLOCK_S = 2.0


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: of the check.
        ok: whether all is well.
        required: whether interlock can't work without it.
        found: what is there.
        fix: the exact command or change, if something is wrong.
    """

    name: str
    ok: bool
    required: bool
    found: str
    fix: str = ""


async def check_all(folder: Path, env: Mapping[str, str]) -> list[Finding]:
    """Every check, in order; those that need what failed before are left out."""
    findings = [python_finding(sys.version_info[:3])]
    try:
        settings = Settings.from_env(env)
    except InterlockError as error:
        return [*findings, failed("environment", error)]
    findings += [home_finding(settings), key_finding(settings), disk_finding(settings.home)]
    project, found = project_findings(folder, env)
    findings += found
    if project is None:
        return findings
    findings += [port_finding(settings, project.config.server.port), sandbox_finding(project.config.policy.sandbox)]
    if all(finding.ok for finding in findings if finding.name in ("state folder", "data key")):
        findings += await database_findings(settings, project, env)
        findings += await tool_findings(settings, project, env)
    return findings


def failed(name: str, error: InterlockError, *, required: bool = True) -> Finding:
    """A check that ended with an error of ours."""
    return Finding(name, False, required, error.message, error.next_step)


def judged(name: str, found: str, fix: str, *, ok: bool, required: bool) -> Finding:
    """A check that has a fix only if something is wrong."""
    return Finding(name, ok, required, found, "" if ok else fix)


def python_finding(version: tuple[int, ...]) -> Finding:
    """Is Python new enough?"""
    shown = ".".join(str(part) for part in version)
    return judged("python", shown, "install Python 3.11 or newer", ok=version >= OLDEST_PYTHON, required=True)


def home_finding(settings: Settings) -> Finding:
    """Is the state folder ours alone?"""
    try:
        home = ensure_home(settings)
    except InterlockError as error:
        return failed("state folder", error)
    return Finding("state folder", True, True, f"{home} (mode {stat.S_IMODE(home.stat().st_mode):04o})")


def key_finding(settings: Settings) -> Finding:
    """Is the key for encryption at rest there, or can it be made?"""
    try:
        ensure_key(settings)
    except InterlockError as error:
        return failed("data key", error)
    return Finding("data key", True, True, str(settings.data_key_file))


def disk_finding(home: Path) -> Finding:
    """Is there room?"""
    place = next((path for path in (home, *home.parents) if path.exists()), Path("/"))
    free = shutil.disk_usage(place).free
    fix = f"free some space below {place}"
    return judged("disk", f"{size(free)} free", fix, ok=free >= LEAST_FREE_BYTES, required=False)


def project_findings(folder: Path, env: Mapping[str, str]) -> "tuple[Project | None, list[Finding]]":
    """Is the project's configuration right, and is what it refers to set?"""
    from interlock.app import check_project

    try:
        project = check_project(folder, env)
    except InterlockError as error:
        return None, [failed("configuration", error)]
    where = str(project.config_path or f"{folder} has no interlock.yaml; the defaults hold")
    found = [Finding("configuration", True, True, where)]
    if not project.config.agents:
        found.append(Finding("agents", False, False, "no agent is configured", "interlock init"))
    for gap in project.missing_env(env):
        said = f"{gap.name} is not set; tool server {gap.server} needs it"
        found.append(Finding(f"variable {gap.name}", False, False, said, f"export {gap.name}=…"))
    return project, found


def port_finding(settings: Settings, port: int) -> Finding:
    """Is the port free, or is it ours already?"""
    if holder_of(settings.home) is not None:
        running = read_running(settings.home)
        return Finding("port", True, True, f"interlock runs at {running.url}" if running else "interlock is starting")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            taken = "is taken by another program" if error.errno == errno.EADDRINUSE else f"can't be used: {error}"
            return Finding("port", False, True, f"{port} on 127.0.0.1 {taken}", "interlock up --port 0")
    return Finding("port", True, True, f"{port} on 127.0.0.1 is free" if port else "any free one")


def sandbox_finding(policy: str) -> Finding:
    """By what are tool servers confined?"""
    from interlock.app import examine_sandbox

    means, why = examine_sandbox()
    found = f"{means}: {why}" if why else means
    held = means != "none"
    return judged(
        "sandbox", found, "apt-get install bubblewrap", ok=held or policy == "off", required=policy == "required"
    )


async def database_findings(settings: Settings, project: "Project", env: Mapping[str, str]) -> list[Finding]:
    """Does the database start or answer, is it fit, and what can it do?"""
    from interlock.app import examine_database

    try:
        kind, facts, concerns = await examine_database(settings, project, env)
    except InterlockError as error:
        return [Finding("database", False, True, error.message, _database_fix(settings, project, error))]
    vector = f"version {facts.vector}" if facts.vector else "not there: memory will search by words only"
    role = f"{facts.role}, {'a superuser' if facts.mighty else 'an ordinary role'}"
    ahead = f"the database is {abs(facts.ahead_s):.1f} s {'ahead of' if facts.ahead_s > 0 else 'behind'} this machine"
    role_fix = "let INTERLOCK_DATABASE_URL name a role that is no superuser"
    vector_fix = "install the extension pgvector on the database server"
    return [
        Finding("database", True, True, f"{kind} PostgreSQL {facts.version}"),
        judged("database role", role, role_fix, ok=not facts.mighty, required=True),
        judged("pgvector", vector, vector_fix, ok=facts.vector is not None, required=False),
        judged("clock", ahead, "timedatectl set-ntp on", ok=abs(facts.ahead_s) < MOST_CLOCK_S, required=False),
        *(Finding("tools", False, False, said, fix) for said, _, fix in (text.rpartition(": ") for text in concerns)),
    ]


def _database_fix(settings: Settings, project: "Project", error: InterlockError) -> str:
    """What to do about the database; never "run doctor", which is where this is read."""
    if error.next_step != "interlock doctor":
        return error.next_step
    if settings.database_url:
        return "start that Postgres, or correct INTERLOCK_DATABASE_URL"
    if project.config.database.url:
        return "start that Postgres, or correct database.url in interlock.yaml"
    return f"free memory and disk space; the server's log is below {settings.home / 'postgres'}"


async def tool_findings(settings: Settings, project: "Project", env: Mapping[str, str]) -> list[Finding]:
    """Does every tool server start and list its tools?"""
    from interlock.app import examine_tools

    findings = []
    for found in await examine_tools(settings, project, env):
        health = found.health
        ok = health.state == "ready" and health.tools > 0
        said = (
            f"ready, {count(health.tools, 'tool')}" if ok else f"{health.state}: {health.reason or 'it lists no tools'}"
        )
        if not ok and health.stderr_tail:
            said += "\nit said: " + " / ".join(health.stderr_tail[-3:])
        where = project.sources.get(health.server, "interlock.yaml")
        fix = f"see `{health.server}` in {project.folder / where}; then: interlock doctor"
        findings.append(judged(f"tool server {health.server}", said, fix, ok=ok, required=found.required))
    return findings
