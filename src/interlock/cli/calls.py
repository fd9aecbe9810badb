"""`interlock calls`: show one, or say whether one in doubt took effect."""

import base64
import hashlib
import sys
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json, Reason
from interlock.cli.output import emit, paint_for
from interlock.cli.views.calls import call_page
from interlock.cli.words import clean, short, size
from interlock.model import ServerUnavailable, UserError

CallId: TypeAlias = Annotated[str, Parameter(help="A call's id, or a part of it that only it has.")]
_HINT = "interlock calls resolve CALL --done|--not-done --reason TEXT"


def show(
    call: CallId,
    /,
    *,
    artifact: Annotated[str | None, Parameter(help="Get this artifact: its hash, or the beginning of it.")] = None,
    output: Annotated[Path | None, Parameter(help="Write the artifact to this file, which must not exist yet.")] = None,
    json: Json = False,
) -> int:
    """One call: arguments, decision and why, effect, result, undo; or an artifact of it, byte for byte."""
    if output is not None and artifact is None:
        raise UserError("--output goes with --artifact", hint="interlock calls show CALL --artifact SHA --output FILE")
    with connected() as client:
        found: dict[str, Any] = dict(client.call(call))
        if artifact is not None:
            return _save(artifact, client.artifact(call, artifact), output, as_json=json)
    emit(found, call_page(found, paint_for(sys.stdout)), as_json=json)
    return edge.OK


def _save(name: str, body: bytes, output: Path | None, *, as_json: bool) -> int:
    """Hand an artifact over: into a file, as JSON, or as it is; a terminal gets text only, without control characters."""
    sha256 = hashlib.sha256(body).hexdigest()
    about = {"sha256": sha256, "size_bytes": len(body)}
    if not sha256.startswith(name.lower()):
        raise ServerUnavailable(f"what the server sent is not the artifact {name[:64]}", hint="interlock doctor")
    if output is not None:
        try:
            with output.open("xb") as file:
                file.write(body)
        except OSError as error:
            raise UserError(
                f"--output: {output}: {error.strerror}", hint="name a file that does not exist yet"
            ) from error
        emit({**about, "output": str(output)}, [f"wrote {size(len(body))} to {output}"], as_json=as_json)
    elif as_json:
        emit({**about, "base64": base64.b64encode(body).decode()}, [], as_json=True)
    elif sys.stdout.isatty():
        try:
            print(clean(body.decode()))
        except UnicodeDecodeError as error:
            hint = f"interlock calls show CALL --artifact {sha256[:12]} --output FILE"
            raise UserError("the artifact is no text, so it is not shown on a terminal", hint=hint) from error
    else:
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
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
