"""`interlock audit`: list, verify, export."""

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.options import Json, WholeNumber
from interlock.cli.output import emit, paint_for, terminal_width
from interlock.cli.views.audit import records_table, verdict_lines
from interlock.model import UserError

MAX_RECORDS = 1000


def list_records(
    *,
    task: Annotated[str | None, Parameter(help="Only what concerns this task.")] = None,
    limit: Annotated[WholeNumber, Parameter(help="How many at most.")] = 50,
    json: Json = False,
) -> int:
    """The record, newest first: who did what, when and why."""
    if not 1 <= limit <= MAX_RECORDS:
        raise UserError(f"--limit: {limit} is not between 1 and {MAX_RECORDS}", hint="interlock audit list --limit 50")
    with connected() as client:
        items = client.audit(task_id=task, limit=limit)
    paint, width = paint_for(sys.stdout), terminal_width(sys.stdout)
    emit({"items": items}, records_table(items, paint, width), as_json=json)
    return edge.OK


def verify(
    *,
    file: Annotated[Path | None, Parameter(help="Verify what `audit export` wrote, without a server.")] = None,
    head: Annotated[str | None, Parameter(help="NUMBER:LINK noted earlier, which must still be in the chain.")] = None,
    json: Json = False,
) -> int:
    """Prove that the record was not altered: every link of the chain is computed again.

    Keep the head that it prints somewhere else; given back as --head, it shows that nothing was cut off or rewritten.
    """
    expected = head_of(head) if head is not None else None
    if file is not None:
        verdict = _verify_file(file)
    else:
        with connected() as client:
            verdict = dict(client.verify_audit(expected))
    emit(verdict, verdict_lines(verdict, paint_for(sys.stdout)), as_json=json)
    return edge.OK if verdict["ok"] else edge.FAILED


def export(*, json: Json = False) -> int:
    """Print the whole chain, a line of JSON at a time; `interlock audit verify --file` verifies it anywhere."""
    del json  # it is JSON anyway
    with connected() as client:
        for line in client.export_audit():
            print(line)
    return edge.OK


def _verify_file(path: Path) -> dict[str, Any]:
    from interlock.app import verify_export

    try:
        with path.open(encoding="utf-8") as file:
            return verify_export(file)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: it is no UTF-8 text, so no export of the audit", hint="interlock audit export"
        ) from error


def head_of(text: str) -> tuple[int, str]:
    """A number and link as `verify` prints them.

    Raises:
        UserError: it is something else.
    """
    number, colon, link = text.partition(":")
    if not (colon and number.isdecimal() and int(number) > 0 and len(link) == 64 and link.isalnum()):
        raise UserError(
            "--head: expected NUMBER:LINK, as interlock audit verify prints it", hint="interlock audit verify"
        )
    return int(number), link
