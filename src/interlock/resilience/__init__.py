"""What talking to the outside needs: deadlines and the delay before another try."""

from interlock.resilience.deadline import Deadline
from interlock.resilience.retry import Rng, backoff_s

__all__ = ["Deadline", "Rng", "backoff_s"]
