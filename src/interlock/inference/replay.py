"""Runs a playbook as a model: replays it against the history, and answers with what it asks for next.

Nothing is kept between two answers: the calls that the history holds must be those the playbook would have asked
for, and their observations are what it read. So a run survives any crash, and a changed playbook is noticed.
"""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from interlock.inference.conditions import Condition, evaluate_value, holds
from interlock.inference.expressions import MAX_TEXT, EvaluationError, Template, render_text
from interlock.inference.filters import as_text, storable
from interlock.inference.playbook import (
    MAX_CALLS,
    MAX_LOOP,
    MAX_STEPS,
    BlockStep,
    CallSpec,
    CallStep,
    LoopStep,
    Place,
    Playbook,
    SetStep,
    Step,
    TextStep,
    step_ids,
)
from interlock.model import (
    Bug,
    CallProposal,
    CallRequest,
    ModelAnswer,
    ModelRequest,
    ModelTurn,
    NoteTurn,
    Observation,
    PlaybookError,
    PlaybookFailed,
    RequestTurn,
    Turn,
    UserError,
    canonical_json,
)

MAX_REASON = 500
_SKIPPED: Mapping[str, Any] = {"ok": False, "skipped": True, "text": "", "tries": 0, "count": 0, "results": []}


@dataclass(frozen=True)
class _Answers:
    """The observations of one turn's calls, in order; `noted`: the platform wrote a note after them."""

    observations: tuple[Observation, ...]
    noted: bool


@dataclass
class _Exchange:
    """One model turn of the history: the notes known before it, its calls, their observations by number."""

    notes: tuple[str, ...]
    calls: tuple[CallRequest, ...]
    observations: dict[int, Observation] = field(default_factory=dict)
    noted: bool = False


@dataclass(frozen=True)
class _End:
    """The playbook is over, with this text."""

    text: str


_Asked: TypeAlias = tuple[CallProposal, ...]
_Running: TypeAlias = Generator[_Asked, _Answers, _End | None]


@dataclass
class _History:
    request: RequestTurn
    exchanges: list[_Exchange]
    notes: tuple[str, ...]


def _read(turns: tuple[Turn, ...]) -> _History:
    """Sort the turns of a history; a model turn without calls ends a pass, and the next one begins anew."""
    history = _History(RequestTurn(""), [], ())
    asked = False
    for turn in turns:
        if isinstance(turn, RequestTurn):
            history.request = history.request if asked else turn
            asked = True
        elif isinstance(turn, NoteTurn):
            history.notes = (*history.notes, turn.text)
            if history.exchanges:
                history.exchanges[-1].noted = True
        elif isinstance(turn, ModelTurn):
            if turn.calls:
                history.exchanges.append(_Exchange(history.notes, turn.calls))
            else:
                history.exchanges.clear()
        elif history.exchanges:
            history.exchanges[-1].observations[turn.call_no] = turn
    return history


