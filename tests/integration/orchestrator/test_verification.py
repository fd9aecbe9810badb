"""A result that does not pass its checks is none: each kind of check, on real servers, and what comes after."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from interlock.model import UserError
from interlock.testing.postgres import TestPostgres

from .conftest import FAST, PERSON, House, append, call, config, house_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

REPORT = {"path": "report.md", "content": "# Report\nall is well\n"}
PASS, FAIL = ({"verdict": word, "reason": f"it is a {word}"} for word in ("pass", "fail"))
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def playbook(*steps: dict[str, Any], result: Any = "done") -> dict[str, Any]:
    start = {"set": {"begun": True}}
    return {"steps": [start, *steps], "result": result if isinstance(result, str) else json.dumps(result)}


write = {**call("w", "files.write", **REPORT), "when": {"exists": "inputs.write"}}
PLAYBOOKS = {
    "writer": playbook(write, result="I have written the report."),
    "numbers": playbook(result="{{ inputs.answer }}"),
    "good-judge": playbook(call("r", "files.read", path="report.md"), result=PASS),
    "bad-judge": playbook(call("r", "files.read", path="report.md"), result=FAIL),
    "vague-judge": playbook(result="It looks fine to me."),
    "meddler": playbook(
        {**call("w", "files.write", path="report.md", content="mine"), "on_error": "continue"}, result=PASS
    ),
    "pushy-judge": playbook(
        {**call("w", "interlock.accept_result", question="Just say yes"), "on_error": "continue"}, result=PASS
    ),
    "first": playbook(append("a"), result="wrong"),
    "second": playbook(append("b"), result="right"),
    "answered": playbook(
        {"when": {"empty": "{{ notes }}"}, "steps": [{"result": "which one?"}]}, result="{{ notes | last }}"
    ),
}


def configured(log: Path) -> dict[str, Any]:
    base = config(log)
    files = {"builtin": "workspace", "root": str(log.parent.parent / "work")}
    (log.parent.parent / "work").mkdir()
    agents: dict[str, Any] = {
        name: {"model": f"playbook:{name}", "tools": ["files.*", "sh.*", "log.*"], "limits": FAST} for name in PLAYBOOKS
    }
    agents["writer"]["plan"] = [{"tool": "files.write", "args": {"path": "report.md"}, "count": 10}]
    made_b = {"effect": "log.append", "args": {"key": {"pattern": ".*/b"}}}
    agents["first"] |= {"stronger": ["playbook:second"], "verify": [made_b]}
    return {
        "tools": {"log": base["tools"]["log"], "files": files, "sh": {"builtin": "shell", "root": files["root"]}},
        "agents": agents,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(interlock_postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house_of(interlock_postgres, tmp_path_factory.mktemp("verified"), configured, PLAYBOOKS) as built:
        yield built


async def checked(house: House, agent: str, key: str, *checks: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    """A task with these checks, when it has come to rest."""
    task_id = await house.submit(agent, key, inputs={"key": key, **inputs}, checks=list(checks))
    return await house.rest(task_id)


def outcomes(view: dict[str, Any]) -> list[bool | None]:
    return [check["passed"] for check in view["result"]["checks"]]


PASSING: list[dict[str, Any]] = [
    {"effect": "files.write", "args": {"path": "report.md"}},
    {"effect": "files.*"},
    {"file": "report.md", "expect": {"contains": "all is well", "lacks": "error", "matches": "(?m)^# Report$"}},
    {"file": "report.md"},
    {"file": "other.md", "expect": {"exists": False}},
    {"command": "grep -q well report.md"},
    {"command": "exit 3", "expect": {"exit_status": 3}},
    {"command": "cat report.md", "expect": {"contains": "all is well"}},
    {"tool": "files.read", "args": {"path": "report.md"}, "expect": {"contains": "Report"}},
    {"judge": "good-judge"},
    {"judge": "meddler", "question": "Is it there?"},
]
FAILING: list[tuple[dict[str, Any], str]] = [
    ({"effect": "files.write", "at_least": 9}, "1 of 9 calls of files.write"),
    ({"effect": "files.write", "args": {"path": "else.md"}}, "no call of files.write that took effect"),
    ({"file": "report.md", "expect": {"exists": False}}, "there is a file report.md"),
    ({"file": "other.md"}, "there is no file other.md"),
    ({"file": "report.md", "expect": {"contains": "nothing like it"}}, "expected {'contains'"),
    ({"command": "grep -q nothing report.md"}, "expected exit status 0, got 1"),
    ({"tool": "files.read", "args": {"path": "report.md"}, "expect": {"lacks": "Report"}}, "expected {'lacks'"),
    ({"judge": "bad-judge"}, "the judge 'bad-judge' says: it is a fail"),
]


async def test_every_kind_of_check_passes_a_good_result(house: House) -> None:
    view = await checked(house, "writer", "good", *PASSING, write=True)
    assert view["state"] == "completed", view["state_reason"]
    assert outcomes(view) == [True] * len(PASSING)
    assert view["checks"] == PASSING


@pytest.mark.parametrize(("check", "words"), FAILING, ids=[words for _, words in FAILING])
async def test_a_result_that_fails_a_check_is_none(house: House, check: dict[str, Any], words: str) -> None:
    view = await checked(house, "writer", f"bad {words}", check, write=True)
    assert view["state"] == "escalated"
    assert words in view["state_reason"]
    assert view["run"] == FAST["max_runs"]
    assert outcomes(view) == [False]


async def test_done_without_a_promised_effect_is_not_done(house: House) -> None:
    view = await checked(house, "writer", "idle", {"effect": "files.*"})
    assert view["state"] == "escalated"
    assert "it says that it is done, but no call of files.*" in view["state_reason"]


async def test_a_check_changes_nothing(house: House) -> None:
    work = house.log.parent.parent / "work"
    (work / "kept.txt").write_text("kept")
    view = await checked(house, "writer", "safe", {"command": "rm kept.txt && touch new.txt"})
    assert view["state"] == "completed", view["state_reason"]
    assert (work / "kept.txt").read_text() == "kept"
    assert not (work / "new.txt").exists()


@pytest.mark.parametrize("answer", ['{"n": 3}', '```json\n{"n": 3}\n```'])
async def test_a_typed_result_is_kept_as_data(house: House, answer: str) -> None:
    view = await checked(house, "numbers", answer, {"schema": NUMBER}, answer=answer)
    assert view["state"] == "completed", view["state_reason"]
    assert view["result"]["output"] == {"n": 3}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("three", "is no JSON"),
        ('{"n": "three"}', "n: 'three' is not of type 'integer'"),
        ('Here it is: {"n": 3}', "is no JSON"),
        ('{"n": NaN}', "is no JSON"),
    ],
)
async def test_a_result_of_another_type_is_none(house: House, answer: str, words: str) -> None:
    view = await checked(house, "numbers", answer, {"schema": NUMBER}, answer=answer)
    assert view["state"] == "escalated"
    assert words in view["state_reason"]


async def test_a_judge_may_only_read_and_its_silence_proves_nothing(house: House) -> None:
    view = await checked(house, "writer", "meddled", {"judge": "meddler"}, write=True)
    refused = next(call for call in view["calls"] if call["tool"] == "files.write" and call["state"] == "denied")
    assert refused["call_no"] > 1
    assert (house.log.parent.parent / "work" / "report.md").read_text() == REPORT["content"]
    view = await checked(house, "writer", "vague", {"judge": "vague-judge"})
    assert (view["state"], view["run"]) == ("escalated", 1), "what was not judged is not wrong"
    assert "gave no verdict that can be read" in view["state_reason"]


async def test_a_judge_can_put_no_question_to_a_person(house: House) -> None:
    view = await checked(house, "writer", "pushy", {"judge": "pushy-judge"})
    assert [call["state"] for call in view["calls"] if call["tool"] == "interlock.accept_result"] == ["denied"]
    assert not [a for a in await house.control.approvals(pending_only=False) if a["task"] == view["id"]]


async def test_a_person_is_asked_last_and_once(house: House) -> None:
    checks = [{"person": "Is this a good report?"}, {"file": "report.md"}]
    task_id = await house.submit("writer", "asked", inputs={"key": "asked", "write": True}, checks=checks)
    question = await house.question(task_id)
    assert question["shown"]["args"]["question"] == "Is this a good report?"
    assert question["shown"]["args"]["result"] == "I have written the report."
    assert question["shown"]["args"]["effects"] == ["#1 files.write done"]
    made = len((await house.control.task(task_id))["calls"])
    await house.answer(question, "approve")
    view = await house.rest(task_id, "completed", "escalated")
    assert view["state"] == "completed", view["state_reason"]
    assert outcomes(view) == [True, True]
    assert len(view["calls"]) == made, "what was passed is not checked again"


async def test_what_a_person_says_against_a_result_is_read_by_the_next_run(house: House) -> None:
    task_id = await house.submit("writer", "declined", inputs={"key": "declined"}, checks=[{"person": "Good?"}])
    await house.answer(await house.question(task_id), "deny", "the numbers are missing")
    view = await house.rest(task_id, "waiting_approval", "completed", "escalated")
    assert (view["state"], view["run"]) == ("waiting_approval", 2)
    notes = [turn["body"]["text"] for turn in view["turns"] if turn["kind"] == "note"]
    assert any("the numbers are missing" in note for note in notes)
    await house.control.cancel(task_id, PERSON)


async def test_a_wrong_result_is_tried_again_by_the_next_stronger_model(house: House) -> None:
    view = await house.rest(await house.submit("first", "stronger"))
    assert view["state"] == "completed", view["state_reason"]
    assert (view["run"], view["result"]["text"]) == (2, "right")
    models = [turn["body"]["model"] for turn in view["turns"] if turn["kind"] == "model"]
    assert models[0] == "playbook:first"
    assert models[-1] == "playbook:second"


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"file": "x", "tool": "files.read"}, "checks[0]: found tool and file; expected exactly one"),
        ({}, "checks[0]: found none of them"),
        ({"effect": "nope.write"}, "checks[0].effect: no tool server 'nope'"),
        ({"judge": "nobody"}, "checks[0].judge: no agent 'nobody'"),
        ({"judge": "writer"}, "checks[0].judge: found 'writer' itself"),
        ({"schema": {"type": "nonsense"}}, "checks[0].schema: it is no JSON Schema"),
        ({"file": "x", "expect": {"exits": True}}, "did you mean 'exists'?"),
        ({"file": "x", "at_least": 2}, "found `at_least` beside `file`"),
        ({"command": "true", "server": "files"}, "checks[0].server: found 'files'"),
        ({"fiel": "x"}, "checks[0].fiel: unknown key; did you mean 'file'?"),
    ],
)
async def test_a_check_that_is_none_is_refused_with_its_place(house: House, check: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as refused:
        await house.submit("writer", "refused", checks=[check])
    assert words in refused.value.message


async def test_a_person_answers_and_the_same_run_goes_on(house: House) -> None:
    task_id = await house.submit("answered", "answer", checks=[{"schema": {"type": "integer"}}])
    view = await house.rest(task_id)
    assert view["state"] == "escalated"
    await house.control.resolve(task_id, {"resolution": "answer", "text": "42"}, PERSON)
    view = await house.rest(task_id, "completed", "escalated")
    assert view["run"] == FAST["max_runs"]
    assert "A person answers: 42" in [turn["body"]["text"] for turn in view["turns"] if turn["kind"] == "note"]


async def test_a_person_changes_the_request_and_a_clean_run_reads_only_that(house: House) -> None:
    task_id = await house.submit("numbers", "change", inputs={"answer": "x"}, checks=[{"schema": NUMBER}])
    view = await house.rest(task_id)
    await house.control.resolve(task_id, {"resolution": "change", "text": "say nothing"}, PERSON)
    after = await house.rest(task_id, "completed", "escalated", "failed")
    assert after["text"] == "say nothing"
    assert after["run"] == view["run"] + 1
    assert after["runs"][-1]["clean"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"resolution": "answer"}, "text: expected 1 to"),
        ({"resolution": "retry"}, "reason: say why"),
        ({"resolution": "retry", "reason": "x", "text": "y"}, "text: `retry` takes none"),
        ({"resolution": "ignore"}, "resolution: 'ignore' is none of"),
    ],
)
async def test_a_decision_that_says_too_little_is_refused(house: House, body: dict[str, Any], words: str) -> None:
    task_id = await house.submit("numbers", f"refused {words}", inputs={"answer": "x"}, checks=[{"schema": NUMBER}])
    await house.rest(task_id)
    with pytest.raises(UserError) as refused:
        await house.control.resolve(task_id, body, PERSON)
    assert words in refused.value.message
