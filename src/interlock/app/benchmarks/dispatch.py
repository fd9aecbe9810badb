"""`dispatch`: what taking a task in, running it and keeping its result costs, beside other queues on the same Postgres."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from interlock.app.benchmarks.backlog import FEW, Level
from interlock.app.benchmarks.pace import STARTS, Paces, measure_idle, measure_starts
from interlock.app.benchmarks.queue_stage import queue_stage
from interlock.app.benchmarks.races import CONCURRENCY, OURS, PEERS, Ours, Racer, peer, row_of, run_races
from interlock.app.benchmarks.report import Bar, Order, Report, Row, load_1m, machine
from interlock.app.benchmarks.rounds import Measured, throughput_ratio
from interlock.app.benchmarks.takeover import measure_takeover
from interlock.app.benchmarks.waiting import measure_waiting
from interlock.model import InterlockError

MANY = 100_000
_RACING = {"workers": 1, "concurrency": CONCURRENCY}
_AS_UP: dict[str, int] = {}


@dataclass
class Found:
    """What was measured so far; None was not.

    Attributes:
        rows: for people.
        races: by the name of the queue.
        long_queue: throughput with a long queue, in units of that with a short one.
        pace: of a fleet that has little to do.
        waiting_kb: what a task takes that waits for a person.
        takeover_s: the longest that a killed worker's run took to run elsewhere.
    """

    rows: list[Row] = field(default_factory=list)
    races: dict[str, Measured] = field(default_factory=dict)
    long_queue: float | None = None
    pace: Paces = field(default_factory=Paces)
    waiting_kb: float | None = None
    takeover_s: float | None = None


async def bench_dispatch(order: Order) -> Report:
    """Race the queues, fill one, and look at starts, idle workers, waiting tasks and kills; what can't be is null."""
    here, found = machine(), Found()
    for name, part in (("races", _races), ("backlog", _backlog), ("as `up` runs it", _as_up)):
        order.tell(name)
        try:
            await part(order, found)
        except InterlockError as error:
            found.rows.append({"part": name, "note": error.message})
    return Report("dispatch", {**here, "load_1m_after": load_1m()}, found.rows, bars_of(found))


async def _races(order: Order, found: Found) -> None:
    """Ours and the peers, on one Postgres."""
    effort = order.effort
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(queue_stage(order.env, "races", _RACING))
        racers: list[Racer] = [Ours(stage)]
        for name in PEERS.values() if effort.peers else ():
            order.tell(f"the peer {name}")
            try:
                racers.append(await stack.enter_async_context(peer(name, stage.postgres)))
            except InterlockError as error:
                found.rows.append({"part": "races", "name": name, "note": error.message})
        found.races = await run_races(racers, effort.rounds, effort.tasks, order.tell)
    found.rows += [row_of(measured) for measured in found.races.values()]


async def _backlog(order: Order, found: Found) -> None:
    """A short queue and a long one, each on a Postgres of its own."""
    effort = order.effort
    async with (
        queue_stage(order.env, "few", _RACING) as with_few,
        queue_stage(order.env, "many", _RACING) as with_many,
    ):
        few, many = Level(with_few, FEW), Level(with_many, effort.backlog)
        await few.fill(order.tell)
        await many.fill(order.tell)
        races = await run_races([few, many], effort.rounds, effort.tasks, order.tell)
    ratio = throughput_ratio(races[many.name], races[few.name])
    note = "" if effort.backlog >= MANY else f"not judged: fewer than {MANY}"
    found.rows += [{**row_of(measured), "part": "backlog"} for measured in races.values()]
    found.rows.append(
        {
            "part": "backlog",
            "name": f"{effort.backlog} against {FEW}",
            "ratio": None if ratio is None else round(ratio, 3),
            "note": note,
        }
    )
    found.long_queue = ratio if effort.backlog >= MANY else None


async def _as_up(order: Order, found: Found) -> None:
    """Everything that is measured at the settings that `up` has by itself."""
    effort, pace = order.effort, found.pace
    async with queue_stage(order.env, "up", _AS_UP) as stage:
        try:
            order.tell("one idle worker")
            await measure_idle(stage, effort.seconds, pace)
            order.tell("submit to start")
            await measure_starts(stage, min(STARTS, effort.tasks), pace)
        finally:
            found.rows += pace.rows
        order.tell("kills")
        row, found.takeover_s = await measure_takeover(stage, order)
        found.rows.append(row)
        order.tell("tasks that wait for an approval")
        row, found.waiting_kb = await measure_waiting(stage, effort.tasks)
        found.rows.append(row)


def bars_of(found: Found) -> list[Bar]:
    """Every bar of the benchmark, also for what was not measured."""
    ours = found.races.get(OURS)
    against = {bar: throughput_ratio(ours, found.races.get(name)) for bar, name in PEERS.items()}
    return [
        Bar("vs_floor", against["vs_floor"], ">=", 0.2),
        Bar("vs_dbos", against["vs_dbos"], ">=", 0.714),  # a tax of 1.4 at most
        Bar("vs_procrastinate", against["vs_procrastinate"], ">=", 1.0),
        Bar("vs_celery_always", against["vs_celery_always"], ">=", 1.0),
        Bar("backlog_100k_vs_100", found.long_queue, ">=", 0.9),
        Bar("submit_start_p50_ms", found.pace.start_p50_ms, "<=", 150),
        Bar("submit_start_p99_ms", found.pace.start_p99_ms, "<=", 400),
        Bar("idle_xact_per_s", found.pace.idle_per_s, "<=", 120),
        Bar("waiting_approval_kb", found.waiting_kb, "<=", 30),
        Bar("takeover_s_max", found.takeover_s, "<=", 5),
    ]
