"""One process owns the tool servers; the processes that use them come and go, and what they had sent is not lost."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from interlock.app import check_project
from interlock.app.tool_host import fingerprint_of, hosted_tools, place_of
from interlock.config import Settings
from interlock.model import ConfigError, ServerState, ToolLost, ToolRef, ToolTimeout, ToolUnavailable
from interlock.tools import Delivery, Expectation, HostedTools

APPEND = ToolRef("log", "append")
PATIENCE_S = 10.0


class Scene:
    """A project with one tool server that keeps a log of its own, and processes that use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "effects.jsonl"
        self.users: list[HostedTools] = []
        self.write()

    def write(self, **more: Any) -> None:
        server = {
            "command": sys.executable,
            "args": ["-m", "interlock.testing.faulty_server", "--log", str(self.log)],
            "sandbox": {"write": ["."]},
            **more,
        }
        (self.folder / "interlock.yaml").write_text(json.dumps({"tools": {"log": server}}))

    def user(self, **env: str) -> HostedTools:
        whole = {**os.environ, "INTERLOCK_HOME": str(self.folder.parent / "home"), **env}
        made = hosted_tools(Settings.from_env(whole), check_project(self.folder, whole), whole)
        self.users.append(made)
        return made

    @property
    def place(self) -> Any:
        env = {"INTERLOCK_HOME": str(self.folder.parent / "home")}
        return place_of(Settings.from_env(env), check_project(self.folder, env))

    def effects(self) -> list[str]:
        return [json.loads(line)["key"] for line in self.log.read_text().splitlines()] if self.log.exists() else []

    async def host_pid(self, user: HostedTools) -> int:
        return (await user._connected()).pid

    async def gone(self, pid: int, seconds: float = PATIENCE_S) -> None:
        async with asyncio.timeout(seconds):
            while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
                await asyncio.sleep(0.02)

    async def started(self, key: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while key not in self.effects():
                await asyncio.sleep(0.01)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    (tmp_path / "project").mkdir()
    made = Scene(tmp_path / "project")
    yield made
    for user in made.users:
        await user.stop()
    with made.place.only_one() as free:
        if free:
            return
    async with asyncio.timeout(30):
        while True:
            with made.place.only_one() as free:
                if free:
                    return
            await asyncio.sleep(0.05)


def args(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "text": "x", **more}


async def break_off(user: HostedTools) -> None:
    """End the connection as the kernel does for a process that was killed."""
    assert user._link is not None
    user._link.frames._writer.transport.abort()
    user._link = None


async def test_two_processes_share_one_server_and_the_last_to_leave_ends_it(scene: Scene) -> None:
    one, two = scene.user(), scene.user()
    assert (await one.call(APPEND, args("a"), Delivery(10))).ok
    assert (await two.call(APPEND, args("b"), Delivery(10))).ok
    pid = await scene.host_pid(one)
    assert pid == await scene.host_pid(two)
    states = await two.states()
    assert [state.state for state in states] == [ServerState.READY]
    assert len({json.loads(line)["pid"] for line in scene.log.read_text().splitlines()}) == 1
    await one.stop()
    assert (await two.call(APPEND, args("c"), Delivery(10))).ok
    await two.stop()
    await scene.gone(pid)


async def test_who_leaves_in_good_order_does_not_end_it_for_one_that_broke_off(scene: Scene) -> None:
    first, second = scene.user(), scene.user()
    await second.states()
    calling = asyncio.create_task(first.call(APPEND, args("k", linger_s=1.0), Delivery(10, idempotency_key="t:1:1")))
    await scene.started("k")
    await break_off(first)
    with pytest.raises((ToolLost, ToolTimeout, ToolUnavailable)):
        await calling
    pid = await scene.host_pid(second)
    await second.stop()
    await asyncio.sleep(1.5)
    third = scene.user()
    assert await scene.host_pid(third) == pid, "somebody may come for the outcome"
    told = await third.recall("t:1:1", 5)
    assert told is not None
    assert told.ok
    await third.stop()
    await scene.gone(pid, 5)


async def test_a_call_of_a_process_that_broke_off_is_made_once_and_its_outcome_is_told_to_the_next(
    scene: Scene,
) -> None:
    first, second = scene.user(), scene.user()
    await second.states()
    calling = asyncio.create_task(first.call(APPEND, args("k", linger_s=1.0), Delivery(10, idempotency_key="t:1:1")))
    await scene.started("k")
    await break_off(first)
    with pytest.raises(ToolLost):
        await calling
    told = await second.recall("t:1:1", 10)
    assert told is not None
    assert told.ok
    again = await second.call(APPEND, args("k"), Delivery(10, idempotency_key="t:1:1"))
    assert again == told
    assert scene.effects() == ["k"]


async def test_what_was_never_sent_is_not_known_and_what_takes_too_long_is_not_known_yet(scene: Scene) -> None:
    user = scene.user()
    assert await user.recall("t:1:9", 1) is None
    slow = asyncio.create_task(user.call(APPEND, args("s", linger_s=1.5), Delivery(10, idempotency_key="t:1:2")))
    await scene.started("s")
    with pytest.raises(ToolTimeout):
        await user.recall("t:1:2", 0.05)
    assert (await slow).ok


async def test_a_call_that_its_caller_cancels_is_cancelled_at_the_server_unless_the_run_is_abandoned(
    scene: Scene,
) -> None:
    user = scene.user()
    await user.start()
    for run, cancelled in (("stays", False), ("goes", True)):
        how = Delivery(10, idempotency_key=f"{run}:1", run=run)
        calling = asyncio.create_task(user.call(APPEND, args(run, linger_s=0.6), how))
        await scene.started(run)
        if not cancelled:
            user.abandon(run)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        if cancelled:
            with pytest.raises(ToolLost):
                await user.recall(f"{run}:1", 5)
        else:
            told = await user.recall(f"{run}:1", 5)
            assert told is not None
            assert told.ok


async def test_a_call_is_not_sent_after_its_time_nor_with_another_pin(scene: Scene) -> None:
    user = scene.user()
    await user.start()
    late = Expectation(not_after_s=time.monotonic() - 1)
    with pytest.raises(ToolUnavailable):
        await user.call(APPEND, args("late"), Delivery(10, idempotency_key="t:1:3", expect=late))
    with pytest.raises(ToolUnavailable):
        await user.call(APPEND, args("late"), Delivery(10, expect=Expectation(still=lambda: False)))
    with pytest.raises(ToolUnavailable):
        await user.call(APPEND, args("late"), Delivery(10, expect=Expectation(pin_sha256="0" * 64)))
    assert scene.effects() == []
    assert await user.recall("t:1:3", 1) is None  # so it may still be sent
    assert (await user.call(APPEND, args("now"), Delivery(10, idempotency_key="t:1:3"))).ok


async def test_a_killed_host_takes_its_servers_with_it_and_the_next_call_finds_a_new_one(scene: Scene) -> None:
    user = scene.user()
    await user.start()
    pid = await scene.host_pid(user)
    server = (await user.states())[0].pid
    calling = asyncio.create_task(user.call(APPEND, args("k", linger_s=5.0), Delivery(10, idempotency_key="t:1:1")))
    await scene.started("k")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ToolLost, match="tool host died"):
        await calling
    assert server is not None
    await scene.gone(server)
    assert await user.recall("t:1:1", 1) is None
    assert await scene.host_pid(user) != pid
    assert (await user.call(APPEND, args("l"), Delivery(10))).ok


