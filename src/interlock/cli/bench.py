"""`interlock bench`: measures interlock itself, on this machine, against named peers; needs no server."""

import asyncio
import os
import signal
import sys
from typing import Annotated, Any

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.options import Json, WholeNumber
from interlock.cli.output import Paint, emit, paint_for, progress, table
from interlock.model import UserError

MAX_SECONDS = 3600
MAX_KILLS = 100_000
_ROW_KEYS = ("part", "name", "note")


def bench(
    name: Annotated[str, Parameter(help="Which one: tools.")],
    /,
    *,
    peers: Annotated[
        bool, Parameter(negative="", help="Other products too; a source checkout is needed, they install themselves.")
    ] = False,
    seconds: Annotated[WholeNumber, Parameter(help="How long each lane is under load, all rounds together.")] = 18,
    kills: Annotated[WholeNumber, Parameter(help="How often a tool server is killed.")] = 1000,
    json: Json = False,
) -> int:
    """Measure interlock on this machine: rows for people, and bars that hold or do not.

    It works in state folders of its own, which it deletes. Exit status 0 only if every bar holds; what was not
    measured does not hold. On a machine that does other work look at the ratios only.
    """
    if not 1 <= seconds <= MAX_SECONDS:
        raise UserError(f"--seconds: {seconds} is not between 1 and {MAX_SECONDS}", hint="interlock bench tools")
    if not 1 <= kills <= MAX_KILLS:
        raise UserError(f"--kills: {kills} is not between 1 and {MAX_KILLS}", hint="interlock bench tools")
    from interlock.app import Effort, Order, run_benchmark

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended, as with Ctrl-C
    order = Order(Effort(seconds=seconds, kills=kills, peers=peers), os.environ, progress)
    report = asyncio.run(run_benchmark(name, order))
    document = report.to_json()
    emit(document, bench_lines(document, paint_for(sys.stdout)), as_json=json)
    return edge.OK if report.holds else edge.FAILED


def bench_lines(document: dict[str, Any], paint: Paint) -> list[str]:
    """A report for people."""
    machine = document["machine"]
    lines = [f"bench {document['bench']}  {machine['cpus']} x {machine['cpu']}, load {machine['load_1m']}"]
    for row in document["rows"]:
        facts = ", ".join(f"{key} {value}" for key, value in row.items() if key not in _ROW_KEYS and value is not None)
        lines += ["", paint(" / ".join(row[key] for key in ("part", "name") if key in row), "bold")]
        lines += [f"  {text}" for text in (facts, row.get("note")) if text]
    rows = [
        (bar["name"], _number(bar["value"]), f"{bar['op']} {bar['target']:g}", _word(bar)) for bar in document["bars"]
    ]
    return [*lines, "", *table(("bar", "value", "target", "holds"), rows, paint)]


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:g}"


def _word(bar: dict[str, Any]) -> str:
    return "yes" if bar["holds"] else "no"
