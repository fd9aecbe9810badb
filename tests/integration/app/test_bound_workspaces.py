"""Workspaces that are on one machine: their runs, and the undo of them, are only there, and a lost machine is told of.

What the database has of them, artifacts and snapshots, survives the machine.
"""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.integration.app.machines import NAMES, PERSON, Machines

from interlock.config import load_project
from interlock.model import ConfigError

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]


def config(lost_host_after: str = "5m") -> dict[str, Any]:
    ask = {"id": "ask", "when": {"tool": "own.write", "agent": "asks"}, "then": "ask"}
    return {
        "tools": {
            "fixed": {"builtin": "workspace", "root": "work", "host": "alpha"},
            "own": {"builtin": "workspace", "root": "work", "host": "first"},
        },
        "agents": {
            "fixed": {"model": "playbook:fixed", "tools": ["fixed.*"]},
            "own": {"model": "playbook:own", "tools": ["own.*"]},
            "asks": {"model": "playbook:asks", "tools": ["own.*"]},
            "free": {"model": "playbook:free"},
            "reads": {"model": "playbook:reads", "tools": ["fixed.*"]},
        },
        "policy": {"rules": [ask]},
        "server": {"lost_host_after": lost_host_after},
    }


def write(step: str, server: str) -> dict[str, Any]:
    return {"id": step, "call": f"{server}.write", "args": {"path": "{{ inputs.key }}.txt", "content": "x"}}


PLAYBOOKS: dict[str, list[dict[str, Any]]] = {
    "fixed": [write("a", "fixed")],
    "own": [write("a", "own")],
    "asks": [{"id": "l", "call": "own.list", "args": {"path": "."}}, write("a", "own")],
    "free": [],
    "reads": [{"id": "r", "call": "fixed.read", "args": {"path": "large.txt"}}],
}


async def ready(machines: Machines, **changes: str) -> None:
    """Both machines have the files, and work by them."""
    for name in NAMES:
        (machines.folder(name) / "work").mkdir(parents=True, exist_ok=True)
        machines.write(name, config(**changes), PLAYBOOKS)
    await machines.apply_everywhere()


def where(machines: Machines, key: str) -> list[str]:
    """On which machines a file is."""
    return [name for name in NAMES if (machines.folder(name) / "work" / f"{key}.txt").exists()]


async def test_a_bound_workspace_is_only_used_on_its_machine_and_undone_there(machines: Machines) -> None:
    await ready(machines)
    keys = [f"fixed-{n}" for n in range(6)]
    tasks = [await machines.submit("fixed", key) for key in keys]
    for task, key in zip(tasks, keys, strict=True):
        view = await machines.rest(task, "completed")
        assert (view["host"], await machines.taken_by(task), where(machines, key)) == ("alpha", "alpha", ["alpha"])
    undo = (await machines.control.undo(tasks[0], PERSON, kind="task", dry_run=False))["task"]
    view = await machines.rest(undo["id"], "completed")
    assert (view["host"], await machines.taken_by(undo["id"]), where(machines, keys[0])) == ("alpha", "alpha", [])


async def test_a_task_stays_on_the_machine_that_began_it(machines: Machines) -> None:
    await ready(machines)
    await machines.stop("alpha")
    task = await machines.submit("asks", "stays")
    await machines.rest(task, "waiting_approval")
    assert await machines.taken_by(task) == "beta"
    await machines.stop("beta")
    await machines.start("alpha")
    await machines.until("alpha", idle=False)
    await machines.approve(task)
    assert await machines.done("free", "others go on") == "done"
    assert (await machines.control.task(task))["state"] == "queued", "alpha has not its files"
    await machines.start("beta")
    assert (await machines.rest(task, "completed"))["host"] == "beta"
    assert where(machines, "stays") == ["beta"]
    undo = (await machines.control.undo(task, PERSON, kind="task", dry_run=False))["task"]
    assert (await machines.rest(undo["id"], "completed"))["host"] == "beta"
    assert where(machines, "stays") == []


async def test_the_loss_of_a_machine_escalates_what_only_it_can_do_and_loses_no_bytes(machines: Machines) -> None:
    await ready(machines, lost_host_after="3s")
    large = "a line of many\n" * 20_000
    (machines.folder("alpha") / "work" / "large.txt").write_text(large)
    read = await machines.rest(await machines.submit("reads", "read"), "completed")
    changed = await machines.submit("fixed", "changed")
    await machines.rest(changed, "completed")
    await machines.stop("alpha", signal.SIGKILL)
    undo = (await machines.control.undo(changed, PERSON, kind="task", dry_run=False))["task"]
    stranded = await machines.submit("fixed", "stranded")
    for task in (stranded, undo["id"]):
        view = await machines.rest(task, "escalated")
        assert "on the machine 'alpha', which has had no worker for 3 s" in view["state_reason"]
    assert await machines.done("free", "others go on here") == "done"
    found = read["calls"][0]["result"]["artifacts"][0]
    _, body = await machines.control.artifact(read["calls"][0]["id"], found["sha256"])
    assert body.decode().count("a line of many") == 20_000
    await machines.start("alpha")
    await machines.until("alpha", idle=False)
    for task in (undo["id"], stranded):
        await machines.control.resolve(task, {"resolution": "continue", "reason": "it is back"}, PERSON)
        await machines.rest(task, "completed")
    assert (where(machines, "changed"), where(machines, "stranded")) == ([], ["alpha"])


async def test_a_configuration_with_tools_of_two_machines_is_refused(tmp_path: Path) -> None:
    both = config()
    both["tools"]["other"] = {"builtin": "workspace", "root": "work", "host": "beta"}
    both["agents"] = {"torn": {"model": "anthropic:m", "tools": ["fixed.*", "other.*"]}}
    (tmp_path / "interlock.yaml").write_text(json.dumps(both))
    with pytest.raises(ConfigError, match=r"agents\.torn\.tools: found tools of fixed \(on alpha\) and of other"):
        await asyncio.to_thread(load_project, tmp_path, {})
