"""`interlock submit`: gives an agent a task."""

import json as json_format
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json, Wait, WholeNumber
from interlock.cli.output import Paint, emit, paint_for
from interlock.cli.views.tasks import next_step, task_line
from interlock.cli.waiting import status_of, wait_for
from interlock.cli.words import block, short
from interlock.model import UserError

if TYPE_CHECKING:
    from interlock.client import Client

_CHECK_HINT = """interlock submit "TEXT" --agent A --check '{"effect": "workspace.write"}'"""
_HINT = 'interlock submit "TEXT" --agent A --input name=value'


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """How a task is taken in.

    Attributes:
        priority: 0 to 9; 0 goes first, 5 is usual.
        dedupe_key: Tasks with an equal key are one task until it is final.
        delay: Start after this time, such as 10s or 5m.
        at: Start at this moment, such as 2026-12-24T18:00:00Z.
        max_duration: Working time after which it is stopped, such as 5m.
        input: An input as name=text or name:=JSON; may be repeated. Inputs are data, never instructions.
        check: What the result must pass, as JSON such as {"effect": "workspace.write"}; may be repeated.
    """

    priority: WholeNumber | None = None
    dedupe_key: str | None = None
    delay: str | None = None
    at: str | None = None
    max_duration: str | None = None
    input: Annotated[list[str], Parameter(negative="")] = field(default_factory=list)
    check: Annotated[list[str], Parameter(negative="")] = field(default_factory=list)


LEAST_URGENT = 9
_USUAL = Options()


def submit(
    text: Annotated[str, Parameter(help="What the agent shall do.")],
    /,
    *,
    agent: Annotated[str, Parameter(help="Which agent; see: interlock agents list.")],
    options: Options = _USUAL,
    wait: Wait = False,
    json: Json = False,
) -> int:
    """Give an agent a task.

    An equal task that is not final yet is not taken in twice: it comes back instead. With --wait the exit status says
    how the task ended: 0 completed, 1 failed, 3 rejected, 4 waiting for your approval.
    """
    asked = options_of(options)
    with connected() as client:
        task: dict[str, Any] = dict(client.submit(text, agent=agent, **asked))
        if wait:
            return _outcome(client, task, as_json=json)
    emit(task, _lines(task, paint_for(sys.stdout)), as_json=json)
    return edge.OK


def _outcome(client: "Client", task: dict[str, Any], *, as_json: bool) -> int:
    """Wait for the task, print how it ended and what to type next."""
    story = wait_for(client, task["id"], quiet=as_json)
    known = [] if task["created"] else ["an equal task was there already, and is not final; this is how it stands:"]
    lines = [*known, *outcome_lines(story, paint_for(sys.stdout))]
    emit({**story, "created": task["created"]}, lines, as_json=as_json)
    return status_of(story)


def _lines(task: dict[str, Any], paint: Paint) -> list[str]:
    word = "" if task["created"] else "  (an equal task was there already; nothing new was made)"
    return [task_line(task, paint) + word, f"next: interlock tasks watch {short(task['id'])}"]


def outcome_lines(story: dict[str, Any], paint: Paint) -> list[str]:
    """How a task that was waited for stands: state, result, and what to type next."""
    lines = [task_line(story, paint)]
    result = story.get("result")
    if isinstance(result, dict) and result.get("text"):
        lines += block(str(result["text"]), 2)
    step = next_step(story)
    return [*lines, f"next: {step}"] if step else lines


def options_of(options: Options) -> Any:
    """The options that were given, as the API takes them.

    Raises:
        UserError: the priority is none, or an input is not name=text or name:=JSON, or comes twice.
    """
    if options.priority is not None and not 0 <= options.priority <= LEAST_URGENT:
        raise UserError(
            f"--priority: {options.priority} is not between 0 (first) and {LEAST_URGENT} (last)", hint=_HINT
        )
    names = ("priority", "dedupe_key", "delay", "at", "max_duration")
    asked: dict[str, Any] = {name: value for name in names if (value := getattr(options, name)) is not None}
    inputs = inputs_of(options.input)
    checks = checks_of(options.check)
    return {**asked, **({"inputs": inputs} if inputs else {}), **({"checks": checks} if checks else {})}


def checks_of(texts: list[str]) -> list[dict[str, Any]]:
    """Checks from JSON objects.

    Raises:
        UserError: one is no JSON object.
    """
    checks: list[dict[str, Any]] = []
    for text in texts:
        try:
            check = json_format.loads(text)
        except ValueError as error:
            raise UserError(f"--check: '{text[:80]}' is no JSON: {error}", hint=_CHECK_HINT) from error
        if not isinstance(check, dict):
            raise UserError(f"--check: '{text[:80]}' is no JSON object", hint=_CHECK_HINT)
        checks.append(check)
    return checks


def inputs_of(texts: list[str]) -> dict[str, Any]:
    """Inputs from `name=text` and `name:=JSON`.

    Raises:
        UserError: one is neither, or a name comes twice.
    """
    inputs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name, is_json = (name[:-1], True) if name.endswith(":") else (name, False)
        if not equals or not name:
            raise UserError(f"--input '{text[:60]}': expected name=text or name:=JSON", hint=_HINT)
        if name in inputs:
            raise UserError(f"--input: '{name}' is given twice", hint=_HINT)
        try:
            inputs[name] = json_format.loads(value, parse_constant=_no_number) if is_json else value
        except ValueError as error:
            raise UserError(f"--input {name}: found no JSON after ':='", hint=_HINT) from error
    return inputs


def _no_number(name: str) -> None:
    """JSON knows no NaN and no Infinity, though Python reads them."""
    raise ValueError(f"{name} is no JSON")