@dataclass
class _Machine:
    """Carries out the steps of a playbook; asks for calls by yielding them."""

    playbook: Playbook
    scope: dict[str, Any]
    steps_done: int = 0
    calls_asked: int = 0
    said: list[str] = field(default_factory=list)

    def fault(self, place: Place, text: str) -> PlaybookError:
        return PlaybookError(f"playbook '{self.playbook.name}': {place}: {text}")

    def value(self, place: Place, value: Any) -> Any:
        try:
            return evaluate_value(value, self.scope)
        except EvaluationError as error:
            raise self.fault(place, str(error)) from error

    def text(self, place: Place, template: Template) -> str:
        try:
            return storable(render_text(template, self.scope))
        except EvaluationError as error:
            raise self.fault(place, str(error)) from error

    def holds(self, place: Place, condition: Condition | None) -> bool:
        try:
            return condition is None or holds(condition, self.scope)
        except EvaluationError as error:
            raise self.fault(place, str(error)) from error

    def run(self) -> Generator[_Asked, _Answers, str]:
        start = Place("vars", 1)
        for name, value in self.playbook.vars.items():
            self.scope["vars"][name] = self.value(start, value)
        end = yield from self.sequence(self.playbook.steps)
        return end.text if end else self.text(Place("result", 1), self.playbook.result)

    def sequence(self, steps: tuple[Step, ...]) -> _Running:
        for step in steps:
            self.steps_done += 1
            if self.steps_done > MAX_STEPS:
                raise self.fault(step.place, f"more than {MAX_STEPS} steps in one run")
            end = yield from self.step(step)
            if end:
                return end
        return None

    def step(self, step: Step) -> _Running:
        if isinstance(step, BlockStep):
            return (yield from self.block(step))
        if not self.holds(step.place, step.when):
            self.skip((step,))
            return None
        if isinstance(step, CallStep):
            return (yield from self.calls(step))
        if isinstance(step, LoopStep):
            return (yield from self.loop(step))
        if isinstance(step, SetStep):
            self.scope["vars"].update(self.value(step.place, step.values))
            return None
        return self.speak(step)

    def skip(self, steps: tuple[Step, ...]) -> None:
        for name in step_ids(steps):
            self.scope["steps"][name] = dict(_SKIPPED)

    def speak(self, step: TextStep) -> _End | None:
        text = self.text(step.place, step.text)
        if step.kind == "fail":
            raise PlaybookFailed(f"playbook '{self.playbook.name}': {step.place}: {text}")
        if step.kind == "result":
            return _End(text)
        self.said.append(text)
        if sum(map(len, self.said)) > MAX_TEXT:
            raise self.fault(step.place, f"says more than {MAX_TEXT} characters before the next call")
        return None

    def block(self, step: BlockStep) -> _Running:
        taken, other = step.steps, step.otherwise
        if not self.holds(step.place, step.when):
            taken, other = other, taken
        self.skip(other)
        return (yield from self.sequence(taken))

    # ---- calls --------------------

    def proposal(self, place: Place, call: CallSpec) -> CallProposal:
        self.calls_asked += 1
        if self.calls_asked > MAX_CALLS:
            raise self.fault(place, f"more than {MAX_CALLS} calls in one run")
        return CallProposal(call.tool, self.value(place, call.args), self.text(place, call.reason)[:MAX_REASON])

    def calls(self, step: CallStep) -> _Running:
        pending, tries = step.calls, 0
        while True:
            answers = yield tuple(self.proposal(step.place, call) for call in pending)
            tries += 1
            failed: list[CallSpec] = []
            for call, seen in zip(pending, answers.observations, strict=True):
                self.record(call, seen, tries)
                if not seen.ok:
                    failed.append(call)
            if not failed:
                return None
            if tries > step.retries:
                if step.on_error == "continue":
                    return None
                # A note after the failure (a new run that took over this history, a person's answer) is the
                # platform asking to go on: the calls are tried again; otherwise the run fails here.
                if not answers.noted:
                    raise self.failure(step, failed[0], answers)
                tries = 0
            pending = tuple(failed)

    def record(self, call: CallSpec, seen: Observation, tries: int) -> None:
        if call.id:
            self.scope["steps"][call.id] = {
                "ok": seen.ok,
                "skipped": False,
                "text": seen.text,
                "structured": seen.structured,
                "tries": tries,
            }

    def failure(self, step: CallStep, call: CallSpec, answers: _Answers) -> PlaybookFailed:
        seen = next(seen for seen in answers.observations if not seen.ok)
        text = " ".join(seen.text.split())[:300] or "no reason given"
        return PlaybookFailed(f"playbook '{self.playbook.name}': {step.place}: {call.tool} failed: {text}")

    # ---- loops --------------------

    def chosen(self, step: LoopStep) -> list[Any]:
        """The items a loop goes through."""
        items = self.value(step.place, step.source)
        if not isinstance(items, list):
            raise self.fault(step.place, f"'in' is no list but {as_text(items)[:60] or 'null'}")
        if step.where is not None:
            kept: list[Any] = []
            for number, item in enumerate(items, 1):
                self.scope |= {step.item: item, "round": number}
                if self.holds(step.place, step.where):
                    kept.append(item)
            items = kept
        if step.limit is not None:
            return items[: step.limit]
        if len(items) > MAX_LOOP:
            raise self.fault(step.place, f"{len(items)} items, more than {MAX_LOOP}; a limit takes the first ones")
        return items

    def loop(self, step: LoopStep) -> _Running:
        outer = {name: self.scope[name] for name in (step.item, "round") if name in self.scope}
        items = self.chosen(step)
        inner = tuple(step_ids(step.steps))
        rounds: list[dict[str, Any]] = []
        for number, item in enumerate(items, 1):
            self.scope |= {step.item: item, "round": number}
            for name in inner:
                self.scope["steps"].pop(name, None)
            end = yield from self.sequence(step.steps)
            if end:
                return end
            rounds.append({"item": item} | {name: self.scope["steps"][name] for name in inner})
        for name in (step.item, "round"):
            self.scope.pop(name, None)
        self.scope |= outer
        if step.id:
            ok = all(one[name]["ok"] or one[name]["skipped"] for one in rounds for name in inner)
            self.scope["steps"][step.id] = {"ok": ok, "skipped": False, "count": len(rounds), "results": rounds}
        return None


