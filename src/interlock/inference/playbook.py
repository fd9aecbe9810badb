"""A playbook as data: what `playbooks/*.yaml` becomes after it was read and checked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from interlock.inference.conditions import Condition, shown_value
from interlock.inference.expressions import Template

MAX_CALLS = 1_000  # calls in one run
MAX_STEPS = 10_000  # steps carried out in one run
MAX_LOOP = 1_000  # rounds of one loop
MAX_RETRIES = 20

OnError: TypeAlias = Literal["stop", "continue"]
TextKind: TypeAlias = Literal["say", "result", "fail"]


@dataclass(frozen=True)
class Place:
    """Where a step stands: its id, or what it is when it has none, and its line."""

    name: str
    line: int

    def __str__(self) -> str:
        return f"step '{self.name}' (line {self.line})"


@dataclass(frozen=True)
class CallSpec:
    """One call: `args` and `reason` may hold templates; `id` names its outcome, empty if it has none."""

    id: str
    tool: str
    args: dict[str, Any]
    reason: Template


@dataclass(frozen=True)
class CallStep:
    """Calls that are asked for in one turn; those that fail are repeated up to `retries` times."""

    place: Place
    calls: tuple[CallSpec, ...]
    when: Condition | None
    on_error: OnError
    retries: int


@dataclass(frozen=True)
class LoopStep:
    """Steps for each item of a list; `limit` takes the first so many, without it a longer list is an error."""

    place: Place
    id: str
    item: str
    source: Any
    where: Condition | None
    limit: int | None
    steps: tuple["Step", ...]
    when: Condition | None


@dataclass(frozen=True)
class BlockStep:
    """Steps when a condition holds, others when it does not."""

    place: Place
    when: Condition
    steps: tuple["Step", ...]
    otherwise: tuple["Step", ...]


@dataclass(frozen=True)
class SetStep:
    """Gives variables new values."""

    place: Place
    values: dict[str, Any]
    when: Condition | None


@dataclass(frozen=True)
class TextStep:
    """A text: said beside the next call, or ending the playbook as its result or as a failure."""

    place: Place
    kind: TextKind
    text: Template
    when: Condition | None


Step: TypeAlias = CallStep | LoopStep | BlockStep | SetStep | TextStep


@dataclass(frozen=True)
class Playbook:
    """A whole playbook; `name` is what follows `playbook:` in a model's name."""

    name: str
    description: str
    vars: dict[str, Any]
    steps: tuple[Step, ...]
    result: Template


def inner_steps(step: Step) -> tuple[Step, ...]:
    """The steps directly inside a step."""
    if isinstance(step, LoopStep):
        return step.steps
    if isinstance(step, BlockStep):
        return step.steps + step.otherwise
    return ()


def step_ids(steps: tuple[Step, ...]) -> Iterator[str]:
    """The ids that the steps give outcomes to; those inside a loop are the loop's own."""
    for step in steps:
        if isinstance(step, CallStep):
            yield from (call.id for call in step.calls if call.id)
        elif isinstance(step, LoopStep):
            if step.id:
                yield step.id
        else:
            yield from step_ids(inner_steps(step))


def declared_calls(playbook: Playbook) -> list[tuple[str, dict[str, Any]]]:
    """Every call a playbook can ask for, in order: `(tool, args)`, templates as they were written."""
    found: list[tuple[str, dict[str, Any]]] = []

    def visit(steps: tuple[Step, ...]) -> None:
        for step in steps:
            if isinstance(step, CallStep):
                found.extend((call.tool, shown_value(call.args)) for call in step.calls)
            visit(inner_steps(step))

    visit(playbook.steps)
    return found
