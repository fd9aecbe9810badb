"""Tasks as lines: the list, and the whole story of one."""

import datetime
from typing import Any

from interlock.cli.output import Paint, fields, table
from interlock.cli.views.calls import call_lines
from interlock.cli.words import age, block, clean, compact, count, moment, one_line, short, span, time_of_day
from interlock.model import TaskState, meaning_of

_NO_CAP = 1e9  # a person agreed to more than the limit
_INDENT = 13
FINAL = frozenset({"completed", "failed", "cancelled", "timed_out", "rejected"})


def tasks_table(items: list[dict[str, Any]], now: datetime.datetime, paint: Paint, width: int | None) -> list[str]:
    """Tasks, newest first."""
    if not items:
        return ['no tasks; interlock submit "TEXT" --agent A makes one']
    rows = [
        [
            short(item["id"]),
            item["state"],
            item["agent"],
            f"{item['run']}/{item['max_runs']}",
            age(item["created_at"], now),
            one_line(item["state_reason"], 200),
        ]
        for item in items
    ]
    return table(["id", "state", "agent", "run", "age", "why"], rows, paint, width)


def task_line(task: dict[str, Any], paint: Paint) -> str:
    """A task in one line."""
    reason = one_line(task.get("state_reason") or "", 200)
    return f"task {short(task['id'])}  {paint.state(task['state'])}" + (f": {reason}" if reason else "")


def task_page(task: dict[str, Any], paint: Paint) -> list[str]:
    """State and why, request, runs, timeline, result, and what to type next."""
    lines = [f"task {paint(short(task['id']), 'bold')}  {paint.state(task['state'])}", *fields(_facts(task), paint)]
    if len(task.get("runs") or []) > 1 or any(run.get("note") for run in task.get("runs") or []):
        lines += ["", paint("runs", "dim"), *[_run_line(run, paint) for run in task["runs"]]]
    story = timeline(task, paint)
    if story:
        lines += ["", paint("what happened", "dim"), *story]
    if task.get("allowances"):
        lines += ["", paint("used", "dim"), *[_allowance_line(row) for row in task["allowances"]]]
    result = task.get("result")
    if result is not None:
        text = result if isinstance(result, str) else str(result.get("text", compact(result, 2000)))
        lines += ["", paint("result", "dim"), *block(text, 2), *_check_lines(result, paint)]
    step = next_step(task)
    return [*lines, "", f"next: {step}"] if step else lines


def _check_lines(result: Any, paint: Paint) -> list[str]:
    """What became of each check of the result."""
    words = {True: ("passed", "green"), False: ("failed", "red"), None: ("open", "yellow")}
    made = result.get("checks") or [] if isinstance(result, dict) else []
    lines = []
    for check in made:
        word, colour = words[check.get("passed")]
        told = f": {one_line(check['detail'], 200)}" if check.get("detail") and not check.get("passed") else ""
        lines.append(f"  {paint(word, colour)}  check {check['check']}: {one_line(check['what'], 100)}{told}")
    return lines


def _facts(task: dict[str, Any]) -> list[tuple[str, str | None]]:
    inputs = task.get("inputs") or {}
    undo_of = task.get("undo_of") or {}
    children = task.get("children") or []
    return [
        ("state", meaning_of(TaskState(task["state"]), task.get("parked"))),
        ("why", clean(task.get("state_reason") or "")),
        ("agent", f"{task['agent']}, priority {task['priority']}, run {task['run']} of {task['max_runs']}"),
        ("asked", f"{moment(task.get('created_at'))} by {clean(task.get('submitted_by') or '')}"),
        ("not before", moment(task["not_before"]) if task.get("not_before") else None),
        ("worked", span(task["worked_s"]) if task.get("worked_s") else None),
        ("ended", moment(task["finished_at"]) if task.get("finished_at") else None),
        ("worker", task.get("worker")),
        ("crashes", f"{count(task['crashes'], 'worker')} lost" if task.get("crashes") else None),
        ("part of", short(task["parent"]) if task.get("parent") else None),
        ("brought about", ", ".join(f"{short(one['id'])} {one['agent']} {one['state']}" for one in children) or None),
        ("retry of", short(task["retry_of"]) if task.get("retry_of") else None),
        ("undo of", short(undo_of.get("call") or undo_of.get("task")) if undo_of else None),
        ("request", clean(task.get("text") or "")),
        ("inputs", compact(inputs, 400) if inputs else None),
        ("id", task["id"]),
    ]


