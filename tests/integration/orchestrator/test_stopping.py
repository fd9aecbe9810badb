"""A task that is stopped, by its limit or by a person, really stops: its model call, its tool, and every process of it."""

import asyncio
import datetime
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from interlock.config import SystemClock
from interlock.testing.postgres import TestPostgres

from .conftest import FINAL, PERSON, WRITE, House, call, house_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
LIMIT_S = 2.0
STOPS_WITHIN_S = 2.5
WAYS = ("limit", "cancel", "halt")
SLEEP = "sleep 2718.2"
COMMAND = f'touch x; sh -c "setsid {SLEEP} & {SLEEP}" & {SLEEP}'
AGENTS = ("thinks", "hangs", "shell", "checks")
PLAYBOOKS: dict[str, dict[str, Any]] = {
    "hangs": {"steps": [call("a", "hung.append", key="k", text="t")], "result": "done"},
    "shell": {"steps": [call("a", "sh.run", command=COMMAND, timeout_s=600)], "result": "done"},
    "checks": {"steps": [{"result": "done"}], "result": "done"},
    "shares": {
        "steps": [call("a", "shared.append", key="{{ inputs.key }}", text="t", delay_s="{{ inputs.delay_s }}")],
        "result": "done",
    },
}


@dataclass
class Hanging:
    """A model's provider that takes every request and answers none."""

    open: int = 0
    asked: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.writers.append(writer)
        try:
            while piece := await reader.read(65536):
                self.asked += b"POST" in piece
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()


def configured(log: Path, port: int) -> dict[str, Any]:
    def faulty(mode: str) -> dict[str, Any]:
        args = ["-m", "interlock.testing.faulty_server", "--mode", mode, "--moment", "before", "--log", str(log)]
        return {
            "command": sys.executable,
            "args": args,
            "sandbox": {"write": [str(log.parent)]},
            "contracts": {"append": {**WRITE, "inverse": {"tool": "shared.append", "args": {"key": "x", "text": "x"}}}},
        }

    work = log.parent.parent / "work"
    work.mkdir()
    agents: dict[str, Any] = {
        name: {"model": f"playbook:{name}", "tools": ["hung.*", "sh.*", "shared.*"], "limits": {"max_runs": 1}}
        for name in PLAYBOOKS
    }
    agents["checks"]["verify"] = [{"command": COMMAND}]
    agents["thinks"] = {"model": "far", "tools": [], "limits": {"max_runs": 1}}
    price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}
    far = {"provider": "openai", "model": "x", "base_url": f"http://127.0.0.1:{port}/v1", "price": price}
    return {
        "models": {"aliases": {"far": {**far, "api_key_env": "FAR_KEY"}}},
        "tools": {
            "hung": faulty("hang-on-call"),
            "shared": faulty("ok"),
            "sh": {"builtin": "shell", "root": str(work), "call_timeout": 600},
        },
        "agents": agents,
        "policy": {"rules": [{"id": "all", "when": {"tool": "*"}, "then": "allow"}]},
    }


@dataclass
class Scene:
    house: House
    provider: Hanging
    hung: set[int] = field(default_factory=set)

    def at_work(self, agent: str) -> bool:
        """Whether what the agent waits for is under way; a server that was started anew has nothing to do."""
        if agent == "thinks":
            return self.provider.open > 0 and self.provider.asked > 0
        return bool(self.hung & self.servers() if agent == "hangs" else pids_of(SLEEP))

    def servers(self) -> set[int]:
        """The processes of the server that hangs."""
        return set(pids_of(f"hang-on-call --moment before --log {self.house.log}"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(interlock_postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    provider = Hanging()
    listening = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    folder = tmp_path_factory.mktemp("stopped")
    patch = pytest.MonkeyPatch()
    patch.setenv("FAR_KEY", "x")
    try:
        async with house_of(interlock_postgres, folder, lambda log: configured(log, port), PLAYBOOKS) as house:
            made = Scene(house, provider)
            first = await house.submit("thinks", "first")  # what models need is imported at their first use
            await until(lambda: made.at_work("thinks"))
            await house.control.cancel(first, PERSON)
            await until(lambda: not made.at_work("thinks"))
            yield made
    finally:
        patch.undo()
        listening.close()
        for writer in provider.writers:
            writer.close()


def pids_of(mark: str) -> list[int]:
    """Processes of all kinds whose command line holds a text."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark in (process / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                found.append(int(process.name))
        except (OSError, UnicodeDecodeError):
            continue
    return found


async def until(condition: Any, patience_s: float = 30.0) -> float:
    """Wait for it; how long it took."""
    began_s = time.monotonic()
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.02)
    return time.monotonic() - began_s


async def under_way(scene: Scene, agent: str, task_id: str) -> None:
    """Wait until the agent's work is with whoever hangs."""
    if agent != "hangs":
        await until(lambda: scene.at_work(agent))
        return
    async with asyncio.timeout(30.0):
        while True:
            view = await scene.house.control.task(task_id)
            if [call["state"] for call in view["calls"]] == ["started"]:
                return
            assert view["state"] in ("queued", "running"), (view["state_reason"], view["calls"])
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("agent", AGENTS)
async def test_nothing_of_it_is_left(scene: Scene, agent: str, way: str) -> None:
    control = scene.house.control
    assert agent == "hangs" or not scene.at_work(agent)
    limits = {"max_duration": f"{LIMIT_S}s"} if way == "limit" else {}
    task_id = await scene.house.submit(agent, f"{agent}-{way}", **limits)
    await under_way(scene, agent, task_id)
    scene.hung = scene.servers()
    assert agent != "hangs" or scene.hung
    asked = SystemClock().now()
    if way == "cancel":
        await control.cancel(task_id, PERSON)
    elif way == "halt":
        await control.halt(f"agent:{agent}", "fire", PERSON, stops=True)
    await until(lambda: not scene.at_work(agent))
    gone = SystemClock().now()
    if way == "halt":
        view = await scene.house.rest(task_id, "queued", "escalated")
        await control.cancel(task_id, PERSON)
        await control.halt(f"agent:{agent}", None, PERSON)
    else:
        view = await scene.house.rest(task_id, *FINAL)
        assert view["state"] == {"limit": "timed_out", "cancel": "cancelled"}[way]
    if way == "limit":
        asked = datetime.datetime.fromisoformat(view["started_at"]) + datetime.timedelta(seconds=LIMIT_S)
        ended = datetime.datetime.fromisoformat(view["finished_at"])
        assert (ended - asked).total_seconds() < STOPS_WITHIN_S
        assert LIMIT_S <= view["worked_s"] < LIMIT_S + STOPS_WITHIN_S
    assert (gone - asked).total_seconds() < STOPS_WITHIN_S
    scene.provider.asked = 0


async def test_a_server_that_others_use_is_not_ended_under_them(scene: Scene) -> None:
    """It is told to end the call that was cut off; whether it does is seen when nobody else is there."""
    control = scene.house.control
    stays = await scene.house.submit("shares", "stays", inputs={"key": "stays", "delay_s": 4.0})
    goes = await scene.house.submit("shares", "goes", inputs={"key": "goes", "delay_s": 30.0})
    async with asyncio.timeout(30.0):
        for task_id in (stays, goes):
            while [call["state"] for call in (await control.task(task_id))["calls"]] != ["started"]:
                await asyncio.sleep(0.02)
    await control.cancel(goes, PERSON)
    view = await scene.house.rest(stays, *FINAL)
    assert view["state"] == "completed", view["state_reason"]
    assert '"key": "stays"' in scene.house.log.read_text()
    assert '"key": "goes"' not in scene.house.log.read_text()
