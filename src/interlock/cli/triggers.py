"""`interlock triggers`: list, test."""

import os
import sys
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected, server_url
from interlock.cli.options import Json, Project, folder_of
from interlock.cli.output import emit, paint_for, terminal_width
from interlock.cli.views.triggers import delivered_lines, triggers_lines
from interlock.config import Secrets, Settings, SystemClock
from interlock.model import UserError

MAX_FILE_BYTES = 1024 * 1024
Name: TypeAlias = Annotated[str, Parameter(help="A trigger's name, as in interlock.yaml.")]


def list_triggers(*, json: Json = False) -> int:
    """The triggers: where other programs send to, when a task was started last, and what became of all they sent."""
    with connected() as client:
        items = client.triggers()
    paint, width = paint_for(sys.stdout), terminal_width(sys.stdout)
    emit({"items": items}, triggers_lines(items, SystemClock().now(), paint, width), as_json=json)
    return edge.OK


def send_test(
    name: Name,
    /,
    *,
    file: Annotated[Path, Parameter(name="--file", help="What to send; - for standard input.")],
    project: Project = None,
    json: Json = False,
) -> int:
    """Prove a payload with the secret of a trigger and send it to the running server, as another program would.

    The task that it starts is a real one.
    """
    from interlock.app import check_project, signed_headers
    from interlock.client import Client

    body = _read(file)
    settings, checked = Settings.from_env(os.environ), check_project(folder_of(project), os.environ)
    headers = signed_headers(checked, Secrets(settings.home, os.environ), name, body, SystemClock())
    with Client(server_url(settings), None) as client:  # without the token: the proof alone must do
        found = client.deliver(name, body, headers)
    emit(found, delivered_lines(found), as_json=json)
    return edge.OK


def _read(file: Path) -> bytes:
    try:
        if str(file) == "-":
            body = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with file.open("rb") as source:
                body = source.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}", hint=f"ls -l {file}") from error
    if len(body) > MAX_FILE_BYTES:
        raise UserError(f"{file} is larger than {MAX_FILE_BYTES} bytes, which no trigger takes")
    return body
