"""Waits for a task, says on stderr how it goes, and turns its state into an exit status."""

from typing import TYPE_CHECKING, Any

from interlock.cli import edge
from interlock.cli.output import progress
from interlock.cli.words import one_line, short

if TYPE_CHECKING:
    from interlock.client import Client

STATUS_OF = {
    "completed": edge.OK,
    "rejected": edge.DENIED,
    "waiting_approval": edge.WAITING,
    "failed": edge.FAILED,
    "timed_out": edge.FAILED,
    "cancelled": edge.FAILED,
    "escalated": edge.FAILED,
}


def wait_for(client: "Client", task_id: str, *, quiet: bool) -> dict[str, Any]:
    """Follow a task until it is final or needs a person; its whole story then. Ctrl-C ends the waiting, not the task."""
    try:
        return _follow(client, task_id, quiet=quiet)
    except KeyboardInterrupt:
        name = short(task_id)
        progress(f"task {name} goes on; interlock tasks watch {name}, or to stop it: interlock tasks cancel {name}")
        raise


def _follow(client: "Client", task_id: str, *, quiet: bool) -> dict[str, Any]:
    last = ""
    for event in client.events(task_id):
        if event.get("event") != "state" or quiet:
            continue
        said = f"{event.get('state')}: {one_line(event.get('state_reason') or '', 120)}"
        if said != last:
            progress(said)
        last = said
    return dict(client.task(task_id))


def status_of(task: dict[str, Any]) -> int:
    """The exit status that a task's state stands for; 0 while it is under way."""
    return STATUS_OF.get(task["state"], edge.OK)