def _same(asked: CallProposal, done: CallRequest) -> bool:
    if asked.tool != done.tool:
        return False
    if json.dumps(asked.args, sort_keys=True) == json.dumps(done.args, sort_keys=True):
        return True
    return canonical_json(asked.args) == canonical_json(done.args)  # 1.0 may have been stored as 1


def _check_args(playbook: Playbook, call: CallProposal) -> None:
    """Refuse arguments that are no JSON, or too large to be stored and shown."""
    try:
        size = len(canonical_json(call.args))
    except (UserError, UnicodeError) as error:
        text = f"playbook '{playbook.name}': the arguments of {call.tool} are {error}"
        raise PlaybookError(text) from error
    if size > MAX_TEXT:
        raise PlaybookError(f"playbook '{playbook.name}': the arguments of {call.tool} are over {MAX_TEXT} bytes")


def _replayed(playbook: Playbook, exchange: _Exchange, asked: _Asked) -> _Answers:
    """What the history answers to calls, after checking that they are the calls it holds."""
    if len(asked) != len(exchange.calls) or not all(map(_same, asked, exchange.calls)):
        raise PlaybookError(
            f"playbook '{playbook.name}': the playbook changed during the run: "
            f"it asked for {', '.join(call.tool for call in exchange.calls)} (call {exchange.calls[0].call_no}), "
            f"and would now ask for {', '.join(call.tool for call in asked)}",
            hint="interlock tasks retry ID",
        )
    missing = [call.call_no for call in exchange.calls if call.call_no not in exchange.observations]
    if missing:
        raise Bug(f"a model was asked while call {missing[0]} has no answer")
    return _Answers(tuple(exchange.observations[call.call_no] for call in exchange.calls), exchange.noted)


def answer(playbook: Playbook, request: ModelRequest) -> ModelAnswer:
    """What the playbook asks for next, given the history of the run; the same history gives the same answer.

    Raises:
        PlaybookError: a template or condition can't be evaluated, a bound is reached, or the calls in the history
            are not those of this playbook.
        PlaybookFailed: a step failed and the playbook stops at failures, or it says so itself.
    """
    history = _read(request.turns)
    scope: dict[str, Any] = {
        "request": history.request.text,
        "inputs": history.request.inputs,
        "vars": {},
        "steps": {},
        "notes": [],
    }
    machine = _Machine(playbook, scope)
    running = machine.run()
    answers: _Answers | None = None
    try:
        for exchange in history.exchanges:
            scope["notes"] = list(exchange.notes)
            asked = next(running) if answers is None else running.send(answers)
            answers = _replayed(playbook, exchange, asked)
            machine.said.clear()
        scope["notes"] = list(history.notes)
        asked = next(running) if answers is None else running.send(answers)
    except StopIteration as over:
        return _ended(playbook, history, machine, str(over.value))
    for call in asked:
        _check_args(playbook, call)
    return ModelAnswer("\n".join(machine.said), asked, f"playbook:{playbook.name}")


def _ended(playbook: Playbook, history: _History, machine: _Machine, text: str) -> ModelAnswer:
    if machine.calls_asked < sum(len(exchange.calls) for exchange in history.exchanges):
        raise PlaybookError(
            f"playbook '{playbook.name}': the playbook changed during the run: it ends before calls it made",
            hint="interlock tasks retry ID",
        )
    return ModelAnswer("\n".join([*machine.said, text]), (), f"playbook:{playbook.name}")
