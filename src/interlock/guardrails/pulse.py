"""How long a process may count on the leases that it holds.

A process that stops for a while, and does not know it, may have lost its runs meanwhile. What it writes is refused by
the epoch, but a tool has no epoch to look at. So a call is only sent while the last heartbeat is young: other
processes wait for longer than that before they take over from one whose session lives.
"""

import math
import time
from dataclasses import dataclass

PULSE_S = 20.0  # on a clock of this host; others take over after 30 s on the database's


@dataclass
class Pulse:
    """What a process must know of itself before it sends a call.

    Attributes:
        until_s: the moment, on the monotonic clock, after which it sends none any more.
        host: where it is, and so whose tool servers get its calls.
        machine: the name of the machine that it runs on; empty where that does not matter.
    """

    until_s: float = math.inf
    host: str = ""
    machine: str = ""

    def beat(self, at_s: float) -> None:
        """A heartbeat was committed that began at `at_s` of the monotonic clock."""
        self.until_s = at_s + PULSE_S

    @property
    def steady(self) -> bool:
        """Whether calls may be sent now."""
        return time.monotonic() < self.until_s
