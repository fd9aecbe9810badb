"""How long to wait before another try."""

from typing import Protocol

_MAX_DOUBLINGS = 60  # far above any cap, and below where a float overflows
_JITTER = 0.25


class Rng(Protocol):
    """A source of chance: `random.Random` and `secrets.SystemRandom` are ones."""

    def random(self) -> float:
        """A number from 0 up to, not including, 1."""
        ...


def backoff_s(n: int, first_s: float, cap_s: float, rng: Rng) -> float:
    """Seconds to wait before try `n` (0 is the first repetition): doubled each time up to `cap_s`, plus jitter.

    The jitter is up to a quarter on top, so that many who failed together don't come back together.
    """
    plain_s = min(cap_s, first_s * 2.0 ** min(max(n, 0), _MAX_DOUBLINGS))
    return plain_s * (1 + _JITTER * rng.random())