async def test_definitions_are_sent_again_only_when_they_have_changed(scene: Scene) -> None:
    user = scene.user()
    first = await user.definitions("log")
    assert {"append", "lookup"} <= {found.ref.name for found in first}
    assert await user.definitions("log") is first
    assert await user.definitions("log", refresh=True) == first


async def test_another_configuration_is_refused_while_the_old_one_is_used_and_replaces_it_after(scene: Scene) -> None:
    old = scene.user()
    await old.start()
    pid = await scene.host_pid(old)
    scene.write(call_timeout="5s")
    new = scene.user()
    with pytest.raises(ConfigError, match="configured differently"):
        await new.states()
    await old.stop()
    assert [state.server for state in await new.states()] == ["log"]
    assert await scene.host_pid(new) != pid


def test_the_environment_is_part_of_what_users_of_one_host_share(tmp_path: Path) -> None:
    project = check_project(tmp_path, {})
    assert fingerprint_of(project, {"KEY": "a"}) != fingerprint_of(project, {"KEY": "b"})
    assert fingerprint_of(project, {"KEY": "a", "SHLVL": "1"}) == fingerprint_of(project, {"KEY": "a", "SHLVL": "2"})


async def test_a_host_that_can_not_start_is_reported_with_its_last_words(scene: Scene, monkeypatch: Any) -> None:
    monkeypatch.setattr("interlock.tools.host.hosted.ARRIVE_S", 2.0)
    user = scene.user()
    user._program = type(user._program)([sys.executable, "-c", "raise SystemExit('no luck')"], {}, "x")
    with pytest.raises(ToolUnavailable, match="no luck"):
        await user.states()


async def test_a_deep_state_folder_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    scene = Scene(deep)
    user = scene.user()
    assert len(await user.states()) == 1
    await user.stop()


async def test_each_run_has_its_own_process_of_a_stateful_server(scene: Scene) -> None:
    scene.write(scope="run", sandbox={"mode": "off"})  # confined, each of them has the same process id for itself
    user = scene.user()
    for run in ("one", "two", "one"):
        assert (await user.call(APPEND, args(run), Delivery(20, run=run))).ok
    pids = [json.loads(line)["pid"] for line in scene.log.read_text().splitlines()]
    assert pids[0] == pids[2] != pids[1]
    await user.release("one")
    assert not Path(f"/proc/{pids[0]}").exists()
    assert Path(f"/proc/{pids[1]}").exists()
