"""Servers from PyPI that were not made for us, in both protocol generations together with the faulty one."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from interlock.config import ToolServerConfig
from interlock.model import ServerState, ToolRef
from interlock.tools import Delivery, granted

pytestmark = pytest.mark.integration


@pytest.fixture
def repository(tooling: Any) -> Path:
    path: Path = tooling.folder / "repository"
    for command in (
        ["init", "-q", "-b", "main", str(path)],
        ["-C", str(path), "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "--allow-empty", "-m", "first"],
    ):
        subprocess.run(["git", *command], check=True, timeout=20)
    return path


async def test_git_time_and_ours_start_together_and_work(tooling: Any, repository: Path) -> None:
    box = tooling.box(
        git=ToolServerConfig(command="mcp-server-git", args=["--repository", str(repository)]),
        time=ToolServerConfig(command="mcp-server-time"),
        ours=tooling.faulty(),
        bad=ToolServerConfig(command="no-such-mcp-server"),
    )
    health = await box.start(["git", "time", "ours", "bad"])
    assert [found.state for found in health[:3]] == [ServerState.READY] * 3
    assert health[3].state in (ServerState.DEGRADED, ServerState.STARTING)  # it is tried again and again
    assert health[0].tools >= 10

    definitions = await box.definitions("git")
    names = [found.ref.name for found in definitions]
    assert names == sorted(names)
    assert "git_log" in names
    assert granted(definitions, ["git.*"]) == definitions
    assert await box.definitions("git", refresh=True) == definitions

    answer = await tooling.call(box, "git.git_log", repo_path=str(repository))
    assert answer.ok
    assert "first" in answer.text
    answer = await tooling.call(box, "git.git_log", repo_path="/nope")
    assert not answer.ok
    answer = await tooling.call(box, "time.get_current_time", timezone="Asia/Tokyo")
    assert answer.ok
    assert "Asia/Tokyo" in answer.text


async def test_a_server_starts_by_itself_at_its_first_use_and_knows_the_call_s_key(tooling: Any) -> None:
    box = tooling.box(ours=tooling.faulty())
    assert tooling.health(box, "ours").state is ServerState.STOPPED
    ref = ToolRef("ours", "append_keyed")
    first = await box.call(ref, {"key": "k", "text": "1"}, Delivery(10, idempotency_key="id-1", trace="00-ab-cd-01"))
    again = await box.call(ref, {"key": "k", "text": "2"}, Delivery(10, idempotency_key="id-1"))
    assert first.structured == again.structured
    assert [line["idempotency_key"] for line in tooling.effects()] == ["id-1"]
    assert tooling.health(box, "ours").state is ServerState.READY
    assert tooling.health(box, "ours").pid in tooling.running()
