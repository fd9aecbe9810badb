"""`interlock schedules`: list, pause, resume, trigger."""

import sys
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json
from interlock.cli.output import emit, paint_for, terminal_width
from interlock.cli.views.schedules import schedules_table
from interlock.config import SystemClock

Name: TypeAlias = Annotated[str, Parameter(help="A schedule's name, as in interlock.yaml.")]


def list_schedules(*, json: Json = False) -> int:
    """The schedules: when the next task comes, and what became of the last one."""
    with connected() as client:
        items = client.schedules()
    paint, width = paint_for(sys.stdout), terminal_width(sys.stdout)
    emit({"items": items}, schedules_table(items, SystemClock().now(), paint, width), as_json=json)
    return edge.OK


def pause(name: Name, /, *, json: Json = False) -> int:
    """Submit nothing of a schedule until it is resumed."""
    with connected() as client:
        found = client.pause_schedule(name)
    said = f"paused: {name}" if found["changed"] else f"{name} was paused already"
    emit(found, [said, f"next: interlock schedules resume {name}"], as_json=json)
    return edge.OK


def resume(name: Name, /, *, json: Json = False) -> int:
    """Let a schedule go on from now; what was due while it was paused is left out."""
    with connected() as client:
        found = client.resume_schedule(name)
    said = f"resumed: {name}" if found["changed"] else f"{name} was not paused"
    emit(found, [said, "next: interlock schedules list"], as_json=json)
    return edge.OK


def trigger(name: Name, /, *, json: Json = False) -> int:
    """Submit the task of a schedule now, also of a paused one; its ticks stay as they are."""
    with connected() as client:
        task = client.trigger_schedule(name)
    emit(task, [f"task {task['id']}", f"next: interlock tasks watch {task['id'][-8:]}"], as_json=json)
    return edge.OK
