"""The published format of recorded runs: read, written, described, played back."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.model import (
    PlannedCall,
    RecordedApproval,
    RecordedCall,
    RecordedContract,
    RecordedModel,
    RecordedPlan,
    RecordedRequest,
    RecordedResult,
    RecordedTool,
    UserError,
    recorded_run_schema,
    write_recorded_line,
)
from interlock.testing import RecordedRun, ReplayMismatch, load_recorded_runs

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
REQUEST: dict[str, Any] = {"v": 1, "type": "request", "run": "r", "agent": "a", "text": "go", "inputs": {}}


def text_of(run: RecordedRun) -> str:
    return "".join(json.dumps(write_recorded_line(line)) + "\n" for line in run.lines())


def a_run(*calls: RecordedCall) -> RecordedRun:
    return RecordedRun(RecordedRequest(run="r", agent="a", text="go"), calls=list(calls))


def a_call(n: int, tool: str = "files.read", result: Any = "text", **args: Any) -> RecordedCall:
    return RecordedCall(run="r", n=n, tool=tool, args=args, result=result, started=NOON, ended=NOON)


# ---- writing and reading -----------------------------------------------------------------------------

words = st.text(max_size=12)
names = words.filter(bool)
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=4,
)
objects = st.dictionaries(words, values, max_size=3)
moments = st.none() | st.integers(0, 10**9).map(lambda seconds: NOON + datetime.timedelta(seconds=seconds / 8))
SOURCES: tuple[Literal["declared", "agent", "model"], ...] = ("declared", "agent", "model")
DECISIONS: tuple[Literal["approve", "deny", "expired"], ...] = ("approve", "deny", "expired")
TIERS: tuple[Literal["small", "medium", "large"] | None, ...] = (None, "small", "medium", "large")
classes = st.none() | st.sampled_from(["read", "write", "destructive"])
outputs = st.sampled_from(["trusted", "untrusted"]) | st.dictionaries(
    words, st.sampled_from(["trusted", "token", "untrusted"]), max_size=2
)
contracts = st.builds(
    RecordedContract,
    action_class=classes,
    egress=st.none() | st.booleans(),
    control=st.lists(words, max_size=2).map(tuple),
    content=st.lists(words, max_size=2).map(tuple),
    output=outputs,
    inverse=st.none() | objects,
)


@st.composite
def recordings(draw: st.DrawFn) -> RecordedRun:
    run = draw(names)
    tools = draw(st.lists(names, max_size=3, unique=True))
    count = draw(st.integers(0, 4))
    plan = st.builds(PlannedCall, tool=words, args=objects, count=st.integers(1, 9))
    found = RecordedRun(
        RecordedRequest(run=run, agent=draw(words), text=draw(words), inputs=draw(objects), tainted=draw(st.booleans()))
    )
    for tool in tools:
        contract = draw(st.none() | contracts)
        found.tools[tool] = RecordedTool(
            run=run, tool=tool, description=draw(words), input_schema=draw(objects), annotations=draw(objects),
            contract=contract,
        )  # fmt: skip
    if draw(st.booleans()):
        source = draw(st.sampled_from(SOURCES))
        found.plan = RecordedPlan(run=run, source=source, calls=tuple(draw(st.lists(plan, max_size=2))))
    for n in range(1, count + 1):
        if draw(st.booleans()):
            decision = draw(st.sampled_from(DECISIONS))
            found.approvals.append(RecordedApproval(run=run, n=n, decision=decision, by=draw(st.none() | words)))
        call = st.builds(
            RecordedCall, run=st.just(run), n=st.just(n), tool=words, args=objects, result=values,
            error=st.none() | words, started=moments, ended=moments,
        )  # fmt: skip
        found.calls.append(draw(call))
        tier = draw(st.sampled_from(TIERS))
        tokens = draw(st.dictionaries(words, st.integers(0, 10**9), max_size=2))
        found.models.append(RecordedModel(run=run, n=n, model=draw(words), tier=tier, tokens=tokens, cost_usd=0.25))
    if draw(st.booleans()):
        found.result = RecordedResult(run=run, state=draw(words), text=draw(words))
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(recordings(), max_size=2, unique_by=lambda run: run.run))
def test_what_is_written_is_read(runs: list[RecordedRun]) -> None:
    text = "".join(text_of(run) for run in runs)
    assert RecordedRun.read(text.split("\n")) == runs
    check = jsonschema.Draft202012Validator(recorded_run_schema())
    for line in text.splitlines():
        if line.startswith("{"):
            check.validate(json.loads(line))


def test_fields_of_a_later_release_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    later = {"v": 1, "type": "call", "run": "r", "n": 1, "tool": "files.read", "colour": "blue"}
    file.write_text(json.dumps({**REQUEST, "mood": {"good": True}}) + "\n\n" + json.dumps(later) + "\n")
    (run,) = load_recorded_runs(file)
    assert (run.run, run.request.agent, [call.tool for call in run.calls]) == ("r", "a", ["files.read"])


def test_runs_of_a_file_may_be_mixed() -> None:
    lines = [REQUEST, {**REQUEST, "run": "s"}, {"v": 1, "type": "result", "run": "r", "state": "completed"}]
    first, second = RecordedRun.read(json.dumps(line) for line in lines)
    assert (first.run, second.run) == ("r", "s")
    assert (first.result, second.result) == (RecordedResult(run="r", state="completed"), None)


CALL = {"v": 1, "type": "call", "run": "r", "n": 1, "tool": "files.read"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "it is no JSON: EOF while parsing"),
        ('{"v": NaN}', "it is no JSON: "),
        ("[]", "found no JSON object"),
        ('"\\ud800"', "it is no JSON: "),
        ({"type": "call"}, "v: found nothing; this release reads version 1"),
        ({**CALL, "v": 2}, "v: found 2; this release reads version 1"),
        ({**CALL, "v": True}, "v: found True"),
        ({**CALL, "v": "1"}, "v: found '1'"),
        (
            {**CALL, "type": "note"},
            "type: found 'note'; expected one of request, tool, plan, call, approval, model, res",
        ),
        ({**CALL, "type": ["call"]}, "type: found \\['call'\\]"),
        ({**CALL, "n": "1"}, "n: Input should be a valid integer"),
        ({**CALL, "n": 0}, "n: Input should be greater than or equal to 1"),
        ({**CALL, "tool": None}, "tool: Input should be a valid string"),
        ({**CALL, "started": "noon"}, "started: Input should be a valid datetime"),
        ({**CALL, "started": "2026-01-01T12:00:00"}, "started: Input should have timezone info"),
        ({"v": 1, "type": "call", "run": "r", "n": 1}, "tool: Field required"),
        ({**CALL, "run": ""}, "run: String should have at least 1 character"),
        ({**CALL, "run": "other"}, "run: the first line of 'other' is no request"),
        ({"v": 1, "type": "tool", "run": "r", "tool": "a.b", "contract": {"class": "safe"}}, "contract.class: Input"),
        ({"v": 1, "type": "plan", "run": "r", "source": "declared", "calls": [{"tool": 1}]}, "calls.0.tool: Input"),
        (REQUEST, "type: a second request of the same run"),
    ],
)
def test_a_wrong_line_is_named_with_its_field(tmp_path: Path, line: Any, said: str) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(json.dumps(REQUEST) + "\n" + (line if isinstance(line, str) else json.dumps(line)) + "\n")
    with pytest.raises(UserError, match=rf"runs\.jsonl:2: {said}") as found:
        load_recorded_runs(file)
    assert found.value.hint.startswith("interlock ")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([CALL, CALL], "line 3: n: found 1 after 1; expected calls in order"),
        ([{**CALL, "n": 4}, {**CALL, "n": 2}], "line 3: n: found 2 after 4"),
        ([{"v": 1, "type": "tool", "run": "r", "tool": "a.b"}] * 2, "line 3: tool: a.b is there twice"),
        ([{"v": 1, "type": "result", "run": "r", "state": "failed"}] * 2, "line 3: type: a second result"),
        ([{"v": 1, "type": "plan", "run": "r", "source": "agent"}] * 2, "line 3: type: a second plan"),
        ([{"v": 1, "type": "approval", "run": "r", "n": 7, "decision": "deny"}], "has an approval of call 7, and no"),
    ],
)
def test_lines_that_do_not_fit_together_are_refused(lines: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(UserError, match=said):
        RecordedRun.read(json.dumps(line) for line in [REQUEST, *lines])


def test_a_file_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        load_recorded_runs(tmp_path / "nothing.jsonl")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="no UTF-8 text"):
        load_recorded_runs(tmp_path / "bytes")


def test_the_schema_is_what_the_models_say(root: Path, script: Callable[[str], ModuleType]) -> None:
    published = (root / "docs" / "recorded-run-v1.schema.json").read_text(encoding="utf-8")
    assert published == script("recorded_run_schema").render(), "python scripts/recorded_run_schema.py"
    jsonschema.Draft202012Validator.check_schema(json.loads(published))


def test_the_page_shows_lines_that_are_lines(root: Path) -> None:
    page = (root / "docs" / "recorded-runs.md").read_text(encoding="utf-8")
    (example,) = (part.partition("```")[0] for part in page.split("```jsonl\n")[1:])
    (run,) = RecordedRun.read(example.splitlines())
    kinds = {line.type for line in run.lines()}
    assert kinds == {"request", "tool", "plan", "call", "approval", "model", "result"}


# ---- playing back --------------------------------------------------------------------------------------


def test_answers_come_back_in_order() -> None:
    refused = RecordedCall(run="r", n=2, tool="files.write", args={"path": "a"}, error="Not done: no.")
    tools = a_run(a_call(1, path="a"), refused).replay_tools()
    assert tools.call("files.read", {"path": "a"}).result == "text"
    with pytest.raises(ReplayMismatch, match=r"1 recorded calls were not made: call 2 \(files\.write\)"):
        tools.finish()
    assert tools.call("files.write", {"path": "a"}).error == "Not done: no."
    tools.finish()
    with pytest.raises(ReplayMismatch, match=r"files\.read: every recorded call was played back"):
        tools.call("files.read", {"path": "a"})


def test_a_mismatch_says_what_differs_and_plays_nothing_back() -> None:
    tools = a_run(a_call(1, path="a", limit=10)).replay_tools()
    with pytest.raises(ReplayMismatch) as found:
        tools.call("files.write", {"path": "b", "text": "x" * 500})
    said = str(found.value)
    assert said.startswith(
        "the next call recorded is call 1 (files.read): tool: recorded files.read, given files.write; "
    )
    assert "args.limit: recorded 10, given nothing" in said
    assert 'args.path: recorded "a", given "b"' in said
    assert 'args.text: recorded nothing, given "xxx' in said
    assert len(said) < 600
    assert tools.call("files.read", {"limit": 10.0, "path": "a"}).n == 1, "JSON has one kind of number"


def test_calls_may_come_in_any_order_if_that_is_wanted() -> None:
    tools = a_run(a_call(1, path="a"), a_call(2, path="b"), a_call(3, path="a", result="again")).replay_tools(
        in_order=False
    )
    assert [tools.call("files.read", {"path": path}).n for path in "baa"] == [2, 1, 3]
    tools = a_run(a_call(1, path="a"), a_call(2, "files.list", path="b")).replay_tools(in_order=False)
    with pytest.raises(ReplayMismatch, match=r"the most similar call left is call 2 \(files\.list\): args\.path: rec"):
        tools.call("files.list", {"path": "c"})


def test_a_run_that_began_untainted_is_written_as_ever_and_one_without_the_field_began_so() -> None:
    for tainted in (False, True):
        line = RecordedRequest(run="r", agent="a", text="go", tainted=tainted).to_json()
        assert ("tainted" in line) is tainted
    (run,) = RecordedRun.read([json.dumps(REQUEST)])
    assert not run.request.tainted
