"""More than twenty servers that were not made for us, from both registries, together under one supervisor, offline."""

import asyncio
import os
import secrets
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.third_party import backends, processes
from tests.integration.third_party.fleet import FLEET, Member, filled

from interlock.config import Secrets, SystemClock
from interlock.model import InstallFailed, ServerHealth, ServerState, ToolDefinition, ToolRef, ToolResult
from interlock.tools import Delivery, Expectation, Packages, Surroundings, Toolbox, compare

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

AT_ONCE = 6
CALL_S = 60.0
MEMORY_MB = 2048.0
CALLS = (
    *("alchemy", "calculator", "chrome-devtools", "commands", "cyanheads-git", "everything", "excel", "fetch"),
    *("filesystem", "git", "memory", "motherduck", "playwright", "postgres", "prometheus", "redis", "sqlite"),
    *("thinking", "time", "word"),
)


@dataclass
class Row:
    """What was seen of one server."""

    health: ServerHealth
    definitions: tuple[ToolDefinition, ...]
    start_s: float
    protocol: str
    pss_mb: float = 0.0
    call_ms: float = 0.0


@dataclass
class Installation:
    """Where all packages of the fleet are, and how long it took until they were there."""

    cache: Path
    took_s: float


@pytest.fixture(scope="module")
def installation() -> Installation:
    """All packages, in a folder that the next run finds again: INTERLOCK_TEST_CACHE, or one below `~/.cache`."""
    if absent := backends.missing():
        pytest.skip(f"missing: apt-get install --no-install-recommends {' '.join(absent)}")
    cache = Path(os.environ.get("INTERLOCK_TEST_CACHE") or Path.home() / ".cache" / "interlock-tests")
    cache.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cache, prefix="downloads-") as downloads:
        _install(cache, Path(downloads))
    return Installation(cache, time.monotonic() - started)


def _install(cache: Path, downloads: Path) -> None:
    shared = {"UV_CACHE_DIR": str(downloads / "uv"), "NPM_CONFIG_CACHE": str(downloads / "npm")}
    shared |= {"PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"}
    plain = {**os.environ, **shared}
    # uv is much quicker, but not used where there are settings for pip, unless it has one for indexes: here its default.
    quick = {name: value for name, value in plain.items() if not name.startswith("PIP_")}
    with_uv = Packages(cache, {**quick, "UV_INDEX_STRATEGY": "first-index"}, SystemClock())
    as_set_up = Packages(cache, plain, SystemClock())

    def install(member: Member) -> None:
        try:
            with_uv.install(member.spec())
        except InstallFailed:
            as_set_up.install(member.spec())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(install, FLEET))


@contextmanager
def _programs(folder: Path, mark: str) -> Iterator[dict[str, str]]:
    """The facts of all backends that are files or programs."""
    with ExitStack() as stack:
        facts = backends.files(folder, mark)
        facts |= stack.enter_context(backends.page(folder / "site"))
        facts |= stack.enter_context(backends.redis(folder / "redis", mark))
        facts |= stack.enter_context(backends.prometheus(folder / "prometheus", mark))
        yield facts


class Trial:
    """The fleet in one toolbox."""

    def __init__(self, folder: Path, cache: Path, facts: dict[str, str]) -> None:
        self.facts = facts
        env, clock = os.environ, SystemClock()
        packages = Packages(cache, env, clock)
        where = Surroundings(folder, folder / "state", env, Secrets(cache, env), packages=packages)
        self.box = Toolbox({member.name: member.config(facts) for member in FLEET}, where, clock)
        self.rows: dict[str, Row] = {}
        self.outside: dict[str, set[str]] = {member.name: set() for member in FLEET}

    async def start(self) -> float:
        """Start all, some at one time, and list; how long it took, in seconds."""
        gate, begun = asyncio.Semaphore(AT_ONCE), time.monotonic()

        async def one(member: Member) -> None:
            async with gate:
                started = time.monotonic()
                (health,) = await self.box.start([member.name])
                took_s = time.monotonic() - started
            ready = health.state is ServerState.READY
            listed = await self.box.definitions(member.name) if ready else ()
            self.rows[member.name] = Row(health, listed, took_s, self._protocol(member.name))

        await asyncio.gather(*(one(member) for member in FLEET))
        return time.monotonic() - begun

    def _protocol(self, server: str) -> str:
        connection = self.box._shared[server]._connection
        return str(connection._client.protocol_version) if connection is not None else ""

    async def call(self, member: Member) -> list[str]:
        """Make the calls of a member, bound to the pins, and time the last one; what is wrong with the answers."""
        row = self.rows[member.name]
        pins = {definition.ref.name: definition.pin_sha256 for definition in row.definitions}
        answer = ToolResult(ok=False, text="was not called")
        for step in member.steps:
            how = Delivery(CALL_S, expect=Expectation(pin_sha256=pins[step.tool]))
            started = time.monotonic()
            answer = await self.box.call(ToolRef(member.name, step.tool), filled(step.args, self.facts), how)
            row.call_ms = 1000 * (time.monotonic() - started)
            self.outside[member.name] |= processes.outside(self._tree(member.name))
            if not answer.ok:
                return [f"{member.name}.{step.tool} failed: {answer.text[:2000]}"]
        return [f"{member.name}: no {text} in {_said(answer)}" for text in self._lacking(member, answer)]

    def _lacking(self, member: Member, answer: ToolResult) -> list[str]:
        lacking = [text for text in filled(member.expect, self.facts) if text not in _said(answer)]
        if member.leaves is not None:
            file, text = filled(member.leaves, self.facts)
            lacking += [] if _holds(Path(file), text) else [f"{text} in {file}"]
        return lacking

    def look(self) -> dict[str, list[int]]:
        """Measure what runs; the processes of each server."""
        found = {name: self._tree(name) for name in self.rows}
        for name, pids in found.items():
            self.rows[name].pss_mb = processes.pss_mb(pids)
            self.outside[name] |= processes.outside(pids)
        return found

    def _tree(self, server: str) -> list[int]:
        pid = self.rows[server].health.pid
        return processes.tree(pid) if pid is not None else []

    def table(self) -> str:
        lines = [
            f"{'server':16}{'from':6}{'version':18}{'protocol':12}{'tools':>5}{'start s':>9}{'MB':>7}{'call ms':>9}  result"
        ]
        for member in FLEET:
            row = self.rows[member.name]
            result = f"ok: {member.backend}" if member.steps else "only lists"
            calls = f"{row.call_ms:9.1f}" if member.steps else f"{'-':>9}"
            lines.append(
                f"{member.name:16}{member.registry:6}{member.version:18}{row.protocol:12}{len(row.definitions):5}"
                f"{row.start_s:9.1f}{row.pss_mb:7.0f}{calls}  {result}"
            )
        rows = self.rows.values()
        lines.append(
            f"{len(rows)} servers, {sum(len(row.definitions) for row in rows)} tools, "
            f"{sum(row.pss_mb for row in rows):.0f} MB, {sum(bool(member.steps) for member in FLEET)} called"
        )
        return "\n".join(lines)


