"""`interlock approvals`, `approve` and `deny`: questions to people, and the answers."""

import sys
from typing import Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json, Reason, Yes
from interlock.cli.output import asked_yes, emit, interactive, paint_for, progress, terminal_width
from interlock.cli.views.approvals import approval_page, approvals_table
from interlock.cli.words import short
from interlock.config import SystemClock
from interlock.model import Conflict, UserError

ApprovalId: TypeAlias = Annotated[str, Parameter(help="An approval's id, or a part of it that only it has.")]


def list_approvals(
    *,
    everything: Annotated[bool, Parameter(name="--all", negative="", help="Those that are decided, too.")] = False,
    json: Json = False,
) -> int:
    """Questions that wait for a person, oldest first."""
    with connected() as client:
        items: list[dict[str, Any]] = [dict(item) for item in client.approvals(everything=everything)]
    paint, width = paint_for(sys.stdout), terminal_width(sys.stdout)
    emit({"items": items}, approvals_table(items, SystemClock().now(), paint, width), as_json=json)
    return edge.OK


def show(approval: ApprovalId, /, *, json: Json = False) -> int:
    """One question with all that it is about: tool, arguments, files, diff, and why it is asked."""
    with connected() as client:
        found: dict[str, Any] = dict(client.approval(approval))
    lines = approval_page(found, SystemClock().now(), paint_for(sys.stdout))
    if found["state"] == "pending":
        name = short(found["id"])
        lines.append(f"next: interlock approve {name}   or   interlock deny {name} --reason TEXT")
    emit(found, lines, as_json=json)
    return edge.OK


def approve(approval: ApprovalId, /, *, reason: Reason = "", yes: Yes = False, json: Json = False) -> int:
    """Show what would happen, and agree to exactly that, once.

    On a terminal it asks first, unless --yes is given. What is sent is the hash of what was shown: if anything else
    would happen by now, the approval is refused.
    """
    return _decide(approval, "approve", reason, yes=yes, as_json=json)


def deny(approval: ApprovalId, /, *, reason: Reason, json: Json = False) -> int:
    """Refuse a call; the agent is told the reason and goes on without it."""
    if not reason.strip():
        raise UserError(
            "--reason: say why; the agent is told, and it is recorded", hint="interlock deny ID --reason TEXT"
        )
    return _decide(approval, "deny", reason, yes=True, as_json=json)


def _decide(approval: str, decision: Literal["approve", "deny"], reason: str, *, yes: bool, as_json: bool) -> int:
    with connected() as client:
        seen: dict[str, Any] = dict(client.approval(approval))
        if seen["state"] != "pending":
            raise Conflict(
                f"approval {short(seen['id'])} is {seen['state']}, so there is nothing to decide",
                hint=f"interlock approvals show {short(seen['id'])}",
            )
        if decision == "approve" and not as_json:
            progress("\n".join(approval_page(seen, SystemClock().now(), paint_for(sys.stderr))))
        if decision == "approve" and not yes and interactive() and not asked_yes("Approve exactly this, once?"):
            progress("nothing was decided")
            return edge.WAITING
        found: dict[str, Any] = dict(
            client.decide(seen["id"], decision, binding_sha256=seen["binding_sha256"], reason=reason or None)
        )
    lines = [
        f"approval {short(found['id'])} is {paint_for(sys.stdout).state(found['state'])}",
        f"next: interlock tasks watch {short(found['task'])}",
    ]
    emit(found, lines, as_json=as_json)
    return edge.OK
