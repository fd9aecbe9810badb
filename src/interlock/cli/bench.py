"""`interlock bench`: measures interlock itself, on this machine, against named peers; needs no server."""

import asyncio
import os
import signal
import sys
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.options import Json, WholeNumber
from interlock.cli.output import Paint, emit, paint_for, progress, table
from interlock.model import UserError

MOST = {"seconds": 3600, "kills": 100_000, "rounds": 100, "tasks": 100_000, "backlog": 1_000_000}
_ROW_KEYS = ("part", "name", "note")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much is measured; each benchmark has its own usual amounts.

    Attributes:
        seconds: How long each lane is under load, all rounds together; or an idle worker is looked at.
        kills: How often a tool server (tools) or a worker (dispatch) is killed.
        rounds: In how many turns.
        tasks: How many tasks there are in each race (dispatch).
        backlog: How many tasks wait in the queue that is long (dispatch).
    """

    seconds: WholeNumber | None = None
    kills: WholeNumber | None = None
    rounds: WholeNumber | None = None
    tasks: WholeNumber | None = None
    backlog: WholeNumber | None = None


_USUAL = Amounts()


def bench(
    name: Annotated[str, Parameter(help="Which one: dispatch, tools.")],
    /,
    *,
    peers: Annotated[
        bool, Parameter(negative="", help="Other products too; a source checkout is needed, they install themselves.")
    ] = False,
    amounts: Amounts = _USUAL,
    json: Json = False,
) -> int:
    """Measure interlock on this machine: rows for people, and bars that hold or do not.

    It works in state folders of its own, which it deletes. Exit status 0 only if every bar holds; what was not
    measured does not hold. On a machine that does other work look at the ratios only.
    """
    asked = {key: value for key, value in asdict(amounts).items() if value is not None}
    for key, value in asked.items():
        if not 1 <= value <= MOST[key]:
            raise UserError(f"--{key}: {value} is not between 1 and {MOST[key]}", hint="interlock bench --help")
    from interlock.app import Order, run_benchmark, usual_effort

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended, as with Ctrl-C
    order = Order(replace(usual_effort(name), peers=peers, **asked), os.environ, progress)
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
