"""The timeline of tasks that really ran: waits, retries, questions and runs, in order, with durations."""

from itertools import pairwise
from typing import Any

import pytest

from .conftest import House

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


def of_kind(view: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry for entry in view["timeline"] if entry["kind"] == kind]


async def test_a_question_and_the_wait_for_it(house: House) -> None:
    task_id = await house.submit("asks", "timeline-asks")
    question = await house.question(task_id)
    (open_one,) = of_kind(await house.control.task(task_id), "approval")
    assert (open_one["duration_s"], open_one["text"]) == (None, "#2 log.append_keyed: not answered yet")
    await house.answer(question, "approve", "go on")
    view = await house.rest(task_id, "completed")
    assert all(before["at"] <= after["at"] for before, after in pairwise(view["timeline"]))
    (approval,) = of_kind(view, "approval")
    assert approval["text"] == "#2 log.append_keyed: approved by person:ann: go on"
    assert approval["duration_s"] > 0
    assert [entry["text"] for entry in of_kind(view, "wait")] == ["in the queue", "in the queue"]
    assert [entry["text"] for entry in of_kind(view, "call")] == [
        "#1 log.append done", "#2 log.append_keyed done", "#3 log.append done",
    ]  # fmt: skip
    assert len(of_kind(view, "model")) == 4
    (run,) = of_kind(view, "run")
    assert (run["cost_usd"], view["runs"][0]["cost_usd"]) == (0.0, 0.0)
    assert all(
        entry["duration_s"] is not None for entry in view["timeline"] if entry["kind"] in ("run", "wait", "call")
    )
    (ended,) = of_kind(view, "ended")
    assert view["timeline"][-1] == ended


async def test_runs_and_the_wait_between_them(house: House) -> None:
    view = await house.rest(await house.submit("hopeless", "timeline-hopeless"), "escalated")
    runs, waits = of_kind(view, "run"), of_kind(view, "wait")
    assert [entry["run"] for entry in runs] == [1, 2]
    assert "failed" in runs[0]["text"]
    retry = next(entry for entry in waits if entry["text"] == "the next run waits")
    assert retry["duration_s"] >= 0.1
    assert (waits[-1]["text"], waits[-1]["duration_s"]) == ("for a person to decide about the task", None)
    assert not of_kind(view, "ended")
