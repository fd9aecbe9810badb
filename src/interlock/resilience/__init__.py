"""What talking to the outside needs: deadlines, the delay before another try, circuit breakers.

`breaking` is the state machine of a breaker, used as `breaking.failed(...)`: its words would mean nothing alone.
"""

from interlock.resilience import breaker as breaking
from interlock.resilience.breaker import Admission, BreakerRule
from interlock.resilience.deadline import Deadline
from interlock.resilience.retry import Rng, backoff_s

__all__ = ["Admission", "BreakerRule", "Deadline", "Rng", "backoff_s", "breaking"]
