"""`interlock tools classify`: definitions of tools in, what they do out; needs no server, project or home."""

import json as json_format
import sys
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.options import Json
from interlock.cli.output import emit, paint_for
from interlock.model import UserError

MAX_LINE_BYTES = 8 * 1024 * 1024
_HINT = "one JSON object in each line: {server, tool, title, description, input_schema, annotations}"


def classify(
    *,
    jsonl: Annotated[bool, Parameter(name="--jsonl", negative="", help="Print a line of JSON for each line.")] = False,
    trusted_hints: Annotated[
        bool, Parameter(name="--trusted-hints", negative="", help="Believe what the servers say of themselves.")
    ] = False,
    json: Json = False,
) -> int:
    """What tools do, from their definitions alone: a line of JSON for each on standard input.

    The class is a proposal: read, write or destructive. What says nothing clear of itself is destructive.
    """
    found = _classified(sys.stdin.buffer, trusted_hints=trusted_hints)
    if json and not jsonl:
        emit(list(found), [], as_json=True)
        return edge.OK
    paint = paint_for(sys.stdout)
    for one in found:
        if jsonl:
            print(json_format.dumps(one, ensure_ascii=False), flush=True)
            continue
        egress = " egress" if one["egress"] else ""
        print(f"{paint.state(one['class'])}{egress}  {one['server']}.{one['tool']}: {'; '.join(one['reasons'])}")
    return edge.OK


def _classified(source: BinaryIO, *, trusted_hints: bool) -> Iterator[dict[str, Any]]:
    from interlock.app import classify_definition

    number = 0
    while line := source.readline(MAX_LINE_BYTES + 1):
        number += 1
        if not line.strip():
            continue
        try:
            yield classify_definition(_document(line), trusted_hints=trusted_hints)
        except UserError as error:
            raise UserError(f"line {number}: {error.message}", hint=_HINT) from error


def _document(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise UserError(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        document = json_format.loads(line)
    except UnicodeDecodeError as error:
        raise UserError(f"no UTF-8 text at byte {error.start + 1}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"no JSON: {str(error)[:80]}") from error
    if not isinstance(document, dict):
        raise UserError("a JSON value that is no object")
    return document
