"""One server with a process for each run that uses it, and one spare, so that the next run need not wait."""

from collections.abc import Callable

from interlock.model import ToolUnavailable
from interlock.tools.supervisor import Supervisor

MAX_RUNS = 32


class Instances:
    """The processes of one server of the scope `run`.

    The spare answers what the server offers, and goes to the first run that asks; then there is a new spare.
    """

    def __init__(self, server: str, make: Callable[[str], Supervisor]) -> None:
        self._server = server
        self._make = make
        self._made = 0
        self._by_run: dict[str, Supervisor] = {}
        self.spare = self._new()

    def _new(self) -> Supervisor:
        self._made += 1
        return self._make(f"{self._server}/{self._made}")

    @property
    def all(self) -> tuple[Supervisor, ...]:
        """Every process, the spare first."""
        return (self.spare, *self._by_run.values())

    def of(self, run: str | None) -> Supervisor:
        """The process of a run; without a run the spare.

        Raises:
            ToolUnavailable: as many runs as can be have one.
        """
        if run is None:
            return self.spare
        if run not in self._by_run:
            if len(self._by_run) >= MAX_RUNS:
                raise ToolUnavailable(f"{MAX_RUNS} runs have a tool server '{self._server}' of their own already")
            self._by_run[run] = self.spare
            self.spare = self._new()
            self.spare.start()
        return self._by_run[run]

    async def release(self, run: str) -> None:
        """End the process of a run, if it has one."""
        supervisor = self._by_run.pop(run, None)
        if supervisor is not None:
            await supervisor.stop()
