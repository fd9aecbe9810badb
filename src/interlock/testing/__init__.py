"""For tests of interlock and of agents of your own: recorded runs and what plays them back.

`interlock.testing.plugin` is a pytest plugin with a real Postgres; `interlock.testing.faulty_server` a tool server that
misbehaves on request. What needs pydantic is loaded on first use, so that the servers here start quickly.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interlock.testing.recorded_runs import RecordedRun, RecordedTools, ReplayMismatch, load_recorded_runs

__all__ = ["RecordedRun", "RecordedTools", "ReplayMismatch", "load_recorded_runs"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load a name that needs pydantic, and keep it."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from interlock.testing import recorded_runs

        globals()[name] = vars(recorded_runs)[name]
        return globals()[name]
