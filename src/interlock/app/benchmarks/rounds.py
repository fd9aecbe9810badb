"""Lanes take turns, so that what else the machine does meets all of them: ratios are of neighbours in time."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from interlock.app.benchmarks.report import Effort, Row

TASKS = 32
WARM_CALLS = 2 * TASKS  # each caller's first call begins its task
WARM_S = 1.0  # under load, so that connections are open and statements prepared
_DIGITS = 3


@dataclass(frozen=True)
class Sample:
    """Some calls of one lane.

    Attributes:
        calls: that were answered.
        per_s: of them.
        p50_ms, p95_ms: how long one took; None when none was answered.
        errors: calls that were not answered as they should.
        trouble: the first of these.
    """

    calls: int
    per_s: float
    p50_ms: float | None
    p95_ms: float | None
    errors: int = 0
    trouble: str = ""

    @classmethod
    def of(cls, took_s: Sequence[float], seconds: float, errors: int = 0, trouble: str = "") -> "Sample":
        """From how long each call took."""
        ordered = sorted(took_s)
        return cls(
            calls=len(ordered),
            per_s=len(ordered) / seconds,
            p50_ms=statistics.median(ordered) * 1000 if ordered else None,
            p95_ms=ordered[int(len(ordered) * 0.95)] * 1000 if ordered else None,
            errors=errors,
            trouble=trouble,
        )


class Lane(Protocol):
    """One way to make the same call."""

    @property
    def name(self) -> str:
        """For people."""

    async def latency(self, calls: int) -> Sample:
        """Make calls one after the other."""

    async def load(self, tasks: int, seconds: float) -> Sample:
        """Make so many at any time, for so long."""


@dataclass
class Measured:
    """All samples of a lane, by round."""

    name: str
    latency: list[Sample] = field(default_factory=list)
    load: list[Sample] = field(default_factory=list)

    @property
    def trouble(self) -> str:
        """Why its numbers mean nothing; empty when they do."""
        wrong = [sample for sample in (*self.latency, *self.load) if sample.errors or not sample.calls]
        if not wrong:
            return ""
        return f"{sum(sample.errors for sample in wrong)} calls failed: {wrong[0].trouble or 'none was answered'}"

    @property
    def p50_ms(self) -> float | None:
        """The median over rounds."""
        return _median([sample.p50_ms for sample in self.latency])

    @property
    def per_s(self) -> float | None:
        """The median over rounds."""
        return _median([sample.per_s for sample in self.load])

    def row(self) -> Row:
        """Shape `{name, c1_calls, c1_p50_ms, c1_p95_ms, c32_calls, c32_per_s, c32_p50_ms, note}`."""
        return {
            "name": self.name,
            "c1_calls": sum(sample.calls for sample in self.latency),
            "c1_p50_ms": _rounded(self.p50_ms),
            "c1_p95_ms": _rounded(_median([sample.p95_ms for sample in self.latency])),
            "c32_calls": sum(sample.calls for sample in self.load),
            "c32_per_s": _rounded(self.per_s),
            "c32_p50_ms": _rounded(_median([sample.p50_ms for sample in self.load])),
            "note": self.trouble,
        }


async def take_turns(lanes: Sequence[Lane], effort: Effort, tell: Callable[[str], None]) -> list[Measured]:
    """Measure the lanes, round by round; every other round goes backwards."""
    found = [Measured(lane.name) for lane in lanes]
    order = list(zip(lanes, found, strict=True))
    for lane in lanes:
        await lane.latency(min(WARM_CALLS, effort.calls))
        await lane.load(TASKS, min(WARM_S, effort.seconds / effort.rounds))
    for number in range(effort.rounds):
        for lane, measured in order[:: 1 if number % 2 == 0 else -1]:
            measured.latency.append(await lane.latency(max(1, effort.calls // effort.rounds)))
        for lane, measured in order[:: 1 if number % 2 == 0 else -1]:
            measured.load.append(await lane.load(TASKS, effort.seconds / effort.rounds))
        tell(f"round {number + 1} of {effort.rounds}: " + ", ".join(_short(measured) for measured in found))
    return found


def _short(measured: Measured) -> str:
    p50_ms = measured.latency[-1].p50_ms
    return f"{measured.name} {'-' if p50_ms is None else f'{p50_ms:.1f}'} ms {measured.load[-1].per_s:.0f}/s"


def p50_ratio(one: Measured | None, other: Measured | None) -> float | None:
    """How many times as long a call takes in `one` as in `other`."""
    return _paired(one, other, lambda a, b: a.p50_ms / b.p50_ms if a.p50_ms and b.p50_ms else None, "latency")


def added_ms(one: Measured | None, other: Measured | None) -> float | None:
    """How much longer a call takes in `one` than in `other`."""
    return _paired(one, other, lambda a, b: a.p50_ms - b.p50_ms if a.p50_ms and b.p50_ms else None, "latency")


def throughput_ratio(one: Measured | None, other: Measured | None) -> float | None:
    """How many times as many calls a second `one` makes as `other`."""
    return _paired(one, other, lambda a, b: a.per_s / b.per_s if b.per_s else None, "load")


def _paired(
    one: Measured | None, other: Measured | None, compare: Callable[[Sample, Sample], float | None], kind: str
) -> float | None:
    """The median over rounds of what two lanes did in the same round; None when one of them can't be trusted."""
    if one is None or other is None or one.trouble or other.trouble:
        return None
    pairs = zip(getattr(one, kind), getattr(other, kind), strict=True)
    return _median([compare(a, b) for a, b in pairs])


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _rounded(value: Any) -> float | None:
    return None if value is None else round(float(value), _DIGITS)
