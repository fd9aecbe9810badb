"""`interlock undo`: takes back the effects of a task or of one call."""

import sys
from typing import Annotated, Any

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json, Wait
from interlock.cli.output import emit, paint_for
from interlock.cli.submit import outcome_lines
from interlock.cli.views.approvals import undo_lines
from interlock.cli.views.tasks import task_line
from interlock.cli.waiting import status_of, wait_for
from interlock.cli.words import short


def undo(
    target: Annotated[str, Parameter(help="The id of a task, or of one of its calls.")],
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Only say what would be done.")] = False,
    wait: Wait = False,
    json: Json = False,
) -> int:
    """Take back the effects of a task, last one first, or the effect of one call.

    It is a task of its own, through the same gate; each step is verified by comparing states. What somebody else
    changed since is left as it is, and said.
    """
    paint = paint_for(sys.stdout)
    with connected() as client:
        if client.which(target) == "task":
            plan: dict[str, Any] = dict(client.undo_task(target, dry_run=dry_run))
        else:
            plan = dict(client.undo_call(target, dry_run=dry_run))
        lines = undo_lines(plan, paint)
        task = plan["task"]
        if task is None:
            emit(plan, ["would take back:", *lines], as_json=json)
            return edge.OK
        if not wait:
            lines = ["takes back:", *lines, task_line(task, paint)]
            emit(plan, [*lines, f"next: interlock tasks watch {short(task['id'])}"], as_json=json)
            return edge.OK
        story = wait_for(client, task["id"], quiet=json)
    emit({**plan, "task": story}, [*lines, *outcome_lines(story, paint)], as_json=json)
    return status_of(story)
