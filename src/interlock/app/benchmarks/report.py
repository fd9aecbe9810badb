"""What a benchmark gives back: rows for people, and bars that hold or do not."""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from interlock.model import VERSION

Op: TypeAlias = Literal["<=", ">=", "=="]
Row: TypeAlias = dict[str, Any]
_DIGITS = 3


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        seconds: of load in each lane, all rounds together; of an idle worker.
        calls: one after the other in each lane, all rounds together.
        rounds: in how many turns.
        kills: of tool servers, or of workers.
        peers: whether other products are measured too.
        tasks: in each race, and that wait for an approval.
        backlog: tasks that wait in a queue that is long.
    """

    seconds: float = 18.0
    calls: int = 360
    rounds: int = 6
    kills: int = 1000
    peers: bool = False
    tasks: int = 1000
    backlog: int = 100_000


@dataclass(frozen=True)
class Order:
    """A benchmark that shall run.

    Attributes:
        effort: how much is measured.
        env: the environment; its state folder and database are not touched.
        tell: gets sentences about what is going on.
    """

    effort: Effort
    env: Mapping[str, str] = field(repr=False)
    tell: Callable[[str], None]


@dataclass(frozen=True)
class Bar:
    """A number, and what it must be; None was not measured, and does not hold."""

    name: str
    value: float | None
    op: Op
    target: float

    @property
    def holds(self) -> bool:
        """Whether the number is what it must be."""
        if self.value is None:
            return False
        if self.op == "==":
            return self.value == self.target
        return self.value <= self.target if self.op == "<=" else self.value >= self.target

    def to_json(self) -> Row:
        """Shape `{name, value, target, op, holds}`."""
        value = None if self.value is None else round(self.value, _DIGITS)
        return {"name": self.name, "value": value, "target": self.target, "op": self.op, "holds": self.holds}


@dataclass(frozen=True)
class Report:
    """What came of a benchmark.

    Attributes:
        bench: its name.
        machine: where it ran.
        rows: what was measured, in the order of the story.
        bars: what must hold.
    """

    bench: str
    machine: Row
    rows: list[Row]
    bars: list[Bar]

    @property
    def holds(self) -> bool:
        """Whether all bars do."""
        return all(bar.holds for bar in self.bars)

    def to_json(self) -> Row:
        """Shape `{bench, machine, rows, bars}`."""
        return {
            "bench": self.bench,
            "machine": self.machine,
            "rows": self.rows,
            "bars": [bar.to_json() for bar in self.bars],
        }


def load_1m() -> float:
    """How many processes want to run, over the last minute."""
    return round(os.getloadavg()[0], 2)


def machine() -> Row:
    """What must be known of a machine to read numbers from it; `load_1m` is what it had to do before."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": sys.version.split()[0],
        "interlock": VERSION,
        "load_1m": load_1m(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