def _said(answer: ToolResult) -> str:
    return answer.text + str(answer.structured or "")


def _holds(file: Path, text: str) -> bool:
    if not zipfile.is_zipfile(file):
        return text.encode() in file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        return any(text.encode() in archive.read(name) for name in archive.namelist())


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    return condition()


async def _gone(pids: dict[str, list[int]]) -> dict[str, list[int]]:
    def left() -> dict[str, list[int]]:
        return {
            name: living for name, found in pids.items() if (living := [pid for pid in found if processes.alive(pid)])
        }

    await _until(lambda: not left(), 10)
    return left()


def _confined(trial: Trial, running: dict[str, list[int]]) -> None:
    """Who was granted no network has none; who was granted it did not leave this machine."""
    for member in FLEET:
        pids = running[member.name]
        assert pids, member.name
        if not member.network:
            assert processes.interfaces(pids[-1]) == {"lo"}, member.name
            assert not processes.same_network(pids[-1]), member.name
        assert trial.outside[member.name] == set(), member.name


async def test_the_fleet_works_together_and_matches_its_pins(
    installation: Installation,
    interlock_postgres: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mark = f"kingfisher{secrets.token_hex(6)}"
    folder = tmp_path / "project"
    folder.mkdir()
    superuser = interlock_postgres.attached.superuser_conninfo
    with _programs(folder, mark) as facts:
        async with backends.postgres(folder / "pg", superuser, mark) as more:
            trial = Trial(folder, installation.cache, {**facts, **more})
            try:
                started_s, again_s = await _try(trial)
            finally:
                await trial.box.stop()
    with capsys.disabled():
        print(f"\n{trial.table()}")
        print(f"installed in {installation.took_s:.1f} s; all ready in {started_s:.1f} s, again in {again_s:.1f} s")


async def _try(trial: Trial) -> tuple[float, float]:
    """All of it; how long the first and the second start took, in seconds."""
    started_s = await trial.start()
    not_ready = {
        name: row.health.reason for name, row in trial.rows.items() if row.health.state is not ServerState.READY
    }
    assert not not_ready
    assert len(FLEET) >= 20
    for member in FLEET:
        assert len(trial.rows[member.name].definitions) >= member.tools, member.name
    accepted = {
        name: {definition.ref.name: definition.pin_sha256 for definition in row.definitions}
        for name, row in trial.rows.items()
    }
    first = trial.look()
    await trial.box.stop()
    assert await _gone(first) == {}

    again_s = await trial.start()
    reports = {name: compare(accepted[name], row.definitions) for name, row in trial.rows.items()}
    assert {name: report for name, report in reports.items() if not report.clean} == {}

    callers = [member for member in FLEET if member.steps]
    assert sorted(member.name for member in callers) == sorted(CALLS)
    assert len(CALLS) >= 15
    assert [fault for member in callers for fault in await trial.call(member)] == []
    running = trial.look()
    _confined(trial, running)
    assert sum(row.pss_mb for row in trial.rows.values()) < MEMORY_MB
    await trial.box.stop()
    assert await _gone(running) == {}
    return started_s, again_s
