"""`interlock tasks`: list, show, watch, export, cancel, retry, resolve."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json, Reason, WholeNumber
from interlock.cli.output import emit, paint_for, stream_line, terminal_width
from interlock.cli.views.tasks import event_line, next_step, task_line, task_page, tasks_table
from interlock.cli.views.timeline import timeline_page
from interlock.cli.waiting import status_of
from interlock.cli.words import count, short
from interlock.config import SystemClock
from interlock.model import UserError

TaskId: TypeAlias = Annotated[str, Parameter(help="A task's id, or a part of it that only it has.")]
Resolution: TypeAlias = Literal["retry", "accept", "fail", "continue", "answer", "change"]
_PAGE = 200


def list_tasks(
    *,
    state: Annotated[str | None, Parameter(help="Only tasks in this state, such as escalated.")] = None,
    agent: Annotated[str | None, Parameter(help="Only tasks of this agent.")] = None,
    limit: Annotated[int, Parameter(help="How many at most.")] = 20,
    json: Json = False,
) -> int:
    """List tasks, newest first."""
    if not 1 <= limit <= 10_000:
        raise UserError(f"--limit: {limit} is not between 1 and 10000", hint="interlock tasks list --limit 20")
    items: list[dict[str, Any]] = []
    following: str | None = None
    with connected() as client:
        while True:
            size = min(_PAGE, limit - len(items))
            page = client.tasks(state=state, agent=agent, cursor=following, limit=size)
            items += [dict(item) for item in page["items"]]
            following = page["next"]
            if following is None or len(items) >= limit:
                break
    lines = tasks_table(items, SystemClock().now(), paint_for(sys.stdout), terminal_width(sys.stdout))
    if following is not None:
        lines.append(f"… and older ones: interlock tasks list --limit {limit * 5}")
    emit({"items": items, "next": following}, lines, as_json=json)
    return edge.OK


def show(
    task: TaskId,
    /,
    *,
    timeline: Annotated[
        bool,
        Parameter(negative="", help="Only what happened when, and how long it took."),
    ] = False,
    json: Json = False,
) -> int:
    """The whole story of a task: state and why, request, runs, calls with their decisions and effects, result."""
    with connected() as client:
        story: dict[str, Any] = dict(client.task(task))
    paint = paint_for(sys.stdout)
    page = timeline_page(story, paint, terminal_width(sys.stdout)) if timeline else task_page(story, paint)
    emit(story, page, as_json=json)
    return edge.OK


def watch(task: TaskId, /, *, json: Json = False) -> int:
    """Follow a task as it happens, until it is final or waits for a person.

    With --json one JSON object per line. The exit status says how the task stands, as with `submit --wait`.
    """
    paint = paint_for(sys.stdout)
    with connected() as client:
        for event in client.events(task):
            if json:
                stream_line(dict(event))
            else:
                print(event_line(dict(event), paint), flush=True)
        story: dict[str, Any] = dict(client.task(task))
    step = next_step(story)
    if step and not json:
        print(f"next: {step}")
    return status_of(story)


def export(
    task: TaskId,
    /,
    *,
    run: Annotated[WholeNumber | None, Parameter(help="Only the run of this number.")] = None,
    out: Annotated[
        Path | None, Parameter(help="Write to this file, which must not exist yet; only you can read it.")
    ] = None,
    json: Json = False,
) -> int:
    """Print the runs of a task as recorded runs, a line of JSON at a time: to replay, and to try policies on.

    What looks like a secret is replaced; everything else is as it was, so look before you pass it on.
    """
    if run is not None and run < 1:
        raise UserError(f"--run: {run} is no run; the first one is 1", hint="interlock tasks show ID")
    with connected() as client:
        lines = client.export_task(task, run=run)
        if out is None:
            for line in lines:  # JSON, with --json or without
                print(line)
            return edge.OK
        number = _write_private(out, lines)
    said = f"wrote {count(number, 'line')} to {out}"
    emit({"output": str(out), "lines": number}, [said], as_json=json)
    return edge.OK


def _write_private(path: Path, lines: Iterable[str]) -> int:
    """Write lines to a new file that only its owner reads; how many. What can't be finished is not left behind."""
    hint = "name a file that does not exist yet"
    lines = iter(lines)
    first = next(lines, None)  # an error of the server comes before there is a file
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(f"--out: {path}: {error.strerror}", hint=hint) from error
    number = 0
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for line in chain(() if first is None else (first,), lines):
                file.write(line + "\n")
                number += 1
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return number


def cancel(task: TaskId, /, *, json: Json = False) -> int:
    """Cancel a task: at once if it waits, within a second or two if it runs."""
    with connected() as client:
        found: dict[str, Any] = dict(client.cancel(task))
    lines = [task_line(found, paint_for(sys.stdout))]
    if found["state"] != "cancelled":
        lines.append("it is being stopped")
    emit(found, lines, as_json=json)
    return edge.OK


def retry(task: TaskId, /, *, reason: Reason = "", json: Json = False) -> int:
    """Run an escalated task again, or make a new task like one that is final."""
    with connected() as client:
        found: dict[str, Any] = dict(client.retry(task, reason=reason))
    word = "a new task" if found["created"] else "another run"
    lines = [f"{word}: {task_line(found, paint_for(sys.stdout))}", f"next: interlock tasks watch {short(found['id'])}"]
    emit(found, lines, as_json=json)
    return edge.OK


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Choice:
    """What becomes of the task; exactly one.

    Attributes:
        accept: Its result is good: completed.
        retry: Another run.
        fail: It failed.
        answer: The same run goes on, and reads this.
        change: Another run, with this as its request.
    """

    accept: Annotated[bool, Parameter(negative="")] = False
    retry: Annotated[bool, Parameter(negative="")] = False
    fail: Annotated[bool, Parameter(negative="")] = False
    go_on: Annotated[bool, Parameter(name="--continue", negative="", help="The same run goes on.")] = False
    answer: str | None = None
    change: str | None = None


_NONE = Choice()


def resolve(task: TaskId, /, *, choice: Choice = _NONE, reason: Reason = "", json: Json = False) -> int:
    """Decide about an escalated task, in exactly one way; all but --answer and --change need a reason."""
    chosen = resolution_of(choice)
    text = choice.answer or choice.change or ""
    with connected() as client:
        found: dict[str, Any] = dict(client.resolve(task, chosen, reason=reason, text=text))
    emit(found, [task_line(found, paint_for(sys.stdout))], as_json=json)
    return edge.OK


def resolution_of(choice: Choice) -> Resolution:
    """The one that was chosen.

    Raises:
        UserError: none or several were.
    """
    flags: dict[Resolution, bool] = {
        "accept": choice.accept,
        "retry": choice.retry,
        "fail": choice.fail,
        "continue": choice.go_on,
        "answer": choice.answer is not None,
        "change": choice.change is not None,
    }
    chosen = [name for name, given in flags.items() if given]
    if len(chosen) != 1:
        found = " and ".join(f"--{name}" for name in chosen) or "none"
        raise UserError(
            f"expected exactly one of --accept, --retry, --fail, --continue, --answer, --change; found {found}",
            hint="interlock tasks resolve ID --accept --reason TEXT",
        )
    return chosen[0]