def _run_line(run: dict[str, Any], paint: Paint) -> str:
    outcome = paint.state(run.get("outcome") or "running")
    times = f"{time_of_day(run.get('started_at'))} to {time_of_day(run.get('ended_at'))}"
    start = "starts clean" if run.get("clean") else "goes on with what the run before did"
    note = f": {one_line(run['note'], 160)}" if run.get("note") else ""
    return f"  {run['run']}  {outcome}  {times}  {start}{note}"


def _allowance_line(row: dict[str, Any]) -> str:
    cap = f" of {row['cap']:g}" if row.get("cap") is not None and row["cap"] < _NO_CAP else ""
    return f"  {row['resource']}: {row['used']:g}{cap}"


def timeline(task: dict[str, Any], paint: Paint) -> list[str]:
    """Turns and calls in order, each with its time."""
    calls = {call["call_no"]: call for call in task.get("calls") or []}
    lines: list[str] = []
    for turn in task.get("turns") or []:
        first, *more = _turn_lines(turn, calls, paint) or [""]
        if first:
            lines.append(f"  {paint(time_of_day(turn.get('at')), 'dim')}  {first}")
            lines += [f"{'':{_INDENT}}{line}" for line in more]
    asked = {request["call_no"] for turn in task.get("turns") or [] for request in turn["body"].get("calls") or []}
    for number in sorted(set(calls) - asked):  # calls of the verifier, which no model asked for
        at = paint(time_of_day(calls[number].get("created_at")), "dim")
        first, *more = call_lines(calls[number], paint)
        lines += [f"  {at}  check {first}", *[f"{'':{_INDENT}}{line}" for line in more]]
    return lines


def _turn_lines(turn: dict[str, Any], calls: dict[int, dict[str, Any]], paint: Paint) -> list[str]:
    body = turn["body"]
    match turn["kind"]:
        case "request":
            return ["asked: " + one_line(body.get("text") or "", 120)]
        case "note":
            return ["note: " + one_line(body.get("text") or "", 200)]
        case "observation":
            word = "answer" if body.get("ok") else paint("error", "red")
            return [f"#{body['call_no']} {word}: {one_line(body.get('text') or '', 160)}"]
        case _:
            return _model_lines(body, calls, paint)


def _model_lines(body: dict[str, Any], calls: dict[int, dict[str, Any]], paint: Paint) -> list[str]:
    usage = body.get("usage") or {}
    tokens = int(usage.get("input_tokens") or 0) + int(usage.get("output_tokens") or 0)
    says = one_line(body.get("text") or "", 160)
    lines = [f"{clean(body.get('model') or 'model')}{f' ({tokens} tokens)' if tokens else ''}: {says or 'calls tools'}"]
    for request in body.get("calls") or []:
        known = calls.get(request["call_no"])
        lines += (
            call_lines(known, paint)
            if known
            else [f"#{request['call_no']} {clean(request['tool'])}  not yet looked at"]
        )
    return lines


def next_step(task: dict[str, Any]) -> str | None:
    """The command that fits the state of a task."""
    name, state = short(task["id"]), task["state"]
    calls = task.get("calls") or []
    if state == "waiting_approval":
        held = [call for call in calls if call["state"] == "held" and call.get("approval")]
        return f"interlock approve {short(held[0]['approval'])}" if held else "interlock approvals list"
    if state == "escalated":
        doubtful = [call for call in calls if call["state"] == "in_doubt"]
        if doubtful:
            return f"interlock calls resolve {short(doubtful[0]['id'])} --done|--not-done --reason TEXT"
        return (
            f"interlock tasks resolve {name} --answer TEXT | --change TEXT,"
            " or --retry|--continue|--accept|--fail --reason TEXT"
        )
    if state not in FINAL:
        return f"interlock tasks watch {name}"
    if any(call.get("is_effect") and call.get("undo") == "none" for call in calls) and task.get("kind") != "undo":
        return f"interlock undo {name}"
    if state != "completed" and task.get("kind") != "undo":
        return f"interlock tasks retry {name}"
    return None


def event_line(event: dict[str, Any], paint: Paint) -> str:
    """One thing that happened to a task, as `tasks watch` shows it."""
    if event.get("event") == "state":
        return f"{paint.state(event['state'])}: {one_line(event.get('state_reason') or '', 160)}"
    detail = event.get("detail") or {}
    subject = event.get("subject") or {}
    words = [
        str(detail[name])
        for name in ("tool", "model", "from", "to", "decision", "outcome", "reason")
        if detail.get(name)
    ]
    number = f"#{subject['call_no']} " if subject.get("call_no") is not None else ""
    told = number + one_line(" ".join(words), 160)
    actor = paint(clean(event.get("actor") or ""), "dim")
    return f"{time_of_day(event.get('at'))}  {event.get('event', ''):<18} {told}  {actor}"
