"""The benchmarks by name."""

from collections.abc import Awaitable, Callable

from interlock.app.benchmarks.dispatch import bench_dispatch
from interlock.app.benchmarks.report import Effort, Order, Report
from interlock.app.benchmarks.tools import bench_tools
from interlock.model import UserError

BENCHMARKS: dict[str, Callable[[Order], Awaitable[Report]]] = {
    "dispatch": bench_dispatch,
    "tools": bench_tools,
}
_USUAL = {"dispatch": Effort(seconds=20, rounds=3, kills=10)}


def usual_effort(name: str) -> Effort:
    """How much a benchmark measures unless something else is said."""
    return _USUAL.get(name, Effort())


async def run_benchmark(name: str, order: Order) -> Report:
    """Run one; it takes minutes, and starts and stops everything that it needs.

    Raises:
        UserError: there is none of that name.
    """
    benchmark = BENCHMARKS.get(name)
    if benchmark is None:
        known = ", ".join(sorted(BENCHMARKS))
        raise UserError(f"there is no benchmark '{name[:40]}'; there are: {known}", hint="interlock bench tools")
    return await benchmark(order)
