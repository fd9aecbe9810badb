"""What was judged must still hold when a call is made."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Expectation:
    """What a caller relied on when it judged a call; what is None is not checked.

    Attributes:
        pin_sha256: the tool's definition; with another one, nothing is sent.
        state_sha256: the state that a preview was made of; travels in `_meta` as `interlock/expect_state_sha256`.
            Only a server that offers previews looks at it: with another state it refuses and changes nothing.
        still: asked at the last moment; when it says no, nothing is sent.
        not_after_s: a moment of this host's monotonic clock after which nothing is sent, for whoever can't be asked.
    """

    pin_sha256: str | None = None
    state_sha256: str | None = None
    still: Callable[[], bool] | None = None
    not_after_s: float | None = None
