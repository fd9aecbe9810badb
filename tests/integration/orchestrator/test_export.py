"""A task as recorded runs: what it was asked, saw, called and was answered; never a secret."""

import dataclasses
import json

import pytest

from interlock.app.recording import RunExport
from interlock.config import Config
from interlock.model import NotFound
from interlock.testing import RecordedRun

from .conftest import PERSON, House

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


async def exported(house: House, task_id: str, run_no: int | None = None) -> list[RecordedRun]:
    lines = [json.dumps(line) async for line in house.control.export_task(task_id, run_no)]
    return RecordedRun.read(lines)


async def test_a_task_that_is_done_is_a_run(house: House) -> None:
    task_id = await house.submit("simple", "export-simple", priority=1)
    view = await house.rest(task_id, "completed")
    (run,) = await exported(house, task_id[-8:])
    assert run.run == f"{task_id}:1"
    assert (run.request.agent, run.request.text, run.request.inputs) == ("simple", "go", {"key": "export-simple"})
    assert {"log.append", "log.append_keyed", "log.echo", "log.lookup"} <= set(run.tools)
    contract = run.tools["log.append"].contract
    assert contract is not None
    assert (contract.action_class, contract.egress, contract.output) == ("write", False, "trusted")
    assert contract.control == ("key",)
    assert "text" in contract.content
    assert "key" not in contract.content
    assert contract.inverse == {"tool": "log.append", "args": {"key": "undo-{key}", "text": "undone"}}
    assert run.tools["log.append"].input_schema["properties"]["key"]
    assert [(call.n, call.tool, call.error) for call in run.calls] == [(1, "log.append", None), (2, "log.append", None)]
    seen = [turn["body"]["text"] for turn in view["turns"] if turn["kind"] == "observation"]
    assert [call.result for call in run.calls] == seen, "the result is what the model read"
    assert all(call.started and call.ended and call.started <= call.ended for call in run.calls)
    assert [(model.n, model.model, model.cost_usd) for model in run.models] == [
        (n, "playbook:simple", 0.0) for n in (1, 2, 3)
    ]
    assert (run.result and (run.result.state, run.result.text)) == ("completed", "done")


async def test_runs_are_apart_and_what_failed_is_there(house: House) -> None:
    task_id = await house.submit("hopeless", "export-hopeless")
    await house.rest(task_id, "escalated")
    first, second = await exported(house, task_id)
    assert (first.run, second.run) == (f"{task_id}:1", f"{task_id}:2")
    assert [call.n for call in (*first.calls, *second.calls)] == [1, 2]
    assert first.calls[0].result is None
    assert first.calls[0].error
    assert (first.result and first.result.state) == "failed"
    (alone,) = await exported(house, task_id, 2)
    assert alone == second
    with pytest.raises(NotFound, match="has no run 3"):
        await exported(house, task_id, 3)
    with pytest.raises(NotFound):
        await exported(house, "0" * 8)


async def test_what_people_decided_stands_before_the_call(house: House) -> None:
    task_id = await house.submit("asks", "export-asks")
    question = await house.question(task_id)
    (before,) = await exported(house, task_id)
    assert [(call.n, call.started is not None) for call in before.calls] == [(1, True), (2, False)]
    assert (before.approvals, before.result) == ([], None)
    await house.answer(question, "approve", "looks good")
    await house.rest(task_id, "completed")
    (run,) = await exported(house, task_id)
    decided = [(found.n, found.decision, found.by, found.reason) for found in run.approvals]
    assert decided == [(2, "approve", PERSON, "looks good")]
    kinds = [line["type"] async for line in house.control.export_task(task_id, None)]
    order = [kind for kind in kinds if kind not in ("request", "tool")]
    assert order == ["model", "call", "model", "approval", "call", "model", "call", "model", "result"]
    refused = await house.submit("asks", "export-denied")
    await house.answer(await house.question(refused), "deny", "not today")
    await house.rest(refused)
    (run,) = await exported(house, refused)
    assert [(found.n, found.decision) for found in run.approvals] == [(2, "deny")]
    assert run.calls[1].started is None
    assert "not today" in (run.calls[1].error or "")


async def test_no_secret_leaves(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    known, shaped = "correct-horse-battery", "ilk_0123456789_abcdefghijklmnopqrstuvwxyzABCDEF"
    body = {"key": "export-secret", "note": f"use {known}, {shaped}", known: [f"https://ann:{known}@example.org"]}
    task, _ = await house.control.submit({"agent": "simple", "text": f"go with {known}", "inputs": body}, PERSON)
    await house.rest(task["id"], "completed")
    export = RunExport(house.control.database, house.control.project, (known,))
    text = "\n".join([json.dumps(line) async for line in export.lines(task["id"])])
    assert known not in text
    assert shaped not in text
    (run,) = RecordedRun.read(text.splitlines())
    assert run.request.text == "go with ***"
    assert run.request.inputs["note"] == "use ***, ***"


async def test_an_undo_is_a_run_with_the_gates_own_tool(house: House) -> None:
    task_id = await house.submit("simple", "export-undone")
    await house.rest(task_id, "completed")
    undo = await house.control.undo(task_id, PERSON, kind="task", dry_run=False)
    await house.rest(undo["task"]["id"])
    (run,) = await exported(house, undo["task"]["id"])
    assert set(run.tools) == {"log.append"}
    assert len(run.calls) == 2
    assert run.request.agent == "undo"


async def test_the_configuration_is_the_one_that_the_task_was_submitted_with(house: House) -> None:
    task_id = await house.submit("simple", "export-older")
    await house.rest(task_id, "completed")
    later = dataclasses.replace(house.control.project, sha256="0" * 64, config=Config())
    lines = [json.dumps(line) async for line in RunExport(house.control.database, later).lines(task_id)]
    (now,) = await exported(house, task_id)
    assert RecordedRun.read(lines) == [now]


async def test_a_later_run_begins_with_the_taint_of_the_one_before(house: House) -> None:
    task_id = await house.submit("stained", "export-stained")
    await house.rest(task_id, "escalated")
    first, second = await exported(house, task_id)
    assert [call.tool for call in second.calls][-1:] == ["hopeless.flaky"]
    assert (first.request.tainted, second.request.tainted) == (False, True)
