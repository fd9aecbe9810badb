"""Two machines, each with a folder of its own, on one database: who takes tasks when another configuration is applied."""

import sys
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.app.machines import NAMES, PERSON, Machines

from interlock.app import roll_back

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]
APPEND = {"id": "a", "call": "log.append", "args": {"key": "{{ inputs.key }}", "text": "x"}}


def config(machines: Machines, **server: Any) -> dict[str, Any]:
    log = machines.root / "logs" / "effects.jsonl"
    log.parent.mkdir(exist_ok=True)
    contracts = {"append": {"class": "write", "egress": False, "control": ["key"], "output": "trusted"}}
    args = ["-m", "interlock.testing.faulty_server", "--mode", "ok", "--log", str(log)]
    tool = {"command": sys.executable, "args": args, "contracts": contracts, "sandbox": {"write": [str(log.parent)]}}
    ask = {"id": "ask", "when": {"agent": "asks", "tool": "log.append"}, "then": "ask"}
    return {
        "tools": {"log": {**tool, **server}},
        "agents": {name: {"model": f"playbook:{name}", "tools": ["log.*"]} for name in ("says", "asks")},
        "policy": {"rules": [ask]},
    }


PLAYBOOKS: dict[str, list[dict[str, Any]]] = {"says": [], "asks": [APPEND]}


def write(machines: Machines, name: str, result: str, **server: Any) -> None:
    machines.write(name, config(machines, **server), PLAYBOOKS, result)


@pytest_asyncio.fixture(loop_scope="module")
async def both(machines: Machines) -> Machines:
    """Both machines have the same files, which are applied, and work by them."""
    for name in NAMES:
        write(machines, name, "one")
    await machines.apply_everywhere()
    return machines


async def test_agents_come_from_what_was_applied_without_a_restart(both: Machines) -> None:
    before = {name: (await both.until(name, idle=False))["pid"] for name in NAMES}
    write(both, "alpha", "two")
    assert await both.done("says", "still-old") == "one", "files that were not applied changed what is done"
    applied = await both.apply("alpha")
    assert [change["path"] for change in applied["changes"]] == [
        "playbooks.asks.steps",
        "playbooks.says.steps",
    ]
    for name, pid in before.items():
        assert (await both.until(name, idle=False, sha256=applied["sha256"]))["pid"] == pid
    await both.followed(applied["sha256"])
    assert [await both.done("says", f"new-{n}") for n in range(6)] == ["two"] * 6
    back = await roll_back(both.control.database, applied["number"] - 1, PERSON)
    for name in before:
        await both.until(name, idle=False, sha256=back["sha256"])


async def test_a_machine_without_what_a_version_needs_takes_no_tasks_and_says_why(both: Machines) -> None:
    write(both, "alpha", "two", call_timeout="50s")
    applied = await both.apply("alpha")
    idle = await both.until("beta", idle=True)
    await both.until("alpha", idle=False, sha256=applied["sha256"])
    said = "the tool server log is not the same here"
    assert said in idle["idle_because"]
    assert any(f"beta:{idle['pid']} takes no tasks" in line for line in (await both.control.status())["warnings"])
    assert (await both.control.ready())["idle_workers"] == 1
    assert said in (both.root / "beta.log").read_text()
    await both.followed(applied["sha256"])
    tasks = [await both.submit("says", f"alpha-only-{n}") for n in range(8)]
    for task in tasks:
        assert (await both.rest(task, "completed"))["result"]["text"] == "two"
        assert await both.taken_by(task) == "alpha"
    write(both, "beta", "two", call_timeout="50s")
    assert (await both.until("beta", idle=False, sha256=applied["sha256"]))["pid"] == idle["pid"]


async def test_a_task_keeps_the_version_of_its_agent(both: Machines) -> None:
    waits = await both.submit("asks", "waits")
    await both.rest(waits, "waiting_approval")
    await both.control.halt("queue:all", "a test", PERSON)
    queued = await both.submit("says", "queued")
    for name in NAMES:
        write(both, name, "two")
    applied = await both.apply("alpha")
    for name in NAMES:
        await both.until(name, idle=False, sha256=applied["sha256"])
    await both.control.halt("queue:all", None, PERSON)
    await both.approve(waits)
    assert (await both.rest(queued, "completed"))["result"]["text"] == "one"
    assert (await both.rest(waits, "completed"))["result"]["text"] == "one"
    await both.followed(applied["sha256"])
    assert await both.done("says", "after") == "two"
