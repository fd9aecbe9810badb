"""How benchmarks come to their numbers: lanes take turns, ratios are of neighbours, trouble is no number."""

from dataclasses import dataclass, field

import pytest

from interlock.app.benchmarks.kills import Story
from interlock.app.benchmarks.report import Bar, Effort
from interlock.app.benchmarks.rounds import Measured, Sample, added_ms, p50_ratio, take_turns, throughput_ratio


@dataclass
class Scripted:
    """A lane that takes as long as it is told, round by round; the first call warms it up."""

    name: str
    took_ms: list[float]
    story: list[str]
    errors: int = 0
    _round: int = field(default=-1)

    async def latency(self, calls: int) -> Sample:
        self._round += 1
        if self._round == 0:
            return self._sample(1.0)
        self.story.append(self.name)
        return self._sample(self.took_ms[self._round - 1])

    async def load(self, tasks: int, seconds: float) -> Sample:
        return self._sample(self.took_ms[self._round - 1])

    def _sample(self, took_ms: float) -> Sample:
        return Sample(10, 1000 / took_ms, took_ms, took_ms, self.errors, "it broke" if self.errors else "")


async def _turns(*lanes: Scripted) -> list[Measured]:
    return await take_turns(lanes, Effort(seconds=0, calls=9, rounds=3), lambda _: None)


async def test_lanes_take_turns_and_every_other_round_goes_backwards() -> None:
    story: list[str] = []
    await _turns(Scripted("a", [1, 1, 1], story), Scripted("b", [1, 1, 1], story))
    assert story == ["a", "b", "b", "a", "a", "b"]


async def test_a_slow_moment_of_the_machine_does_not_show_in_a_ratio() -> None:
    direct, ours = await _turns(Scripted("direct", [2, 20, 2], []), Scripted("ours", [3, 30, 3], []))
    assert p50_ratio(ours, direct) == pytest.approx(1.5)
    assert throughput_ratio(ours, direct) == pytest.approx(2 / 3)
    assert added_ms(ours, direct) == pytest.approx(1)
    assert direct.row()["c1_p50_ms"] == 2


async def test_a_lane_with_an_error_has_no_ratio_and_says_why() -> None:
    direct, ours = await _turns(Scripted("direct", [1, 1, 1], []), Scripted("ours", [1, 1, 1], [], errors=1))
    assert p50_ratio(ours, direct) is None
    assert throughput_ratio(direct, ours) is None
    assert "it broke" in ours.row()["note"]
    assert p50_ratio(None, direct) is None


def test_a_sample_of_no_calls_is_trouble() -> None:
    measured = Measured("ours", [Sample.of([], 1.0)], [Sample.of([0.001, 0.003], 1.0)])
    assert measured.trouble
    assert measured.p50_ms is None
    assert measured.per_s == 2


@pytest.mark.parametrize(
    ("bar", "holds"),
    [
        (Bar("a", 2.0, "<=", 2), True),
        (Bar("a", 2.01, "<=", 2), False),
        (Bar("a", 0.6, ">=", 0.6), True),
        (Bar("a", 0.0, "==", 0), True),
        (Bar("a", 1.0, "==", 0), False),
        (Bar("a", None, "<=", 2), False),
        (Bar("a", None, "==", 0), False),
    ],
)
def test_a_bar(bar: Bar, holds: bool) -> None:
    assert bar.holds is holds


def test_only_a_call_whose_server_was_killed_may_fail() -> None:
    story = Story(kills=[("one", 10.0)], ready_s=[2.0])
    during, returning = ("one", 9.5, 10.1, "died"), ("one", 11.5, 11.6, "not ready")
    before, after, other = ("one", 9.0, 9.9, "?"), ("one", 12.1, 12.2, "?"), ("two", 9.5, 10.1, "?")
    story.errors += [during, returning, before, after, other]
    assert story.of_others() == [before, after, other]
