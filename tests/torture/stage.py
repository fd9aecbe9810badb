"""Where the storm takes place: a project folder, a tool server that keeps a log of its own, and workers to kill."""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.config import SystemClock
from interlock.store import EmbeddedPostgres, PostgresBinaries
from interlock.tools import Place

ROOT = Path(__file__).resolve().parents[2]
SERVER = ("-m", "interlock.testing.faulty_server", "--mode", "ok", "--log")
FORK_S = 10.0
PRELOAD_S = 120.0
GONE_S = 10.0

# What each agent does: steps as (tool, place of the key). Every step is one effect with a key of its own.
AGENTS = {
    # A call that nobody can look up, and can't be repeated: in doubt when a worker dies in it.
    "plain": (("log.append", "a"), ("log.append_keyed", "b"), ("log.append", "c")),
    # The same, with a declared check: it finds out by itself.
    "probed": (("probe.append", "a"), ("probe.append_keyed", "b"), ("probe.append", "c")),
    # A person agrees before: decisions cross takeovers.
    "asked": (("log.append", "a"), ("log.append_keyed", "b")),
}


class Dice:
    """Numbers that look random and follow from a seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._n = 0

    def random(self) -> float:
        """The next number, from 0 to below 1."""
        self._n += 1
        digest = hashlib.sha256(f"{self._seed}:{self._n}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56

    def between(self, low: float, high: float) -> float:
        """The next number between two."""
        return low + (high - low) * self.random()

    def below(self, end: int) -> int:
        """The next whole number from 0 to below `end`."""
        return int(self.random() * end)


def project_text(log: Path, concurrency: int) -> str:
    """The configuration, as JSON, which is YAML."""
    undo = {"args": {"key": "undo-{key}", "text": "undone"}}
    limits = {"max_duration": "10m", "calls_per_minute": 100_000, "max_runs": 100, "retry_delay": "0.2s"}

    def server(name: str, verify: dict[str, Any] | None) -> dict[str, Any]:
        write = {"class": "write", "egress": False, "control": ["key"], "output": "trusted"}
        inverse = {"tool": f"{name}.append", **undo}
        return {
            "command": sys.executable,
            "args": [*SERVER, str(log)],
            "sandbox": {"write": [str(log.parent)]},
            "contracts": {
                "append": {**write, "inverse": inverse, **({"verify": verify} if verify else {})},
                "append_keyed": {**write, "inverse": inverse, "idempotent": True},
                "lookup": {"class": "read", "egress": False, "output": "trusted"},
            },
        }

    found = {"tool": "probe.lookup", "args": {"key": "{key}"}, "expect": {"equals": {"path": "count", "value": 1}}}
    config = {
        "tools": {"log": server("log", None), "probe": server("probe", found)},
        "agents": {
            name: {"model": f"playbook:{name}", "tools": ["log.*", "probe.*"], "limits": limits} for name in AGENTS
        },
        "policy": {
            "rules": [{"id": "ask-first", "when": {"agent": "asked", "tool": "log.append"}, "then": "ask"}],
        },
        "server": {"concurrency": concurrency},
    }
    return json.dumps(config, indent=1)


def playbook_text(agent: str) -> str:
    """The steps of an agent, each as slow as the task says, before its effect and after it."""
    slow = {name: "{{ inputs." + name + " }}" for name in ("delay_s", "linger_s")}
    steps = [
        {
            "id": place,
            "call": tool,
            "args": {"key": "{{ inputs.key }}/" + place, "text": agent, **slow},
        }
        for tool, place in AGENTS[agent]
    ]
    return json.dumps({"version": 1, "steps": steps, "result": "done"}, indent=1)


@dataclass(frozen=True)
class Stage:
    """Folders of one storm."""

    root: Path

    @property
    def project(self) -> Path:
        """The project folder."""
        return self.root / "project"

    @property
    def log(self) -> Path:
        """The tool server's own record."""
        return self.root / "effects.jsonl"

    @property
    def env(self) -> dict[str, str]:
        """The environment of everything in it; its home is its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("INTERLOCK_")}
        return {**kept, "INTERLOCK_HOME": str(self.root / "home"), "PYTHONPATH": f"{ROOT}/src:{ROOT}"}

    def build(self, concurrency: int) -> None:
        """Write the project."""
        (self.project / "playbooks").mkdir(parents=True)
        (self.root / "workers").mkdir()
        (self.project / "interlock.yaml").write_text(project_text(self.log, concurrency))
        for agent in AGENTS:
            (self.project / "playbooks" / f"{agent}.yaml").write_text(playbook_text(agent))
        self.log.touch(0o600)

    @property
    def tool_host(self) -> Place:
        """Where the process is that owns the tool servers."""
        return Place.of(self.root / "home", self.project)

    def tool_host_pid(self) -> int | None:
        """The process that owns the tool servers, if there is one."""
        wanted = ["tool-host", "--project", str(self.project)]
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[3:6] == wanted:
                        return int(entry.name)
        return None

    def _end_tool_host(self) -> None:
        pid = self.tool_host_pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        while pid is not None and lives(pid):
            time.sleep(0.05)

    def clear(self) -> None:
        """Delete all of it, the database too: as root, its data is in another place."""
        self._end_tool_host()
        if (self.root / "home").is_dir():
            EmbeddedPostgres(
                self.root / "home" / "postgres", PostgresBinaries.find(self.env), clock=SystemClock(), env=self.env
            ).destroy()
        shutil.rmtree(self.root)

    def effects(self) -> list[dict[str, Any]]:
        """What the server says that it did; shape `{at, key, text, idempotency_key, pid}`."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def count(self, key: str) -> int:
        """How often an effect happened."""
        return sum(effect["key"] == key for effect in self.effects())


