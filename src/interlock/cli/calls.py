"""`interlock calls`: show one, or say whether one in doubt took effect."""

import sys
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json, Reason
from interlock.cli.output import emit, paint_for
from interlock.cli.views.calls import call_page
from interlock.cli.words import short
from interlock.model import UserError

CallId: TypeAlias = Annotated[str, Parameter(help="A call's id, or a part of it that only it has.")]
_HINT = "interlock calls resolve CALL --done|--not-done --reason TEXT"


def show(call: CallId, /, *, json: Json = False) -> int:
    """One call: arguments, decision and why, effect, result, undo."""
    with connected() as client:
        found: dict[str, Any] = dict(client.call(call))
    emit(found, call_page(found, paint_for(sys.stdout)), as_json=json)
    return edge.OK


def resolve(
    call: CallId,
    /,
    *,
    done: Annotated[bool, Parameter(negative="", help="It took effect.")] = False,
    not_done: Annotated[bool, Parameter(negative="", help="It took no effect; it may be made again.")] = False,
    reason: Reason,
    json: Json = False,
) -> int:
    """Say whether a call in doubt took effect, and how you know; its task goes on."""
    if done == not_done:
        raise UserError("expected exactly one of --done and --not-done", hint=_HINT)
    with connected() as client:
        found: dict[str, Any] = dict(client.resolve_call(call, "done" if done else "not_done", reason=reason))
    state = paint_for(sys.stdout).state(found["state"])
    lines = [f"call {short(found['id'])} is {state}", f"next: interlock tasks watch {short(found['task'])}"]
    emit(found, lines, as_json=json)
    return edge.OK
