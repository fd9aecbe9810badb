"""Settings, interlock.yaml, the injected clock, ids and fault points."""

from interlock.config.runtime import Clock, ManualClock, SystemClock, fault_point, new_id

__all__ = ["Clock", "ManualClock", "SystemClock", "fault_point", "new_id"]
