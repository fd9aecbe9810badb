"""How `bench dispatch` comes to its bars: ratios of the same round, and nothing for what was not measured."""

from dataclasses import dataclass, field

import pytest

from interlock.app import usual_effort
from interlock.app.benchmarks.dispatch import Found, bars_of
from interlock.app.benchmarks.pace import Paces
from interlock.app.benchmarks.races import OURS, PEERS, row_of, run_races
from interlock.app.benchmarks.rounds import Measured, Sample
from interlock.model import ServerUnavailable

BARS = {
    "vs_floor": (">=", 0.2),
    "vs_dbos": (">=", 0.714),
    "vs_procrastinate": (">=", 1.0),
    "vs_celery_always": (">=", 1.0),
    "backlog_100k_vs_100": (">=", 0.9),
    "submit_start_p50_ms": ("<=", 150),
    "submit_start_p99_ms": ("<=", 400),
    "idle_xact_per_s": ("<=", 120),
    "waiting_approval_kb": ("<=", 30),
    "takeover_s_max": ("<=", 5),
}


@dataclass
class Scripted:
    """A queue that takes as long as it is told, race by race."""

    name: str
    seconds: list[float]
    story: list[str] = field(default_factory=list)

    async def race(self, tasks: int) -> float:
        self.story.append(self.name)
        seconds = self.seconds.pop(0)
        if seconds < 0:
            raise ServerUnavailable("it does not answer")
        return seconds


async def _raced(*racers: Scripted) -> dict[str, Measured]:
    return await run_races(racers, 3, 100, lambda _: None)


async def test_queues_take_turns_and_every_other_round_goes_backwards() -> None:
    story: list[str] = []
    await _raced(Scripted("a", [1, 1, 1], story), Scripted("b", [1, 1, 1], story))
    assert story == ["a", "b", "b", "a", "a", "b"]


async def test_a_ratio_is_the_median_over_rounds_of_what_was_done_in_the_same_one() -> None:
    races = await _raced(Scripted(OURS, [10, 1, 2]), Scripted("skip_locked", [2, 0.5, 0.5]))
    bars = {bar.name: bar for bar in bars_of(Found(races=races))}
    assert bars["vs_floor"].value == pytest.approx(0.25)  # of 0.2, 0.5 and 0.25
    assert bars["vs_floor"].holds
    assert row_of(races[OURS]) == {
        "part": "races",
        "name": OURS,
        "tasks": 300,
        "per_s": 50,
        "per_s_by_round": [10, 100, 50],
        "note": "",
    }


async def test_a_queue_that_fails_once_is_out_of_the_race_and_has_no_ratio() -> None:
    story: list[str] = []
    races = await _raced(Scripted(OURS, [1, 1, 1], story), Scripted("celery_redis", [1, -1, 1], story))
    assert story.count("celery_redis") == 2
    assert story.count(OURS) == 3
    assert "it does not answer" in row_of(races["celery_redis"])["note"]
    bar = next(bar for bar in bars_of(Found(races=races)) if bar.name == "vs_celery_always")
    assert bar.value is None
    assert not bar.holds


def test_every_bar_is_there_also_when_nothing_was_measured() -> None:
    bars = bars_of(Found())
    assert {bar.name: (bar.op, bar.target) for bar in bars} == BARS
    assert [bar.name for bar in bars if bar.holds or bar.value is not None] == []


def test_what_was_measured_is_judged() -> None:
    races = {name: Measured(name, load=[Sample(10, 200.0, None, None)]) for name in (OURS, *PEERS.values())}
    found = Found(races=races, long_queue=0.95, pace=Paces([], 100.0, 500.0, 88.0), waiting_kb=17.0, takeover_s=1.5)
    bars = {bar.name: bar for bar in bars_of(found)}
    assert [name for name, bar in bars.items() if not bar.holds] == ["submit_start_p99_ms"]
    assert bars["vs_dbos"].value == 1


def test_each_benchmark_has_its_own_usual_amounts() -> None:
    assert (usual_effort("dispatch").kills, usual_effort("dispatch").rounds) == (10, 3)
    assert (usual_effort("tools").kills, usual_effort("tools").rounds) == (1000, 6)
