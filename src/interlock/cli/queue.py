"""`interlock queue`: pause, resume and drain it: tasks are taken in as ever, and begin when it is over."""

import time
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json, Reason
from interlock.cli.output import emit
from interlock.config import parse_duration_s
from interlock.model import ServerUnavailable, UserError

if TYPE_CHECKING:
    from interlock.client import Client

Agent: TypeAlias = Annotated[str | None, Parameter(help="Only the tasks of this agent.")]
LOOK_EVERY_S = 0.5
MAX_LISTED = 200
RUNNING = ("running", "verifying")


def pause(*, agent: Agent = None, reason: Reason, json: Json = False) -> int:
    """Let no task begin. What runs goes on; what is submitted waits."""
    scope = scope_of(agent)
    with connected() as client:
        found: dict[str, Any] = dict(client.halt(scope, reason=reason))
    emit(found, [f"paused: {scope}", f"next: interlock queue resume{_option(agent)}"], as_json=json)
    return edge.OK


def resume(*, agent: Agent = None, json: Json = False) -> int:
    """Let tasks begin again."""
    scope = scope_of(agent)
    with connected() as client:
        found: dict[str, Any] = dict(client.resume(scope))
    emit(found, [f"resumed: {scope}" if found["changed"] else f"{scope} was not paused"], as_json=json)
    return edge.OK


def drain(
    *,
    agent: Agent = None,
    timeout: Annotated[str, Parameter(help="How long to wait for what runs.")] = "15m",
    reason: Reason = "draining",
    json: Json = False,
) -> int:
    """Pause the queue, and wait until nothing runs any more; it stays paused."""
    scope = scope_of(agent)
    try:
        patience_s = parse_duration_s(timeout)
    except ValueError as error:
        raise UserError(f"--timeout: {error}", hint="interlock queue drain --timeout 15m") from error
    until_s = time.monotonic() + patience_s
    with connected() as client:
        client.halt(scope, reason=reason)
        while running := _running(client, agent):
            if time.monotonic() > until_s:
                raise ServerUnavailable(
                    f"{running} tasks still run after {timeout}; the queue stays paused",
                    hint="interlock tasks list --state running",
                )
            time.sleep(LOOK_EVERY_S)
    lines = [f"drained: {scope}; nothing runs", f"next: interlock queue resume{_option(agent)}"]
    emit({"scope": scope, "drained": True}, lines, as_json=json)
    return edge.OK


def _running(client: "Client", agent: str | None) -> int:
    return sum(len(client.tasks(state=state, agent=agent, limit=MAX_LISTED)["items"]) for state in RUNNING)


def scope_of(agent: str | None) -> str:
    """What a pause is about: `queue:all` or `queue:agent:NAME`."""
    return "queue:all" if agent is None else f"queue:agent:{agent}"


def _option(agent: str | None) -> str:
    return f" --agent {agent}" if agent else ""