@dataclass
class Workers:
    """The processes that are killed, forked from one zygote."""

    stage: Stage
    zygote: "asyncio.subprocess.Process | None" = None
    pids: list[int] = field(default_factory=list)
    spawned: int = 0

    async def open(self) -> None:
        """Start the zygote and wait until it has imported everything."""
        self.zygote = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.torture.zygote",
            str(self.stage.project),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=self.stage.env,
        )
        await self._answer(PRELOAD_S)

    async def _answer(self, patience_s: float) -> str:
        assert self.zygote is not None
        assert self.zygote.stdout is not None
        line = await asyncio.wait_for(self.zygote.stdout.readline(), patience_s)
        assert line, "the zygote died"
        return line.decode().strip()

    async def spawn(self) -> int:
        """One more worker; its process id."""
        assert self.zygote is not None
        assert self.zygote.stdin is not None
        self.spawned += 1
        log = self.stage.root / "workers" / f"{self.spawned:04}.log"
        self.zygote.stdin.write(f"{log}\n".encode())
        await self.zygote.stdin.drain()
        pid = int(await self._answer(FORK_S))
        self.pids.append(pid)
        return pid

    async def kill(self, pid: int) -> None:
        """SIGKILL, and wait until the process is gone."""
        self.pids.remove(pid)
        os.kill(pid, signal.SIGKILL)
        await gone(pid)

    async def stop(self, patience_s: float) -> list[int]:
        """Let all drain; those that did not end in time."""
        for pid in self.pids:
            os.kill(pid, signal.SIGTERM)
        late = []
        for pid in self.pids:
            try:
                await gone(pid, patience_s)
            except TimeoutError:
                late.append(pid)
        return late

    async def close(self) -> None:
        """End the zygote and with it every worker that is left."""
        if self.zygote is not None and self.zygote.returncode is None:
            self.zygote.kill()
            await asyncio.wait_for(self.zygote.wait(), GONE_S)


def lives(pid: int) -> bool:
    """Whether a process of ours is there, also one that is dead and not reaped."""
    return Path(f"/proc/{pid}").exists()


async def gone(pid: int, patience_s: float = GONE_S) -> None:
    """Wait for the end of a process.

    Raises:
        TimeoutError: it lives on.
    """
    async with asyncio.timeout(patience_s):
        while lives(pid):
            await asyncio.sleep(0.002)
